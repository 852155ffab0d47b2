//! agentcron: a cron scheduler daemon for LangGraph agent servers.
//!
//! The folders are floors; a module uses lower floors only. `docs/ARCHITECTURE.md` tells how they fit together.

pub mod backend;
pub mod domain;
