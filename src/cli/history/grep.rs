//! `history --grep`: the runs that mention a text.

use crate::api::wire::{Page, Run};
use crate::cli::terminal::{Failure, RespondingDaemon};
use crate::domain::bounds::{GREP_RUNS_MAX, GREP_RUNS_PER_PAGE, PAGE_ITEMS_MAX};
use crate::domain::needle::Needle;
use crate::store::{Reader, RunFilter};

/// What was found, and whether the search stopped before the oldest run.
pub(super) struct Found {
    /// The newest last.
    pub(super) runs: Vec<Run>,
    pub(super) stopped: bool,
}

/// Looks in the database.
pub(super) fn of_store(
    text: &str,
    filter: &RunFilter,
    limit: u64,
    reader: &Reader,
) -> Result<Found, Failure> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let found = reader.runs_that_mention(&Needle::of(text), filter, None, limit, GREP_RUNS_MAX)?;
    let runs = found.runs.iter().rev().map(|(_, row)| Run::of(row)).collect();
    Ok(Found { runs, stopped: found.stopped_at.is_some() })
}

/// Asks a daemon, page by page.
pub(super) fn of_daemon(
    text: &str,
    query: &[(&str, String)],
    limit: u64,
    daemon: &RespondingDaemon,
) -> Result<Found, Failure> {
    let (mut runs, mut cursor) = (Vec::new(), String::new());
    for _ in 0..GREP_RUNS_MAX / GREP_RUNS_PER_PAGE {
        let page_limit = u64::from(PAGE_ITEMS_MAX).min(limit - runs.len() as u64).to_string();
        let more = [("grep", text.to_owned()), ("cursor", cursor), ("limit", page_limit)];
        let page: Page<Run> = daemon.get(&["runs"], &[query, &more].concat())?;
        runs.extend(page.items);
        match page.next_cursor.filter(|_| (runs.len() as u64) < limit) {
            Some(next) => cursor = next,
            None => {
                runs.reverse();
                return Ok(Found { runs, stopped: false });
            }
        }
    }
    runs.reverse();
    Ok(Found { runs, stopped: true })
}
