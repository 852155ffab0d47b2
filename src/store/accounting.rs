//! What the definition of a cron left undecided when it was replaced, or when its cron was removed: the present definition
//! decides about it. That is done in bounded steps, of which the change itself makes the first and the planner the others.

use std::sync::Arc;

use jiff::Timestamp;

use super::StoreError;
use super::counts::Tx;
use super::cron_entries::CronEntry;
use super::definitions::Definitions;
use super::planning::{FormerVersion, Pass, PlannedCron};
use super::room::Room;
use super::rows::millis;
use super::scheduled_crons::{ScheduledCron, scheduled};
use super::sql::Transaction;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::edit::drop_reason;
use crate::domain::ids::DefinitionId;
use crate::domain::plan::undecided_after;
use crate::domain::reason::{Reason, ReasonCode};

/// What a cron becomes.
#[derive(Clone, Copy)]
pub(super) enum NewVersion<'a> {
    Edited(&'a Arc<Cron>, DefinitionId),
    Removed,
}

/// How far a cron is accounted for after a change.
pub(super) struct Accounted {
    pub(super) cursor: Timestamp,
    /// The definition that was in force after `cursor`, if anything is left undecided; [`plan_cron`] goes on with it.
    pub(super) former: Option<DefinitionId>,
    /// How many occurrences were decided about.
    pub(super) occurrences: usize,
    pub(super) unaccounted: Option<Unaccounted>,
}

/// A cron whose old definition cannot be read back, so that nothing is recorded for what was due by it: a former version of
/// this program wrote it, its meaning is unknown, and it must not stop the new one.
#[derive(Clone, Debug)]
pub(super) struct Unaccounted {
    cron_name: String,
    problem: String,
}

impl Unaccounted {
    /// Logs it. Call this only after the commit.
    pub(super) fn log(&self) {
        let Self { cron_name, problem } = self;
        tracing::warn!(cron = cron_name, problem, "what was due by the old definition is not recorded");
    }
}

/// Returns the reason for which the occurrences and the waiting runs of a removed cron are skipped.
pub(super) fn removal_reason(entry: &CronEntry) -> Reason {
    let why = match entry.source {
        CronSource::File => "is in no configuration file any more",
        CronSource::Api => "was deleted through the API",
    };
    Reason::new(ReasonCode::Removed, format!("removed: {} {why}", entry.name))
}

/// Accounts for what the definition of `entry` left undecided until now, as far as at most so many occurrences go. Call it
/// before the cron gets its new definition, or none.
pub(super) fn account_until(
    tx: &Tx<'_>,
    cache: &Definitions,
    entry: &CronEntry,
    new: NewVersion<'_>,
    occurrences_max: usize,
    now: Timestamp,
) -> Result<Accounted, StoreError> {
    let finished = Accounted { cursor: now, former: None, occurrences: 0, unaccounted: None };
    let former = match former(tx, cache, entry)? {
        Ok(former) => former,
        Err(unaccounted) => return Ok(Accounted { unaccounted: Some(unaccounted), ..finished }),
    };
    let undecided = match entry.former {
        Some(_) => Some(entry.cursor),
        None => undecided_after(&former.cron, entry.cursor, now),
    };
    let Some(cursor) = undecided else { return Ok(finished) };
    let mut room = Room::none();
    let mut pass = Pass::begin(tx, cursor, &mut room, now)?;
    pass.occurrences_max = occurrences_max;
    let entry = CronEntry { cursor, ..entry.clone() };
    let former_id = Some(former.definition_id);
    let PlannedCron { cursor, next_wake, occurrences, .. } = step(&mut pass, tx, &entry, former, new, now)?;
    Ok(match next_wake {
        Some(next) if next <= now => Accounted { cursor, former: former_id, occurrences, ..finished },
        Some(_) | None => Accounted { occurrences, ..finished },
    })
}

