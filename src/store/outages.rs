//! Outages, as they are stored: the daemon's own is found at its next start, the others are committed while they last.

use jiff::Timestamp;

use super::rollups::{self, Record};
use super::rows::{millis, parsed, time, time_option};
use super::sql::{Row, Transaction, named_params};
use super::{Store, StoreError};
use crate::domain::bounds::{BACKEND_NOTICED_WITHIN, OUTAGES_REMEMBERED};
use crate::domain::daemon::DaemonName;
use crate::domain::ids::{DaemonNumber, RunId};
use crate::domain::outage::{self, Away, Outage};
use crate::domain::plan::{NOT_FOLLOWED, STILL_RUNNING};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Run, RunState};

impl Store {
    /// Commits outages as they are known by now; one that is stored already gets its end.
    pub async fn save_outages(&self, mut outages: Vec<Outage>) -> Result<(), StoreError> {
        outages.iter_mut().for_each(|outage| outage.seen_by = self.daemon_name());
        self.write(move |tx| outages.iter().try_for_each(|outage| save(tx, outage))).await
    }

    /// Returns the outages on which runs depend that lasted at any time between two instants, the latest first.
    pub async fn outages_of_runs(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Outage>, StoreError> {
        let mut outages = self.read_for_loop(move |tx| lasting_since(tx, since)).await?;
        outages.retain(|outage| outage.since <= until && outage.what.reason_code().is_some());
        Ok(outages)
    }
}

/// Commits an outage. What was skipped for a run that nobody could follow, before the outage was noticed, belongs to it.
pub(super) fn save(tx: &Transaction<'_>, outage: &Outage) -> Result<(), StoreError> {
    let (daemon, host) = to_columns(outage.seen_by.as_ref());
    let sql = "INSERT INTO outages (what, subject, since, until, why, daemon, host) \
               VALUES (:what, :subject, :since, :until, :why, :daemon, :host) \
               ON CONFLICT (what, subject, since, daemon) DO UPDATE SET until = excluded.until, why = excluded.why";
    tx.execute(
        sql,
        named_params! {
            ":what": outage.what.as_str(),
            ":subject": outage.subject,
            ":since": millis(outage.since),
            ":until": outage.until.map(millis),
            ":why": outage.why,
            ":daemon": daemon,
            ":host": host,
        },
    )?;
    tx.execute(
        "DELETE FROM outages WHERE since < (SELECT since FROM outages ORDER BY since DESC LIMIT 1 OFFSET ?1)",
        [OUTAGES_REMEMBERED],
    )?;
    if let (Away::Backend | Away::Disk | Away::Store | Away::Daemon, Some(until)) =
        (outage.what, outage.until)
    {
        // What was in progress may have ended meanwhile: it is looked at before anything is skipped for it.
        let sql = "UPDATE runs SET recovered_at = ?1 WHERE phase <> 'ended' AND phase IN ('unconfirmed', 'running') \
                   AND exclusive = 1";
        tx.execute(sql, [millis(until)])?;
    }
    match outage.what.reason_code() {
        Some(code) if outage.is_of_backend() && outage.until.is_none() => {
            restate_overlaps(tx, None, outage.since, &Reason::new(code, outage.sentence()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Gives another reason to what was skipped since then for a run that nobody could see, as was noticed later: this run, or
/// any.
pub(super) fn restate_overlaps(
    tx: &Transaction<'_>,
    run_id: Option<RunId>,
    since: Timestamp,
    because: &Reason,
) -> Result<(), StoreError> {
    const CONCERNED: &str = "ended_at >= ?1 AND status = 'skipped' AND status <> 'success' \
         AND reason_code IN ('overlap', 'queue_full') \
         AND (CAST(?2 AS TEXT) IS NULL OR cron_id = (SELECT cron_id FROM runs WHERE run_id = ?2))";
    let run_id = run_id.map(|run_id| run_id.to_string());
    let concerned = format!("INDEXED BY runs_unsuccessful WHERE {CONCERNED}");
    for record in Record::all(tx, &concerned, (millis(since), &run_id))? {
        rollups::restate(tx, &record, because.code)?;
    }
    let sql = format!(
        "UPDATE runs INDEXED BY runs_unsuccessful SET reason_code = ?3, reason = ?4 || '; ' || replace(reason, ?5, ?6) \
         WHERE {CONCERNED}"
    );
    tx.execute(
        &sql,
        (millis(since), run_id, because.code.as_str(), because.text(), STILL_RUNNING, NOT_FOLLOWED),
    )?;
    Ok(())
}

/// Ends what a daemon has seen that gives no further sign of life after `at`, of those that share the store.
pub(super) fn end_of(tx: &Transaction<'_>, daemon: DaemonNumber, at: Timestamp) -> Result<(), StoreError> {
    let is_its = |outage: &Outage| outage.seen_by.as_ref().is_some_and(|name| name.number == daemon);
    let mut left: Vec<Outage> = lasting_since(tx, Timestamp::MAX)?.into_iter().filter(is_its).collect();
    outage::end_all(&mut left, at);
    left.iter().try_for_each(|outage| save(tx, outage))
}

/// Returns the columns `daemon` and `host` of what one daemon has seen.
pub(super) fn to_columns(daemon: Option<&DaemonName>) -> (i64, String) {
    daemon.map_or((0, String::new()), |name| (name.number.0, name.host.clone()))
}

/// Returns which daemon has seen it, by the columns `daemon` and `host`.
pub(super) fn from_columns(row: &Row<'_>) -> Result<Option<DaemonName>, StoreError> {
    let (number, host) = (DaemonNumber(row.get("daemon")?), row.get("host")?);
    Ok((number.0 != 0).then_some(DaemonName { number, host }))
}

/// Ends what a former daemon left without an end, and returns it: it goes on if the first that is learnt is that it lasts.
pub(super) fn end_all(tx: &Transaction<'_>, at: Timestamp) -> Result<Vec<Outage>, StoreError> {
    let mut left = lasting_since(tx, Timestamp::MAX)?;
    outage::end_all(&mut left, at);
    left.iter().try_for_each(|outage| save(tx, outage))?;
    Ok(left)
}

/// Returns the outages that had not ended before `since`, the latest first.
pub(super) fn lasting_since(tx: &Transaction<'_>, since: Timestamp) -> Result<Vec<Outage>, StoreError> {
    tx.query(LASTING_SINCE, [millis(since)], outage)
}

pub(super) const LASTING_SINCE: &str = "SELECT what, subject, since, until, why, daemon, host FROM outages \
     WHERE coalesce(until, 9223372036854775807) >= ?1 ORDER BY since DESC, what, subject";

/// Returns at most `limit` of those that began before `until`, the latest first.
pub(super) fn lasting_between(
    tx: &Transaction<'_>,
    (since, until): (Timestamp, Timestamp),
    limit: u32,
) -> Result<Vec<Outage>, StoreError> {
    tx.query(LASTING_BETWEEN, (millis(since), millis(until), limit), outage)
}

/// By `outages_by_time`.
pub(super) const LASTING_BETWEEN: &str = "SELECT what, subject, since, until, why, daemon, host FROM outages \
     WHERE since < ?2 AND coalesce(until, 9223372036854775807) >= ?1 ORDER BY since DESC LIMIT ?3";

/// Returns the outage to which a run belongs, if one is the reason of its end and is remembered. `last` is the last of the
/// occurrences of a record.
pub(super) fn of_run(
    tx: &Transaction<'_>,
    run: &Run,
    last: Option<Timestamp>,
) -> Result<Option<Outage>, StoreError> {
    let code = run.reason.as_ref().map(|reason| reason.code);
    let RunState::Ended { outcome, .. } = &run.state else { return Ok(None) };
    let (what, at) = match code {
        // The next occurrence came before it could be sent.
        Some(ReasonCode::CancelOverlap) if run.send_count == 0 => (Some(Away::Backend), run.due_at),
        Some(ReasonCode::CancelOverlap | ReasonCode::CancelRequest | ReasonCode::Timeout) => {
            return while_cancelled(tx, run, outcome.learnt_at);
        }
        _ => (code.and_then(Away::of_reason), last.unwrap_or(run.due_at)),
    };
    let Some(what) = what else { return Ok(None) };
    let sql = "SELECT what, subject, since, until, why, daemon, host FROM outages WHERE what = ?1 AND since <= ?2 \
               AND coalesce(until, ?2) >= ?3 ORDER BY since <= ?4 AND coalesce(until, ?2) >= ?4 DESC, since DESC LIMIT 1";
    let decided_at = last.unwrap_or(run.start_before);
    tx.query_opt(sql, (what.as_str(), millis(outcome.ended_at), millis(at), millis(decided_at)), outage)
}

/// Returns the outage in which the agent server could not be told to cancel a run, or to start it before that.
fn while_cancelled(
    tx: &Transaction<'_>,
    run: &Run,
    learnt_at: Timestamp,
) -> Result<Option<Outage>, StoreError> {
    let sql = "SELECT o.what AS what, subject, since, until, why, daemon, host FROM run_events AS e CROSS JOIN outages AS o \
               WHERE e.run_id = ?1 AND e.event IN ('not_cancelled', 'not_sent', 'unconfirmed', 'still_unconfirmed') \
               AND o.what IN ('backend', 'access') AND since <= e.at + ?2 AND coalesce(until, ?3) >= e.at ORDER BY since LIMIT 1";
    let noticed = i64::try_from(BACKEND_NOTICED_WITHIN.as_millis()).unwrap_or(i64::MAX);
    tx.query_opt(sql, (run.run_id.to_string(), noticed, millis(learnt_at)), outage)
}

fn outage(row: &Row<'_>) -> Result<Outage, StoreError> {
    Ok(Outage {
        what: parsed(row, "what")?,
        subject: row.get("subject")?,
        since: time(row, "since")?,
        until: time_option(row, "until")?,
        why: row.get("why")?,
        seen_by: from_columns(row)?,
    })
}
