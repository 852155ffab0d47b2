//! What is so now, or was so until a short while ago, as far as people may be told of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::before;
use crate::domain::bounds::{LATE_AFTER, NEWS_OF, NOTIFIED_AFTER, STILL_RUNNING_AFTER};
use crate::domain::cron_state::{CronState, Pause, PauseCause};
use crate::domain::notification::{Announced, Condition, NotificationKind};
use crate::domain::outage::Away;
use crate::store::cron_entries::state_from_row;
use crate::store::rows::{millis, time};
use crate::store::sql::{Row, Transaction};
use crate::store::{NoticeKind, StoreError, outages, pauses_of_all};

/// Returns what is so of these kinds. While the daemon has just begun, what was away before is not known to be back.
pub(super) fn now(
    tx: &Transaction<'_>,
    kinds: &BTreeSet<NotificationKind>,
    told: &[Announced],
    is_starting: bool,
    now: Timestamp,
) -> Result<Vec<Condition>, StoreError> {
    let mut found = Vec::new();
    for kind in kinds {
        let of_kind: HashMap<&str, &Announced> = told
            .iter()
            .filter(|row| row.kind == *kind && row.holds)
            .map(|row| (row.subject.as_str(), row))
            .collect();
        found.extend(match kind {
            NotificationKind::Failing | NotificationKind::Recovered => failing(tx, &of_kind, now)?,
            NotificationKind::Missed => missed(tx, before(now, NEWS_OF))?,
            NotificationKind::Paused => paused(tx, now)?,
            NotificationKind::Late => late(tx, before(now, LATE_AFTER))?,
            NotificationKind::StillRunning => still_running(tx, before(now, STILL_RUNNING_AFTER))?,
            NotificationKind::Outage => away(tx, &of_kind, is_starting, before(now, NEWS_OF))?,
            NotificationKind::Configuration => mistakes(tx, &of_kind, before(now, NOTIFIED_AFTER))?,
        });
    }
    Ok(found)
}

/// The columns of a cron that tell its state.
macro_rules! crons {
    ($which:literal) => {
        concat!(
            "SELECT cron_id, name, paused_at, pause_cause, pause_note, paused_until, pause_ended, skip_next, failures, \
             failing_since, recovered_at FROM crons WHERE ",
            $which
        )
    };
}

const FAILING: &str = crons!("failures > 0 AND removed_at IS NULL AND enabled = 1");
const PAUSED: &str = crons!("paused_at IS NOT NULL AND removed_at IS NULL AND enabled = 1");
const BY_ID: &str = crons!("cron_id = ?1");
/// The last failure of a cron. One that fails has failed a short while ago.
const WHY: &str = "SELECT coalesce(error ->> 'error', '') || ': ' || coalesce(error ->> 'message', reason, '') AS why FROM runs \
     WHERE cron_id = ?1 AND phase = 'ended' AND (status = 'error' OR status = 'timeout') \
     ORDER BY scheduled_for DESC, retry DESC LIMIT 1";

const MISSED: &str = "SELECT cron_id, cron_name, CAST(sum(occurrences) AS BIGINT) AS number, \
               max(coalesce(last_scheduled_for, scheduled_for)) AS last, max(ended_at) AS found_at, max(reason) AS why \
               FROM runs LEFT JOIN announced ON announced.kind = 'missed' AND announced.subject = runs.cron_id \
               WHERE status = 'missed' AND status <> 'success' AND ended_at >= ?1 AND cron_id IS NOT NULL \
               AND coalesce(last_scheduled_for, scheduled_for) > coalesce(announced.since, 0) GROUP BY cron_id, cron_name";
const LATE: &str = "SELECT cron_id, cron_name, count(*) AS number, min(due_at) AS since, max(reason) AS why FROM runs \
               WHERE phase = 'pending' AND phase <> 'ended' AND due_at <= ?1 AND cron_id IS NOT NULL AND trigger <> 'backfill' \
               GROUP BY cron_id, cron_name";
const STILL_RUNNING: &str = "SELECT cron_id, cron_name, min(started_at) AS since, min(run_id) AS first_run FROM runs \
               WHERE phase <> 'ended' AND phase = 'running' AND started_at <= ?1 AND cron_id IS NOT NULL \
               GROUP BY cron_id, cron_name";
const MISTAKES: &str = "SELECT host, min(at) AS since, max(count) AS number, max(detail) AS detail FROM notices WHERE kind = ?1 GROUP BY host";

