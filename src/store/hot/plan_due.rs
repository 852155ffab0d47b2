//! Plans all crons that are due, in one transaction.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff;
use crate::domain::bounds::{CONTENDED_WAIT, CRONS_PER_PASS, PLANNED_WITHIN};
use crate::domain::cron::CronSource;
use crate::domain::ids::CronId;
use crate::store::accounting::{Unaccounted, plan_cron};
use crate::store::counts::Tx;
use crate::store::cron_entries::{self, NextPlan};
use crate::store::definitions::Definitions;
use crate::store::planning::Pass;
use crate::store::room::Room;
use crate::store::rows::millis;
use crate::store::sql::Transaction;
use crate::store::{Store, StoreError, pauses_of_all};

/// What was planned in a pass.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// How many runs were added.
    pub fired: usize,
    /// Which cron is planned next, and when; `None` if no cron has a further occurrence.
    pub next: NextPlan,
    /// When the next pass is due for that: later than `next` if crons that are due wait for room.
    pub pass_at: Option<Timestamp>,
    /// Whether crons are due that this pass has not planned, and that nobody else is about to plan.
    pub(in crate::store) more_is_free: bool,
    /// Whether the cursor of a cron lies ahead of `now`, so that it was not planned: the clock was set back.
    pub is_ahead: bool,
    /// Crons whose definitions cannot be read back, and why. They are not planned, so that the others still fire.
    pub(in crate::store) unreadable: Vec<(String, String)>,
    pub(in crate::store) unaccounted: Vec<Unaccounted>,
}

impl Store {
    /// Plans the crons that are due and sends nothing.
    #[cfg(test)]
    pub(crate) async fn plan_due(&self, now: Timestamp) -> Result<Planned, StoreError> {
        let cache = self.definitions.clone();
        let planned = self.write_hot(move |tx| plan_pass(tx, &cache, &mut Room::none(), now)).await?;
        planned.log();
        Ok(planned)
    }
}

impl Planned {
    pub(in crate::store) fn log(&self) {
        for (cron, problem) in &self.unreadable {
            tracing::error!(cron, problem, hourly = cron, "cron cannot be read and is not scheduled");
        }
        self.unaccounted.iter().for_each(Unaccounted::log);
    }
}

/// Plans the crons that are due, at most [`CRONS_PER_PASS`] of each source; the others are due in the next pass. As long
/// as none has been due for [`PLANNED_WITHIN`], no more are planned than there is room for, if there will be more soon.
pub(in crate::store) fn plan_pass(
    tx: &Tx<'_>,
    cache: &Definitions,
    room: &mut Room,
    now: Timestamp,
) -> Result<Planned, StoreError> {
    tx.foresee(cron_entries::NEXT_OF_EACH_SOURCE, ())?;
    tx.foresee(pauses_of_all::NOT_RECORDED_AS_OVER, ())?;
    let mut planned = Planned { next: cron_entries::next(tx)?, ..Planned::default() };
    let end_of_pause = pauses_of_all::record_end(tx, now)?;
    let Some((oldest, _)) = planned.next.clone().filter(|(at, _)| *at <= now) else {
        planned.pass_at = planned.next.iter().map(|(at, _)| *at).chain(end_of_pause).min();
        return Ok(planned);
    };
    let waits_for_room = room.more_soon && backoff::after(oldest, PLANNED_WITHIN) > now;
    let limit = if waits_for_room { room.starts.min(CRONS_PER_PASS) } else { CRONS_PER_PASS };
    let mut files = cron_entries::due(tx, CronSource::File, now, limit)?.into_iter();
    let mut clients = cron_entries::due(tx, CronSource::Api, now, limit)?.into_iter();
    let cursors = files.as_slice().iter().chain(clients.as_slice()).map(|entry| entry.cursor);
    let mut pass = Pass::begin(tx, cursors.min().unwrap_or(now), room, now)?;
    pass.occurrences_max /= (files.len() + clients.len()).max(1);
    // Only now, after their rows are locked, is it seen what others have committed about them.
    pass.read_ahead(tx, cache, files.as_slice().iter().chain(clients.as_slice()))?;
    let is_nothing_free = files.as_slice().is_empty() && clients.as_slice().is_empty() && limit > 0;
    while !(waits_for_room && pass.room.starts == 0) {
        let entry = match pass.room.next(!files.as_slice().is_empty(), !clients.as_slice().is_empty()) {
            Some(CronSource::File) => files.next(),
            Some(CronSource::Api) => clients.next(),
            None => files.next().or_else(|| clients.next()),
        };
        let Some(entry) = entry else { break };
        if entry.cursor > now {
            set_next(tx, entry.cron_id, Some(entry.cursor))?;
            planned.is_ahead = true;
            continue;
        }
        match plan_cron(&mut pass, tx, cache, &entry) {
            Ok((cron, unaccounted)) => {
                planned.fired += cron.fired;
                planned.unaccounted.extend(unaccounted);
            }
            // A former version of this program wrote it.
            Err(problem @ (StoreError::BadRow(_) | StoreError::NotFound(_))) => {
                set_next(tx, entry.cron_id, None)?;
                planned.unreadable.push((entry.name, problem.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    planned.fired -= pass.settle(tx)?;
    planned.next = cron_entries::next(tx)?;
    let delay = if waits_for_room && room.starts == 0 { PLANNED_WITHIN } else { Duration::ZERO };
    planned.more_is_free = !is_nothing_free && planned.next.as_ref().is_some_and(|(at, _)| *at <= now);
    let next = planned.next.iter().map(|(at, _)| match *at <= now {
        // Others plan what is due.
        true if is_nothing_free => backoff::after(now, CONTENDED_WAIT),
        true => backoff::after(*at, delay),
        false => *at,
    });
    planned.pass_at = next.chain(end_of_pause).min();
    Ok(planned)
}

fn set_next(tx: &Transaction<'_>, cron_id: CronId, next_at: Option<Timestamp>) -> Result<(), StoreError> {
    tx.put("UPDATE crons SET next_at = ?2 WHERE cron_id = ?1", (cron_id.to_string(), next_at.map(millis)))?;
    Ok(())
}
