//! Explains to a person what is recorded: the timeline of a run, why a cron did or did not fire, times, and sentences
//! about runs and webhooks.
//!
//! Everything here returns data or text. Nothing prints and nothing depends on a terminal, so a web page can use it as
//! well as the command line. A text may quote a server or a receiver: the caller escapes it for its own medium.

pub mod explain;
pub mod occurrences;
pub mod runs;
pub mod timeline;
pub mod times;
mod tone;
pub mod webhooks;

pub use tone::Tone;

/// Returns the count with its noun, in the singular or the plural: `1 webhook`, `12 webhooks`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
