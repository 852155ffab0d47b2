//! The last lines of this process's log, in memory, for whoever reports a bug: a log may be in a journal that is gone.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::bounds::{LOG_TAIL_LINE_CHARS, LOG_TAIL_LINES};

/// A process has one log.
static TAIL: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Keeps a line, in place of the oldest if there are too many.
pub fn keep(line: &str) {
    let mut tail = tail();
    if tail.len() == LOG_TAIL_LINES {
        tail.pop_front();
    }
    tail.push_back(line.chars().take(LOG_TAIL_LINE_CHARS).collect());
}

/// Returns the last lines, the oldest first.
pub fn lines() -> Vec<String> {
    tail().iter().cloned().collect()
}

fn tail() -> MutexGuard<'static, VecDeque<String>> {
    TAIL.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_only_their_beginning() {
        (0..LOG_TAIL_LINES + 3)
            .for_each(|number| keep(&format!("{number}{}", "é".repeat(LOG_TAIL_LINE_CHARS))));
        let lines = lines();
        assert_eq!(lines.len(), LOG_TAIL_LINES);
        assert!(
            lines[0].starts_with("3é")
                && lines.iter().all(|line| line.chars().count() == LOG_TAIL_LINE_CHARS)
        );
    }
}
