//! Outages, as they are stored: the daemon's own is found at its next start, the others are committed while they last.

use jiff::Timestamp;
use rusqlite::{Row, Transaction, named_params};

use super::rows::{millis, parsed, time, time_option};
use super::{Store, StoreError};
use crate::domain::bounds::OUTAGES_REMEMBERED;
use crate::domain::outage::{self, Away, Outage};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Run, RunState};

impl Store {
    /// Commits outages as they are known by now; one that is stored already gets its end.
    pub async fn save_outages(&self, outages: Vec<Outage>) -> Result<(), StoreError> {
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
    tx.prepare_cached(
        "INSERT INTO outages (what, subject, since, until, why) VALUES (:what, :subject, :since, :until, :why) \
         ON CONFLICT DO UPDATE SET until = excluded.until, why = excluded.why",
    )?
    .execute(named_params! {
        ":what": outage.what.as_str(),
        ":subject": outage.subject,
        ":since": millis(outage.since),
        ":until": outage.until.map(millis),
        ":why": outage.why,
    })?;
    tx.prepare_cached(
        "DELETE FROM outages WHERE since < (SELECT since FROM outages ORDER BY since DESC LIMIT 1 OFFSET ?1)",
    )?
    .execute([OUTAGES_REMEMBERED])?;
    if let (Away::Disk | Away::Daemon, Some(until)) = (outage.what, outage.until) {
        // What was in progress may have ended meanwhile: it is looked at before anything is skipped for it.
        tx.prepare_cached(
            "UPDATE runs SET recovered_at = ?1 WHERE phase <> 'ended' AND phase IN ('unconfirmed', 'running') \
             AND exclusive = 1",
        )?
        .execute([millis(until)])?;
    }
    if outage.what == Away::Backend && outage.until.is_none() {
        tx.prepare_cached(
            "UPDATE runs INDEXED BY runs_unsuccessful SET reason_code = ?2, reason = ?3 || '; ' || reason \
             WHERE ended_at >= ?1 AND status = 'skipped' AND status <> 'success' \
             AND reason_code IN ('overlap', 'queue_full')",
        )?
        .execute((millis(outage.since), ReasonCode::BackendAway.as_str(), outage.sentence()))?;
    }
    Ok(())
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
    let mut statement = tx.prepare_cached(
        "SELECT what, subject, since, until, why FROM outages WHERE coalesce(until, 9223372036854775807) >= ?1 \
         ORDER BY since DESC, what, subject",
    )?;
    let mut rows = statement.query([millis(since)])?;
    let mut outages = Vec::new();
    while let Some(row) = rows.next()? {
        outages.push(outage(row)?);
    }
    Ok(outages)
}

/// Returns the outage to which a run belongs, if one is the reason of its end and is remembered. `last` is the last of the
/// occurrences of a record.
pub(super) fn of_run(
    tx: &Transaction<'_>,
    run: &Run,
    last: Option<Timestamp>,
) -> Result<Option<Outage>, StoreError> {
    let code = run.reason.as_ref().map(|reason| reason.code);
    let (Some(what), RunState::Ended { outcome, .. }) = (code.and_then(Away::of_reason), &run.state) else {
        return Ok(None);
    };
    let mut statement = tx.prepare_cached(
        "SELECT what, subject, since, until, why FROM outages WHERE what = ?1 AND since <= ?2 \
         AND coalesce(until, ?2) >= ?3 ORDER BY since LIMIT 1",
    )?;
    let at = last.unwrap_or(run.start_before);
    let mut rows = statement.query((what.as_str(), millis(outcome.ended_at), millis(at)))?;
    rows.next()?.map(outage).transpose()
}

fn outage(row: &Row<'_>) -> Result<Outage, StoreError> {
    Ok(Outage {
        what: parsed(row, "what")?,
        subject: row.get("subject")?,
        since: time(row, "since")?,
        until: time_option(row, "until")?,
        why: row.get("why")?,
    })
}
