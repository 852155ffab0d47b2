//! Changes of a cron's state: a person pauses it, resumes it, or skips its next occurrence.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::accounting::{Unaccounted, plan_until};
use super::counts::Tx;
use super::cron_entries::{self, CronEntry, save_state};
use super::definitions::Definitions;
use super::edits::revise_waiting;
use super::rows::whole_millis;
use super::{Store, StoreError, acts, pauses_of_all};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::cron_state::{CronState, Pause, PauseCause};

/// A change that a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronStateChange {
    /// Skips its waiting runs and its occurrences from now on, until this instant if there is one, for the reason in the
    /// note. Without a note, a pause in force keeps its own.
    Pause { note: Option<String>, until: Option<Timestamp> },
    /// Fires its occurrences again from now on, and forgets its failures.
    Resume,
    /// Skips its next occurrence.
    SkipNext,
}

/// A cron's state around a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedCronState {
    pub before: CronState,
    /// If the cron has no pause of its own, its pause is the one of all crons that is in force.
    pub after: CronState,
    /// How many waiting runs the change has skipped.
    pub skipped: usize,
}

impl CronStateChange {
    fn kind(&self) -> ActKind {
        match self {
            Self::Pause { .. } => ActKind::Paused,
            Self::Resume => ActKind::Resumed,
            Self::SkipNext => ActKind::SkipNext,
        }
    }

    fn note(&self) -> Option<String> {
        match self {
            Self::Pause { note, until } => pause_note(note.as_deref(), *until),
            Self::Resume | Self::SkipNext => None,
        }
    }
}

/// Returns what the act of a pause says of it.
pub(super) fn pause_note(note: Option<&str>, until: Option<Timestamp>) -> Option<String> {
    let until = until.map(|until| format!("until {until}"));
    let parts: Vec<&str> = note.into_iter().chain(until.as_deref()).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

impl Store {
    /// Changes the state of the cron with this name or id. Returns `None` if there is no such cron.
    pub async fn change_cron_state(
        &self,
        now: Timestamp,
        by: Actor,
        name: String,
        change: CronStateChange,
    ) -> Result<Option<ChangedCronState>, StoreError> {
        loop {
            let cache = self.definitions.clone();
            let (by, name, change) = (by.clone(), name.clone(), change.clone());
            let attempt = self.write(move |tx| change_state(tx, &cache, now, &by, &name, &change)).await?;
            let (attempt, unaccounted) = attempt;
            unaccounted.iter().for_each(Unaccounted::log);
            if let ControlFlow::Break(changed) = attempt {
                return Ok(changed);
            }
        }
    }
}

/// Changes a cron's state, once all that was due until now is decided by the state that it had until now. Goes on in another
/// transaction if one may not plan that much of the cron. Returns a former definition that cannot be read as well.
fn change_state(
    tx: &Tx<'_>,
    cache: &Definitions,
    now: Timestamp,
    by: &Actor,
    name: &str,
    change: &CronStateChange,
) -> Result<(ControlFlow<Option<ChangedCronState>>, Option<Unaccounted>), StoreError> {
    let Some(entry) = cron_entries::named(tx, name)? else { return Ok((ControlFlow::Break(None), None)) };
    let (is_planned, unaccounted) = plan_until(tx, cache, &entry, now)?;
    if !is_planned {
        return Ok((ControlFlow::Continue(()), unaccounted));
    }
    let before = entry.state.at(now);
    let Some(CronEntry { state: planned, .. }) = cron_entries::by_id(tx, entry.cron_id)? else {
        return Ok((ControlFlow::Break(None), unaccounted));
    };
    let planned = planned.at(now);
    let mut after = planned.clone();
    match change {
        CronStateChange::Pause { note, until } => {
            let former = after.paused.take().unwrap_or(Pause::since(now, PauseCause::Request));
            let (cause, note) = (PauseCause::Request, note.clone().or(former.note));
            after.paused = Some(Pause { until: until.map(whole_millis), cause, note, ..former });
        }
        CronStateChange::Resume => {
            after = CronState { paused: None, failures: 0, failing_since: None, ..after }
        }
        CronStateChange::SkipNext => after.skip_next = true,
    }
    if after != planned {
        let (by, what) = (by.clone(), change.kind());
        let subject = Subject::cron(entry.cron_id, &entry.name);
        acts::record(tx, &Act { at: now, by, what, subject, note: change.note() })?;
    }
    save_state(tx, entry.cron_id, &after)?;
    if after.paused.as_ref().is_some_and(|pause| pause.until.is_some()) {
        // Its end is recorded when it comes, and not only when something is due.
        tx.execute("UPDATE crons SET next_at = 0 WHERE cron_id = ?1", [entry.cron_id.to_string()])?;
    }
    let skipped = revise_waiting(tx, cache, entry.cron_id, now)?;
    let paused = after.paused.or(pauses_of_all::now(tx, now)?);
    let after = CronState { paused, ..after };
    Ok((ControlFlow::Break(Some(ChangedCronState { before, after, skipped })), unaccounted))
}

#[cfg(test)]
mod tests;
