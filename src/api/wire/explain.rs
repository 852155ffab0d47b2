//! Why a cron did, did not, or will not fire at an instant.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Act, Run, Time, Word, instant_verdicts};
use crate::domain::cron::Cron;
use crate::domain::run::Status;
use crate::present::explain::{InstantFacts, InstantVerdict, explain, instant_after, instant_before};
use crate::present::times;
use crate::store::{CronRecord, DaemonState, Reader, RunRow, StoreError};

/// Why a cron did, did not, or will not fire at an instant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub cron_name: String,
    pub at: Time,
    /// The same in the time zone of the cron.
    #[schema(format = DateTime)]
    pub local: String,
    #[schema(schema_with = instant_verdicts)]
    pub verdict: Word<InstantVerdict>,
    /// Why, human-readable.
    pub detail: String,
    /// The last instant of its schedule before that.
    pub before: Option<Time>,
    /// The first instant of its schedule after that.
    pub after: Option<Time>,
    /// The run, or the record of occurrences that never ran, by which this is known; null if there is none.
    pub run: Option<Run>,
    /// All runs of that occurrence, the first one first.
    pub runs: Vec<Run>,
    /// The time zone of the cron.
    pub timezone: String,
    /// Who paused the cron, or all crons, if that is the reason; null if it is not, or if it is not known any more.
    pub paused_by: Option<Act>,
    /// When the cron was removed; null if it was not.
    pub removed_at: Option<Time>,
}

impl Explanation {
    /// Returns `None` if there is no such cron, and a text if nothing can be said about it. `at` is the last instant of its
    /// schedule if absent. The times in `detail` are in this zone.
    pub fn read(
        reader: &Reader,
        daemon: &DaemonState,
        (name, at): (&str, Option<Timestamp>),
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Option<Result<Self, String>>, StoreError> {
        let Some(record) = reader.cron_record(name)? else { return Ok(None) };
        let cron = match &record.cron {
            Ok(cron) => cron,
            Err(problem) => return Ok(Some(Err(problem.clone()))),
        };
        let Some(at) = at.or_else(|| instant_before(cron, now)) else {
            return Ok(Some(Err(format!("{} has not had any instant yet; give one as `at`", record.name))));
        };
        let mut records = reader.runs_at(record.cron_id, at)?;
        if records.is_empty() {
            records.extend(range_of(reader, &record, at)?);
        }
        // What became of an occurrence is what became of the last of its runs that took place.
        let took_place = |row: &&RunRow| row.status().is_none_or(Status::took_place);
        let found = records.iter().rev().find(took_place).or(records.last());
        // What an older definition planned is explained by that definition.
        let then = found.map_or(Ok(None), |row| definition_of(reader, &record, row))?;
        let then = then.as_ref().unwrap_or(cron);
        let explanation = explain(&InstantFacts { record: &record, cron: then, found, at, now, daemon });
        let run = explanation.run().map(Run::of);
        let paused_by = match explanation.is_paused() {
            true => reader.paused_by(record.cron_id, at)?,
            false => None,
        };
        let by_whom = paused_by.as_ref().map(|act| format!("; paused by {}", act.by)).unwrap_or_default();
        Ok(Some(Ok(Self {
            cron_name: record.name.clone(),
            at: Time(at),
            local: times::rfc3339(at, cron.calendar.zone()),
            verdict: Word(explanation.verdict()),
            detail: explanation.message(zone) + &by_whom,
            before: instant_before(cron, at).map(Time),
            after: instant_after(cron, at).map(Time),
            runs: if run.is_some() { records.iter().map(Run::of).collect() } else { Vec::new() },
            run,
            timezone: cron.calendar.timezone().to_owned(),
            paused_by: paused_by.as_ref().map(Act::of),
            removed_at: record.removed_at.map(Time),
        })))
    }
}

/// Returns the record of the range that counts this instant, or else of one around it.
fn range_of(reader: &Reader, record: &CronRecord, at: Timestamp) -> Result<Option<RunRow>, StoreError> {
    let mut ranges = reader.ranges_around(record.cron_id, at)?;
    for index in 0..ranges.len() {
        let definition = definition_of(reader, record, &ranges[index])?;
        if definition.is_some_and(|definition| definition.calendar.names(at)) {
            return Ok(Some(ranges.swap_remove(index)));
        }
    }
    Ok(ranges.into_iter().next())
}

fn definition_of(reader: &Reader, record: &CronRecord, row: &RunRow) -> Result<Option<Cron>, StoreError> {
    match &row.run.cron {
        Some(version) => reader.definition(version.definition_id, &record.name),
        None => Ok(None),
    }
}
