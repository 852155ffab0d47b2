//! What has changed since somebody looked last, for those who show the state of the daemon and want to know when to read it
//! again. All of it is found by reading, so that commits cost nothing more while nobody looks.

use std::collections::{BTreeMap, BTreeSet};

use super::Reader;
use crate::domain::act::ActKind;
use crate::domain::bounds::{FEED_CHANGES_MAX, FEED_WATCHED_MAX};
use crate::domain::words::words;
use crate::store::sql::{Row, Transaction};
use crate::store::{NoticeKind, StoreError};

words!(
    /// What has changed.
    Topic {
        /// A run: it was added, goes on, has ended, or its record counts another occurrence.
        Run = "run",
        /// A cron: its definition, its state, or that it exists; without a name, all of them.
        Cron = "cron",
        /// A webhook, or how all of them are sent.
        Delivery = "delivery",
        /// An outage began or ended.
        Outage = "outage",
        /// The configuration that is in force, or the mistakes in it.
        Configuration = "configuration",
        /// The daemon itself.
        Daemon = "daemon",
    }
);

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub topic: Topic,
    /// The name of the cron that it is about, if it is about one.
    pub cron: Option<String>,
    /// The id of the run that it is about, if it is about one.
    pub run_id: Option<String>,
}

/// What has changed since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Changes(Vec<Change>),
    /// Too much to name.
    TooMuch,
}

/// What was seen at the last look.
#[derive(Clone, Debug, Default)]
pub struct FeedPosition {
    last_run: i64,
    last_delivery: i64,
    last_act: i64,
    /// When the latest record of occurrences that never ran was written.
    last_record: i64,
    /// When the latest definition came.
    last_version: i64,
    /// Runs in progress and webhooks on their way, by id: what they are about and how far they are.
    open: BTreeMap<String, (Change, String)>,
    /// Each as a text that differs if anything about it does.
    outages: String,
    configuration: String,
    daemon: String,
    delivery_mode: String,
    is_too_much: bool,
}

const OPEN_RUNS: &str = "SELECT run_id AS id, run_id, cron_name, phase || ' ' || start_number || ' ' || coalesce(cancelling, '') \
     || ' ' || coalesce(reason_code, '') AS progress FROM runs INDEXED BY runs_in_progress WHERE phase <> 'ended' LIMIT ?1";
const DUE_DELIVERIES: &str = "SELECT delivery_id AS id, runs.run_id AS run_id, cron_name, deliveries.status || ' ' || attempts AS progress \
     FROM deliveries JOIN runs ON runs.run_id = deliveries.run_id WHERE deliveries.due_at IS NOT NULL LIMIT ?1";
const SENT_DELIVERIES: &str = "SELECT delivery_id AS id, runs.run_id AS run_id, cron_name, deliveries.status || ' ' || attempts AS progress \
     FROM deliveries JOIN runs ON runs.run_id = deliveries.run_id WHERE deliveries.status = 'sending' LIMIT ?1";

impl Reader {
    /// Returns what has changed since the last look, each change once. The first look returns nothing.
    pub fn news(&self, position: Option<FeedPosition>) -> Result<(FeedPosition, News), StoreError> {
        self.at_one_moment(|tx| {
            let Some(before) = position else { return Ok((begin(tx)?, News::Changes(Vec::new()))) };
            let (after, changes) = look(tx, &before)?;
            let news = match after.is_too_much || changes.len() > FEED_CHANGES_MAX {
                true => News::TooMuch,
                false => News::Changes(changes.into_iter().collect()),
            };
            Ok((after, news))
        })
    }
}

