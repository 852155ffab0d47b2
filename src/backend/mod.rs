//! A client of the agent server: it starts a run, follows it, and fences a thread. Answers are sorted by what
//! may be concluded from them, since a wrong conclusion starts a run twice or loses it.

mod answer;
mod assistants;
mod breakpoints;
mod call_error;
mod client;
mod contact;
mod crons;
pub mod embedded;
mod follow;
mod mark;
mod query;
mod run_error;
mod start;
#[cfg(test)]
mod tests;
mod twins;

pub use answer::{located_run, located_thread};
pub use assistants::Assistant;
pub use call_error::{CallError, Denial};
pub use client::AgentClient;
pub use contact::{Contact, Dependent, Silence};
pub use follow::{JoinResult, ReportedEnd, ResponseStream};
pub use mark::{CRON_KEY, DAEMON_KEY, INSTALLATION_KEY, RUN_KEY, RunMark, run_mark};
pub use query::{Deleted, FenceAnswer, ListedRun, RunReport, ThreadReport};
pub use start::{StartAnswer, StartRequest, Started};
pub use twins::{Twin, TwinError, Twins};
