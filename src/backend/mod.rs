//! The agent server, as a client sees it: start a run, follow it, fence a thread. Its answers are sorted by what may
//! be concluded from them, since a wrong conclusion starts a run twice or loses it.

mod answer;
mod client;
mod crons;
pub mod embedded;
mod follow;
mod query;
mod start;
#[cfg(test)]
mod tests;

pub use answer::{located_run, located_thread};
pub use client::{AgentClient, CallError};
pub use follow::{Followed, ResponseStream};
pub use query::{Deleted, FenceAnswer, ListedRun, RUN_KEY, RunReport, ThreadReport};
pub use start::{StartAnswer, StartRequest, Started};