fn begin(tx: &Transaction<'_>) -> Result<FeedPosition, StoreError> {
    let highest = |sql: &str| -> Result<i64, StoreError> { tx.query_value(sql, ()) };
    let mut position = FeedPosition {
        last_run: highest("SELECT coalesce(max(seq), 0) FROM runs")?,
        last_delivery: highest("SELECT coalesce(max(seq), 0) FROM deliveries")?,
        last_act: highest("SELECT coalesce(max(seq), 0) FROM acts")?,
        last_record: highest(
            "SELECT max(coalesce((SELECT max(ended_at) FROM runs WHERE status <> 'success' AND status = 'skipped'), 0), \
             coalesce((SELECT max(ended_at) FROM runs WHERE status <> 'success' AND status = 'missed'), 0))",
        )?,
        last_version: highest("SELECT coalesce(max(updated_at), 0) FROM crons")?,
        ..FeedPosition::default()
    };
    read_states(tx, &mut position)?;
    read_open(tx, &mut position)?;
    Ok(position)
}

fn look(tx: &Transaction<'_>, before: &FeedPosition) -> Result<(FeedPosition, BTreeSet<Change>), StoreError> {
    let mut changes = BTreeSet::new();
    let mut after = FeedPosition { open: BTreeMap::new(), is_too_much: false, ..before.clone() };
    read_open(tx, &mut after)?;
    for (id, (change, progress)) in &after.open {
        if before.open.get(id).is_none_or(|(_, former)| former != progress) {
            changes.insert(change.clone());
        }
    }
    let over = before.open.iter().filter(|(id, _)| !after.open.contains_key(*id));
    changes.extend(over.map(|(_, (change, _))| change.clone()));
    read_new(tx, &mut after, &mut changes)?;
    read_states(tx, &mut after)?;
    for (topic, former, present) in [
        (Topic::Outage, &before.outages, &after.outages),
        (Topic::Configuration, &before.configuration, &after.configuration),
        (Topic::Daemon, &before.daemon, &after.daemon),
        (Topic::Delivery, &before.delivery_mode, &after.delivery_mode),
    ] {
        if former != present {
            changes.insert(Change { topic, cron: None, run_id: None });
        }
    }
    Ok((after, changes))
}

/// Reads what is in progress. If that is too much, none of it is watched.
fn read_open(tx: &Transaction<'_>, position: &mut FeedPosition) -> Result<(), StoreError> {
    for (topic, sql) in
        [(Topic::Run, OPEN_RUNS), (Topic::Delivery, DUE_DELIVERIES), (Topic::Delivery, SENT_DELIVERIES)]
    {
        let mut count = 0;
        tx.each(sql, [FEED_WATCHED_MAX + 1], |row| {
            count += 1;
            let change = change_in(topic, row)?;
            position.open.insert(row.get("id")?, (change, row.get("progress")?));
            Ok(())
        })?;
        position.is_too_much |= count > FEED_WATCHED_MAX;
    }
    if position.is_too_much {
        position.open.clear();
    }
    Ok(())
}

