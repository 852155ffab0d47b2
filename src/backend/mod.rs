//! The agent server, as the rest of agentcron sees it.

pub mod embedded;
