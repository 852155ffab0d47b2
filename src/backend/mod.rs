//! A client of the agent server: it starts a run, follows it, and fences a thread. Answers are sorted by what
//! may be concluded from them, since a wrong conclusion starts a run twice or loses it.

mod answer;
mod breakpoints;
mod call_error;
mod client;
mod crons;
pub mod embedded;
mod follow;
mod query;
mod run_error;
mod start;
#[cfg(test)]
mod tests;
mod twins;

pub use answer::{located_run, located_thread};
pub use call_error::{CallError, Denial};
pub use client::AgentClient;
pub use follow::{JoinResult, ReportedEnd, ResponseStream};
pub use query::{CRON_KEY, Deleted, FenceAnswer, ListedRun, RUN_KEY, RunReport, ThreadReport};
pub use start::{StartAnswer, StartRequest, Started};
pub use twins::{Twin, TwinError, Twins};
