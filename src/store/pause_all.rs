//! Pauses all crons and ends that, through the daemon or while none has the store.

use jiff::Timestamp;

use super::counts::Tx;
use super::cron_state::pause_note;
use super::definitions::Definitions;
use super::edits::revise_waiting;
use super::pauses_of_all::{now, record, record_end};
use super::rollups;
use super::rows::{millis, parsed, whole_millis};
use super::sql::Transaction;
use super::{DaemonLock, Place, Store, StoreError, open};
use crate::clock::Clock;
use crate::domain::act::{ActKind, Actor};
use crate::domain::bounds::PAUSES_OF_ALL_KEPT;
use crate::domain::cron_state::{Pause, PauseCause};
use crate::domain::ids::{CronId, InstallationId};

/// A change that a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PauseOfAllChange {
    /// Skips the waiting runs and the occurrences of all crons from now on, until this instant if there is one, for the
    /// reason in the note. Without a note, a pause in force keeps its own.
    Pause { note: Option<String>, until: Option<Timestamp> },
    /// Lets them be fired again from now on, except those of crons that are paused by themselves.
    Resume,
}

/// The pause of all crons around a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPauseOfAll {
    pub before: Option<Pause>,
    pub after: Option<Pause>,
    /// How many waiting runs the change has skipped.
    pub skipped: usize,
}

impl Store {
    /// Begins, changes or ends the pause of all crons.
    pub async fn change_pause_of_all(
        &self,
        now: Timestamp,
        by: Actor,
        change: PauseOfAllChange,
    ) -> Result<ChangedPauseOfAll, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| apply(tx, &cache, &by, &change, now)).await
    }
}

/// Does the same while no daemon has the store, whose lock it takes meanwhile.
///
/// # Errors
/// [`StoreError::Taken`] if a daemon has it. Those of opening it; it is not created.
pub fn change_pause_of_all_alone(
    place: &Place,
    now: Timestamp,
    by: &Actor,
    change: &PauseOfAllChange,
) -> Result<ChangedPauseOfAll, StoreError> {
    // Made by a person, it might belong to another user than the daemon.
    drop(place.open_to_read()?);
    // Where daemons share the store, one that begins meanwhile finds the change.
    let _lock = place.file().map(DaemonLock::take).transpose()?;
    let mut connection = place.open_to_write(InstallationId::default(), &Clock::system())?;
    let tx = Tx::begin(&mut connection)?;
    let cache = Definitions::new(open::installation_id(&tx)?);
    let changed = apply(&tx, &cache, by, change, now)?;
    tx.roll_up(rollups::CORRECTIONS)?;
    match tx.commit()? {
        (_, None) => Ok(changed),
        (_, Some(_)) => Err(StoreError::Unconfirmed),
    }
}

fn apply(
    tx: &Tx<'_>,
    cache: &Definitions,
    by: &Actor,
    change: &PauseOfAllChange,
    at: Timestamp,
) -> Result<ChangedPauseOfAll, StoreError> {
    record_end(tx, at)?;
    let before = now(tx, at)?;
    match (change, &before) {
        (PauseOfAllChange::Resume, None) => {}
        (PauseOfAllChange::Resume, Some(pause)) => {
            let sql = "UPDATE pauses_of_all SET until = ?2, ended = 'request' WHERE since = ?1";
            tx.execute(sql, (millis(pause.since), millis(at)))?;
            record(tx, at, by, ActKind::AllResumed, None)?;
        }
        (PauseOfAllChange::Pause { note, until }, before) => {
            let former = before.clone().unwrap_or(Pause::since(at, PauseCause::All));
            let pause = Pause {
                until: until.map(whole_millis),
                note: note.clone().or(former.note.clone()),
                ..former
            };
            if Some(&pause) != before.as_ref() {
                let sql = "INSERT INTO pauses_of_all (since, until, note) VALUES (?1, ?2, ?3) \
                           ON CONFLICT (since) DO UPDATE SET until = excluded.until, note = excluded.note, ended = NULL";
                tx.execute(sql, (millis(pause.since), pause.until.map(millis), &pause.note))?;
                record(tx, at, by, ActKind::AllPaused, pause_note(note.as_deref(), *until))?;
                forget_old(tx)?;
            }
        }
    }
    Ok(ChangedPauseOfAll { before, after: now(tx, at)?, skipped: skip_waiting(tx, cache, at)? })
}

/// Skips the runs that wait and must not be sent while all crons are paused, and returns how many those were.
fn skip_waiting(tx: &Tx<'_>, cache: &Definitions, at: Timestamp) -> Result<usize, StoreError> {
    if now(tx, at)?.is_none() {
        return Ok(0);
    }
    let sql = "SELECT DISTINCT cron_id FROM runs INDEXED BY runs_in_progress \
               WHERE phase <> 'ended' AND phase = 'pending' AND cron_id IS NOT NULL";
    let crons: Vec<CronId> = tx.query(sql, (), |row| parsed(row, "cron_id"))?;
    crons.into_iter().try_fold(0, |skipped, cron_id| Ok(skipped + revise_waiting(tx, cache, cron_id, at)?))
}

fn forget_old(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let sql = "DELETE FROM pauses_of_all WHERE ended IS NOT NULL \
               AND since NOT IN (SELECT since FROM pauses_of_all ORDER BY since DESC LIMIT ?1)";
    tx.execute(sql, [PAUSES_OF_ALL_KEPT])?;
    Ok(())
}

#[cfg(test)]
mod tests;