/// Whether a daemon of a machine has had the time to say whether its files have mistakes.
const HAS_DAEMON: &str = "SELECT EXISTS (SELECT 1 FROM daemons WHERE recovered_at IS NULL AND stopped_at IS NULL AND host = ?1 \
     AND started_at <= ?2)";

#[cfg(test)]
pub(super) const LOOKED_AT: [&str; 8] =
    [FAILING, PAUSED, BY_ID, WHY, MISSED, LATE, STILL_RUNNING, outages::LASTING_SINCE];

struct CronNow {
    cron_id: String,
    name: String,
    state: CronState,
}

fn cron_now(row: &Row<'_>, now: Timestamp) -> Result<CronNow, StoreError> {
    let (cron_id, name) = (row.get("cron_id")?, row.get("name")?);
    Ok(CronNow { cron_id, name, state: state_from_row(row)?.at(now) })
}

/// Returns the crons that fail, and of those of which that was told, the ones that work again.
fn failing(
    tx: &Transaction<'_>,
    told: &HashMap<&str, &Announced>,
    now: Timestamp,
) -> Result<Vec<Condition>, StoreError> {
    let of = |cron: CronNow, since: Timestamp, until: Option<Timestamp>, why: Option<String>| {
        let times = match cron.state.failures {
            0 => String::new(),
            1 => "failed once".to_owned(),
            failures => format!("failed {failures} times in a row"),
        };
        let why = why.map(|why| why.trim_matches([':', ' ']).to_owned()).filter(|why| !why.is_empty());
        let text = [times].into_iter().chain(why).collect::<Vec<_>>().join(": ");
        Condition {
            kind: NotificationKind::Failing,
            subject: cron.cron_id,
            name: cron.name,
            since,
            until,
            text,
        }
    };
    let mut found: Vec<Condition> = Vec::new();
    for cron in tx.query(FAILING, (), |row| cron_now(row, now))? {
        let Some(since) = cron.state.failing_since else { continue };
        let why = match told.contains_key(cron.cron_id.as_str()) {
            true => None,
            false => tx.query_opt(WHY, [&cron.cron_id], |row| row.get("why"))?,
        };
        found.push(of(cron, since, None, why));
    }
    let known: BTreeSet<String> = found.iter().map(|condition| condition.subject.clone()).collect();
    for (subject, row) in told.iter().filter(|(subject, _)| !known.contains(**subject)) {
        let cron = tx.query_opt(BY_ID, [*subject], |row| cron_now(row, now))?;
        let recovered_at = cron.as_ref().and_then(|cron| cron.state.recovered_at);
        if let (Some(cron), Some(recovered_at)) = (cron, recovered_at.filter(|at| *at >= row.since)) {
            found.push(of(cron, row.since, Some(recovered_at), None));
        }
    }
    Ok(found)
}

/// Returns the crons that are paused, and whether all are.
fn paused(tx: &Transaction<'_>, now: Timestamp) -> Result<Vec<Condition>, StoreError> {
    let of = |subject: &str, name: &str, pause: &Pause| {
        let note = pause.note.as_deref().unwrap_or("on request");
        let end = pause.until.map(|until| format!(", until {until}")).unwrap_or_default();
        let text = match pause.cause {
            PauseCause::Failures => format!("after failures: {note}{end}"),
            PauseCause::Request | PauseCause::All => format!("{note}{end}"),
        };
        let (kind, subject, name) = (NotificationKind::Paused, subject.to_owned(), name.to_owned());
        Condition { kind, subject, name, since: pause.since, until: None, text }
    };
    let crons = tx.query(PAUSED, (), |row| cron_now(row, now))?;
    let crons = crons.iter().filter_map(|cron| {
        let pause = cron.state.paused.as_ref()?;
        Some(of(&cron.cron_id, &cron.name, pause))
    });
    let all = pauses_of_all::now(tx, now)?;
    Ok(crons.chain(all.as_ref().map(|pause| of("all", "all crons", pause))).collect())
}

/// Returns the crons of which occurrences were found to be missed since then, and were not told.
fn missed(tx: &Transaction<'_>, since: Timestamp) -> Result<Vec<Condition>, StoreError> {
    tx.query(MISSED, [millis(since)], |row| {
        let (number, why) = (row.count("number")?, row.get::<Option<String>>("why")?.unwrap_or_default());
        let times = if number == 1 { "once".to_owned() } else { format!("{number} times") };
        Ok(Condition {
            kind: NotificationKind::Missed,
            subject: row.get("cron_id")?,
            name: row.get("cron_name")?,
            since: time(row, "last")?,
            until: Some(time(row, "found_at")?),
            text: format!("{times}: {why}"),
        })
    })
}