/// Plans a cron as far as the pass goes: what a former definition left undecided, if anything, and after that by its
/// present one.
pub(super) fn plan_cron(
    pass: &mut Pass<'_>,
    tx: &Tx<'_>,
    cache: &Definitions,
    entry: &CronEntry,
) -> Result<(PlannedCron, Option<Unaccounted>), StoreError> {
    if entry.former.is_none() {
        return Ok((pass.plan(tx, &scheduled(tx, cache, entry)?, None, entry)?, None));
    }
    let now = pass.now;
    let cron = cache.get(tx, entry.definition_id, &entry.name)?;
    let new = match entry.removed {
        true => NewVersion::Removed,
        false => NewVersion::Edited(&cron, entry.definition_id),
    };
    let (planned, unaccounted) = match former(tx, cache, entry)? {
        Ok(former) => (step(pass, tx, entry, former, new, entry.changed_at)?, None),
        Err(unaccounted) => (PlannedCron::nothing_until(now), Some(unaccounted)),
    };
    if planned.next_wake.is_some_and(|next| next <= now) {
        return Ok((planned, None));
    }
    end(tx, entry, now)?;
    // From here on, the present definition decides alone.
    let next_wake = (!entry.removed).then_some(now);
    Ok((PlannedCron { cursor: now, next_wake, ..planned }, unaccounted))
}

/// Plans a cron up to `now` as far as one pass goes, and returns whether everything until then is decided, and a former definition
/// that cannot be read.
pub(super) fn plan_until(
    tx: &Tx<'_>,
    cache: &Definitions,
    entry: &CronEntry,
    now: Timestamp,
) -> Result<(bool, Option<Unaccounted>), StoreError> {
    let mut room = Room::none();
    let mut pass = Pass::begin(tx, entry.cursor, &mut room, now)?;
    let (planned, unaccounted) = plan_cron(&mut pass, tx, cache, entry)?;
    Ok((planned.next_wake.is_none_or(|next| next > now), unaccounted))
}

/// Returns the definition that was in force after the cursor of a cron, or that it cannot be read back.
fn former(
    tx: &Transaction<'_>,
    cache: &Definitions,
    entry: &CronEntry,
) -> Result<Result<ScheduledCron, Unaccounted>, StoreError> {
    let definition_id = entry.former.unwrap_or(entry.definition_id);
    match scheduled(tx, cache, &CronEntry { definition_id, ..entry.clone() }) {
        Ok(former) => Ok(Ok(former)),
        Err(problem @ (StoreError::BadRow(_) | StoreError::NotFound(_))) => {
            Ok(Err(Unaccounted { cron_name: entry.name.clone(), problem: problem.to_string() }))
        }
        Err(error) => Err(error),
    }
}

/// Plans by the new version what the former one left undecided, which was in force until then.
fn step(
    pass: &mut Pass<'_>,
    tx: &Tx<'_>,
    entry: &CronEntry,
    version: ScheduledCron,
    new: NewVersion<'_>,
    until: Timestamp,
) -> Result<PlannedCron, StoreError> {
    let (cron, definition_id, reason) = match new {
        NewVersion::Edited(cron, definition_id) => (Arc::clone(cron), definition_id, drop_reason(cron)),
        NewVersion::Removed => {
            let none = Cron { enabled: false, ..Cron::clone(&version.cron) };
            (Arc::new(none), version.definition_id, removal_reason(entry))
        }
    };
    let former = FormerVersion { version, until, reason };
    pass.plan(tx, &ScheduledCron { cron, definition_id }, Some(&former), entry)
}

/// Notes that a former definition has nothing left.
fn end(tx: &Transaction<'_>, entry: &CronEntry, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE crons SET former_definition_id = NULL, cursor = max(cursor, ?2), \
               next_at = iif(removed_at IS NULL, 0, NULL) WHERE cron_id = ?1";
    tx.execute(sql, (entry.cron_id.to_string(), millis(now)))?;
    Ok(())
}

#[cfg(test)]
mod tests;
