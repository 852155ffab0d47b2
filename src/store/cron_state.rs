//! Changes of a cron's state: a person pauses it, resumes it, or skips its next occurrence.

use jiff::Timestamp;

use super::cron_entries::{self, save_state};
use super::edits::revise_waiting;
use super::planning::plan_until;
use super::scheduled_crons::scheduled;
use super::{Store, StoreError};
use crate::domain::cron_state::{CronState, Pause, PauseCause};

/// A change that a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronStateChange {
    /// Skips its waiting runs and its occurrences from now on, for the reason in the note. Without one, a pause in
    /// force keeps its own.
    Pause(Option<String>),
    /// Fires its occurrences again from now on, and forgets its failures.
    Resume,
    /// Skips its next occurrence.
    SkipNext,
}

/// A cron's state around a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedCronState {
    pub before: CronState,
    pub after: CronState,
    /// How many waiting runs the change has skipped.
    pub skipped: usize,
}

impl Store {
    /// Changes the state of the cron with this name or id. Returns `None` if there is no such cron.
    pub async fn change_cron_state(
        &self,
        now: Timestamp,
        name: String,
        change: CronStateChange,
    ) -> Result<Option<ChangedCronState>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(entry) = cron_entries::named(tx, &name)? else { return Ok(None) };
            // What was due until now is decided by the state that the cron had until now.
            plan_until(tx, &scheduled(tx, &cache, &entry)?, now)?;
            let before = entry.state;
            let mut after = match cron_entries::by_id(tx, entry.cron_id)? {
                Some(planned) => planned.state,
                None => return Ok(None),
            };
            match &change {
                CronStateChange::Pause(note) => {
                    let (since, former) = after.paused.map_or((now, None), |pause| (pause.since, pause.note));
                    let (cause, note) = (PauseCause::Request, note.clone().or(former));
                    after.paused = Some(Pause { since, cause, note });
                }
                CronStateChange::Resume => {
                    after = CronState { skip_next: after.skip_next, ..CronState::default() }
                }
                CronStateChange::SkipNext => after.skip_next = true,
            }
            save_state(tx, entry.cron_id, &after)?;
            let skipped = revise_waiting(tx, &cache, entry.cron_id, now)?;
            Ok(Some(ChangedCronState { before, after, skipped }))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
