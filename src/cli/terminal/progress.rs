//! How far something is that takes long, on a line of its own at the terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

/// Nobody reads faster.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// A line on stderr that is written over again and again, if stderr is a terminal.
pub(in crate::cli) struct Progress {
    is_shown: bool,
    shown_at: Option<Instant>,
}

impl Progress {
    pub(in crate::cli) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), shown_at: None }
    }

    pub(in crate::cli) fn show(&mut self, text: &str) {
        if !self.is_shown || self.shown_at.is_some_and(|at| at.elapsed() < SHOWN_EVERY) {
            return;
        }
        self.shown_at = Some(Instant::now());
        // Whether it can be seen is of no consequence.
        let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown_at.is_some() {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
