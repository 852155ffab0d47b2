//! agentcron: a cron scheduler daemon for LangGraph agent servers.
//!
//! Each folder is a floor, and a module uses only lower floors. `docs/ARCHITECTURE.md` explains how they fit together.

pub mod api;
pub mod backend;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod log_tail;
pub mod present;
pub mod pulse;
pub mod signals;
pub mod store;
pub mod transport;
pub mod webhook;
