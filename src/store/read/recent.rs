//! How the latest runs of a cron went, and how its definition has changed.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::history::WENT_WRONG;
use super::{RunRow, row_columns, run_row};
use crate::domain::bounds::{RECENT_FAILURES, RECENT_RUNS, RECENT_VERSIONS};
use crate::domain::cron_state::CronHealth;
use crate::domain::ids::{CronId, DefinitionId};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, parsed_option, time, time_option};
use crate::store::sql::Transaction;

/// What the latest ends of a cron's runs say about it, at most [`RECENT_RUNS`]. An end that an outage or a person caused says
/// nothing, and is none of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    pub runs: u64,
    /// How many of them worked.
    pub ok: u64,
    /// How long those took that the agent server had, the shortest first.
    took: Vec<SignedDuration>,
}

impl Recent {
    /// Returns the time within which so many of a hundred runs ended, or `None` if the agent server had none of them.
    pub fn took(&self, percent: usize) -> Option<SignedDuration> {
        percentile(&self.took, percent)
    }
}

/// Returns the value that so many of a hundred do not exceed.
pub(super) fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Failures of a cron that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Failures {
    /// How many occurrences they concern.
    pub count: u64,
    /// The first of these.
    pub since: Timestamp,
    pub last: RunRow,
}

/// A version of a cron's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub definition_id: DefinitionId,
    /// When the cron got it last.
    pub since: Timestamp,
    /// How it differs from the version before it; empty for the first one.
    pub changes: Vec<KeyChange>,
}

/// A key that two versions of a definition do not have alike, with what each says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    pub key: String,
    /// `None` if the older version does not have the key.
    pub old: Option<Value>,
    /// `None` if the newer version does not have it.
    pub new: Option<Value>,
}

pub(super) fn recent(tx: &Transaction<'_>, cron_id: CronId) -> Result<Recent, StoreError> {
    let mut recent = Recent::default();
    let sql = "SELECT status, reason_code, started_at, ended_at FROM runs \
               WHERE cron_id = ?1 AND phase = 'ended' AND status NOT IN ('skipped', 'missed') \
               ORDER BY scheduled_for DESC, retry DESC LIMIT ?2";
    tx.each(sql, (cron_id.to_string(), RECENT_RUNS), |row| {
        let works = match CronHealth::of_end(parsed(row, "status")?, parsed_option(row, "reason_code")?) {
            CronHealth::Works => true,
            CronHealth::Fails => false,
            CronHealth::Unknown => return Ok(()),
        };
        recent.runs += 1;
        recent.ok += u64::from(works);
        if let Some(started_at) = time_option(row, "started_at")? {
            recent.took.push(time(row, "ended_at")?.duration_since(started_at));
        }
        Ok(())
    })?;
    recent.took.sort_unstable();
    Ok(recent)
}

/// Returns what went wrong since this time, like with like, the latest first.
pub(super) fn failures(
    tx: &Transaction<'_>,
    cron_id: CronId,
    since: Timestamp,
) -> Result<Vec<Failures>, StoreError> {
    let sql = format!(
        "SELECT {}, alike.count, alike.since FROM (SELECT seq AS latest, sum(occurrences) OVER of_kind AS count, \
         min(scheduled_for) OVER of_kind AS since, \
         row_number() OVER (of_kind ORDER BY scheduled_for DESC, retry DESC) AS place FROM runs \
         WHERE cron_id = ?1 AND scheduled_for >= ?2 AND {} \
         WINDOW of_kind AS (PARTITION BY status, reason_code, error ->> 'error')) AS alike JOIN runs ON seq = latest \
         WHERE place = 1 ORDER BY scheduled_for DESC LIMIT ?3",
        row_columns(),
        *WENT_WRONG
    );
    tx.query(&sql, (cron_id.to_string(), millis(since), RECENT_FAILURES), |row| {
        let (count, since) = (row.count("count")?, time(row, "since")?);
        Ok(Failures { count, since, last: run_row(tx, row)? })
    })
}

/// Returns the latest versions of a definition, the present one first. Definitions that only runs with an input of their own
/// have are none of its versions.
pub(super) fn versions(tx: &Transaction<'_>, cron_id: CronId) -> Result<Vec<Version>, StoreError> {
    let mut found: Vec<(Version, Map<String, Value>)> = Vec::new();
    tx.each(
        "SELECT d.definition_id AS definition_id, d.body AS body, \
         iif(d.definition_id = c.definition_id, c.updated_at, d.created_at) AS since \
         FROM definitions AS d JOIN crons AS c USING (cron_id) WHERE cron_id = ?1 \
         AND (d.definition_id = c.definition_id OR d.definition_id NOT IN \
         (SELECT definition_id FROM runs WHERE cron_id = ?1 AND own_definition = 1)) \
         ORDER BY d.definition_id = c.definition_id DESC, since DESC LIMIT ?2 + 1",
        (cron_id.to_string(), RECENT_VERSIONS),
        |row| {
            let body = serde_json::from_str(row.value("body")?.as_str().unwrap_or_default())
                .map_err(|error| StoreError::BadRow(format!("a stored definition: {error}")))?;
            if let Some((newer, fields)) = found.last_mut() {
                newer.changes = differences(fields, &body);
            }
            let (definition_id, since) = (parsed(row, "definition_id")?, time(row, "since")?);
            found.push((Version { definition_id, since, changes: Vec::new() }, body));
            Ok(())
        },
    )?;
    Ok(found.into_iter().take(RECENT_VERSIONS as usize).map(|(version, _)| version).collect())
}

/// Returns the keys that two definitions do not have alike.
pub fn differences(newer: &Map<String, Value>, older: &Map<String, Value>) -> Vec<KeyChange> {
    let gone = older.keys().filter(|key| !newer.contains_key(*key));
    let other = newer.iter().filter(|(key, value)| older.get(*key) != Some(*value)).map(|(key, _)| key);
    let change = |key: &String| KeyChange {
        key: key.clone(),
        old: older.get(key).cloned(),
        new: newer.get(key).cloned(),
    };
    other.chain(gone).map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_runs_ended_within_its_time() {
        let of = |count: i64| Recent {
            took: (1..=count).map(SignedDuration::from_secs).collect(),
            ..Recent::default()
        };
        for (count, percent, seconds) in [
            (0, 50, None),
            (1, 50, Some(1)),
            (1, 95, Some(1)),
            (4, 50, Some(2)),
            (20, 95, Some(19)),
            (50, 95, Some(48)),
        ] {
            assert_eq!(
                of(count).took(percent),
                seconds.map(SignedDuration::from_secs),
                "{percent} % of {count}"
            );
        }
    }

    #[test]
    fn keys_that_were_added_changed_or_removed_differ() {
        let fields = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let (newer, older) =
            (fields(r#"{"a": 1, "b": {"c": 2}, "d": 3}"#), fields(r#"{"a": 1, "b": {"c": 3}, "e": 4}"#));
        let found = differences(&newer, &older);
        let texts = found.iter().map(|KeyChange { key, old, new }| {
            let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
            format!("{key}: {} to {}", text(old), text(new))
        });
        assert_eq!(texts.collect::<Vec<_>>(), [r#"b: {"c":3} to {"c":2}"#, "d: - to 3", "e: 4 to -"]);
    }
}
