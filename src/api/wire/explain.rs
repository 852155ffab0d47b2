//! Why a cron did, did not, or will not fire at an instant.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Run, Time, Word, instant_verdicts};
use crate::domain::run::Status;
use crate::present::explain::{InstantFacts, InstantVerdict, explain, instant_after, instant_before};
use crate::present::times;
use crate::store::{DaemonState, Reader, RunRow, StoreError};

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
        let records = reader.records_at(record.cron_id, at)?;
        // What became of an occurrence is what became of the last of its runs that took place.
        let took_place = |row: &&RunRow| !matches!(row.status(), Some(Status::Skipped | Status::Missed));
        let found = records.iter().rev().find(took_place).or(records.last());
        // What an older definition planned is explained by that definition.
        let then = match found.and_then(|row| row.run.cron.as_ref()) {
            Some(version) => reader.definition(version.definition_id, &record.name)?,
            None => None,
        };
        let then = then.as_ref().unwrap_or(cron);
        let explanation = explain(&InstantFacts { record: &record, cron: then, found, at, now, daemon });
        let run = explanation.run().map(Run::of);
        Ok(Some(Ok(Self {
            cron_name: record.name.clone(),
            at: Time(at),
            local: times::rfc3339(at, cron.calendar.zone()),
            verdict: Word(explanation.verdict()),
            detail: explanation.message(zone),
            before: instant_before(cron, at).map(Time),
            after: instant_after(cron, at).map(Time),
            runs: if run.is_some() { records.iter().map(Run::of).collect() } else { Vec::new() },
            run,
            timezone: cron.calendar.timezone().to_owned(),
            removed_at: record.removed_at.map(Time),
        })))
    }
}