/// Reads what was added since the last look, and what was added to.
fn read_new(
    tx: &Transaction<'_>,
    position: &mut FeedPosition,
    changes: &mut BTreeSet<Change>,
) -> Result<(), StoreError> {
    let most = u32::try_from(FEED_CHANGES_MAX + 1).unwrap_or(u32::MAX);
    let runs = "SELECT seq AS mark, run_id, cron_name FROM runs WHERE seq > ?1 ORDER BY seq DESC LIMIT ?2";
    let deliveries = "SELECT deliveries.seq AS mark, runs.run_id AS run_id, cron_name FROM deliveries \
                      JOIN runs ON runs.run_id = deliveries.run_id WHERE deliveries.seq > ?1 \
                      ORDER BY deliveries.seq DESC LIMIT ?2";
    let records = |status: &str| {
        format!(
            "SELECT ended_at AS mark, run_id, cron_name FROM runs INDEXED BY runs_unsuccessful \
             WHERE status <> 'success' AND status = '{status}' AND ended_at > ?1 ORDER BY ended_at DESC LIMIT ?2"
        )
    };
    let mut last_record = position.last_record;
    let FeedPosition { last_run, last_delivery, last_version, last_act, .. } = position;
    for (topic, sql, last) in [(Topic::Run, runs, last_run), (Topic::Delivery, deliveries, last_delivery)] {
        let since = *last;
        tx.each(sql, (since, most), |row| {
            *last = row.get::<i64>("mark")?.max(*last);
            changes.insert(change_in(topic, row)?);
            Ok(())
        })?;
    }
    for status in ["skipped", "missed"] {
        tx.each(&records(status), (position.last_record, most), |row| {
            last_record = row.get::<i64>("mark")?.max(last_record);
            changes.insert(change_in(Topic::Run, row)?);
            Ok(())
        })?;
    }
    let since = *last_version;
    let crons = "SELECT updated_at AS mark, name, source FROM crons WHERE updated_at > ?1 ORDER BY updated_at DESC LIMIT ?2";
    tx.each(crons, (since, most), |row| {
        *last_version = row.get::<i64>("mark")?.max(*last_version);
        changes.insert(Change { topic: Topic::Cron, cron: row.get("name")?, run_id: None });
        if row.get::<String>("source")? == "file" {
            changes.insert(Change { topic: Topic::Configuration, cron: None, run_id: None });
        }
        Ok(())
    })?;
    let since = *last_act;
    let acts =
        "SELECT seq AS mark, what, run_id, cron_name FROM acts WHERE seq > ?1 ORDER BY seq DESC LIMIT ?2";
    tx.each(acts, (since, most), |row| {
        *last_act = row.get::<i64>("mark")?.max(*last_act);
        let what = crate::store::rows::parsed(row, "what")?;
        changes.extend(topic_of(what).map(|topic| change_in(topic, row)).transpose()?);
        Ok(())
    })?;
    position.last_record = last_record;
    Ok(())
}

/// Returns what an act has changed, unless what it has changed shows that itself.
fn topic_of(what: ActKind) -> Option<Topic> {
    match what {
        ActKind::Paused | ActKind::Resumed | ActKind::SkipNext | ActKind::AllPaused | ActKind::AllResumed => {
            Some(Topic::Cron)
        }
        ActKind::Created | ActKind::Updated | ActKind::Deleted => Some(Topic::Cron),
        ActKind::WebhooksHeld
        | ActKind::WebhooksReleased
        | ActKind::WebhooksDiscarded
        | ActKind::WebhooksReplayed
        | ActKind::UrlResumed => Some(Topic::Delivery),
        ActKind::Pruned | ActKind::Forgotten => Some(Topic::Run),
        ActKind::Triggered | ActKind::Backfilled | ActKind::Retried | ActKind::Cancelled => None,
    }
}

fn change_in(topic: Topic, row: &Row<'_>) -> Result<Change, StoreError> {
    Ok(Change { topic, cron: row.get("cron_name")?, run_id: row.get("run_id")? })
}

/// Reads what there is little of, each as a text.
fn read_states(tx: &Transaction<'_>, position: &mut FeedPosition) -> Result<(), StoreError> {
    let all = |sql: &str| -> Result<String, StoreError> {
        Ok(tx.query(sql, (), |row| row.get::<String>(0))?.join("\n"))
    };
    position.outages = all("SELECT what || subject || since FROM outages \
         WHERE coalesce(until, 9223372036854775807) = 9223372036854775807 ORDER BY 1")?
        + &all("SELECT max(since) || '' FROM outages HAVING max(since) IS NOT NULL")?;
    let notices = |condition: &str| {
        all(&format!(
            "SELECT kind || at || count || detail FROM notices WHERE kind {condition} '{}' ORDER BY kind, daemon",
            NoticeKind::Configuration
        ))
    };
    position.configuration = notices("=")?;
    position.daemon =
        notices("<>")? + &all("SELECT max(number) || '' FROM daemons HAVING max(number) IS NOT NULL")?;
    position.delivery_mode = all(
        "SELECT coalesce(disabled_at, 0) || ' ' || coalesce(held_at, 0) || ' ' || coalesce(mistakes_at, 0) || ' ' \
         || coalesce(released_at, 0) FROM delivery_mode",
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