/// Returns the crons of which a run waits that was due by then. Backfilled ones wait for one another.
fn late(tx: &Transaction<'_>, due_by: Timestamp) -> Result<Vec<Condition>, StoreError> {
    tx.query(LATE, [millis(due_by)], |row| {
        let (number, why) = (row.count("number")?, row.get::<Option<String>>("why")?.unwrap_or_default());
        let waiting = if number == 1 { "1 run waits".to_owned() } else { format!("{number} runs wait") };
        in_progress(NotificationKind::Late, row, format!("{waiting} to start; {why}"))
    })
}

/// Returns the crons of which a run has been in progress since then.
fn still_running(tx: &Transaction<'_>, since: Timestamp) -> Result<Vec<Condition>, StoreError> {
    tx.query(STILL_RUNNING, [millis(since)], |row| {
        let run_id: String = row.get("first_run")?;
        in_progress(NotificationKind::StillRunning, row, format!("run {run_id}"))
    })
}

fn in_progress(kind: NotificationKind, row: &Row<'_>, text: String) -> Result<Condition, StoreError> {
    let (subject, name) = (row.get("cron_id")?, row.get("cron_name")?);
    Ok(Condition { kind, subject, name, since: time(row, "since")?, until: None, text })
}

/// Returns the last outage of each thing since then.
fn away(
    tx: &Transaction<'_>,
    told: &HashMap<&str, &Announced>,
    is_starting: bool,
    since: Timestamp,
) -> Result<Vec<Condition>, StoreError> {
    let mut found: BTreeMap<String, Condition> = BTreeMap::new();
    // When it is known that the record of a time is lost, that is over.
    let known = outages::lasting_since(tx, since)?.into_iter().filter(|outage| outage.what != Away::Record);
    for outage in known {
        let subject = format!("{} {}", outage.what, outage.subject);
        if found.get(&subject).is_some_and(|found| found.until.is_none() || outage.until.is_some()) {
            continue;
        }
        let goes_on = told.get(subject.as_str()).filter(|_| is_starting && outage.until.is_some());
        let condition = Condition {
            kind: NotificationKind::Outage,
            subject: subject.clone(),
            name: if outage.what == Away::Daemon { "agentcron".to_owned() } else { outage.called() },
            since: goes_on.map_or(outage.since, |row| row.seen_since),
            until: outage.until.filter(|_| goes_on.is_none()),
            text: outage.why,
        };
        found.insert(subject, condition);
    }
    Ok(found.into_values().collect())
}

/// Returns whose files have mistakes. That a daemon finds them again at its start is no news, and with the last daemon of a machine
/// that stops, nothing is mended there.
fn mistakes(
    tx: &Transaction<'_>,
    told: &HashMap<&str, &Announced>,
    started_by: Timestamp,
) -> Result<Vec<Condition>, StoreError> {
    let mut found = tx.query(MISTAKES, [NoticeKind::Configuration.as_str()], |row| {
        let (host, detail): (String, String) = (row.get("host")?, row.get("detail")?);
        let (number, since) = (row.count("number")?, time(row, "since")?);
        let first = detail.lines().next().unwrap_or_default();
        Ok(Condition {
            kind: NotificationKind::Configuration,
            since: told.get(host.as_str()).map_or(since, |row| row.seen_since),
            name: if host.is_empty() {
                "the configuration".to_owned()
            } else {
                format!("the configuration of {host}")
            },
            subject: host,
            until: None,
            text: if number == 1 { first.to_owned() } else { format!("{number} mistakes, such as {first}") },
        })
    })?;
    let known: BTreeSet<String> = found.iter().map(|condition| condition.subject.clone()).collect();
    for (host, row) in told.iter().filter(|(host, _)| !host.is_empty() && !known.contains(**host)) {
        if !tx.query_value::<bool>(HAS_DAEMON, (*host, millis(started_by)))? {
            let (kind, subject, name) = (row.kind, row.subject.clone(), row.name.clone());
            found.push(Condition {
                kind,
                subject,
                name,
                since: row.seen_since,
                until: None,
                text: String::new(),
            });
        }
    }
    Ok(found)
}
