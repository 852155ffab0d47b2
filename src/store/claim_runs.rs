//! Taking runs in hand: what is to be sent, and what is to be looked at again, in one transaction. What is in hand
//! has no `act_at`; after a restart nothing is in hand, so the first pass takes everything over.

use jiff::Timestamp;
use rusqlite::{Row, Transaction, named_params};

use super::client_runs::client_run_spec;
use super::rows::{RUN_COLUMNS, millis, parsed_option, run_from_row, save_run};
use super::{Store, StoreError, definitions};
use crate::domain::bounds::CHECKS_PER_CLAIM;
use crate::domain::run::{CancelCause, Run, RunChange, RunState};
use crate::domain::run_spec::RunSpec;

/// How much may be taken in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimLimits {
    /// Runs to be sent, at most.
    pub starts: usize,
    /// Runs that the backend has or may have, at most, at the same time.
    pub running_max: usize,
}

/// What was taken in hand.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// To be sent: their intention to be sent is committed.
    pub starts: Vec<ClaimedRun>,
    /// In doubt or running: to be looked at.
    pub checks: Vec<ClaimedRun>,
    /// Never sent in time: to be ended.
    pub expired: Vec<ClaimedRun>,
    /// Cancelled before they were sent: to be ended.
    pub cancelled: Vec<ClaimedRun>,
    /// Whether more could be sent at once if `limits.starts` were larger.
    pub more_to_start: bool,
    /// When something will be due that is not yet.
    pub next_act_at: Option<Timestamp>,
}

/// A run together with what it is to do.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    /// The run as it is now.
    pub run: Run,
    /// For whom, and what.
    pub spec: RunSpec,
    /// Why it is to be ended instead of sent, if somebody wants that.
    pub unwanted: Option<CancelCause>,
}

impl Store {
    /// Whatever a former process had in hand is due now; what it was sending is in doubt.
    pub async fn recover_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE runs SET phase = 'unconfirmed' WHERE phase = 'sending'")?.execute([])?;
            let recovered = tx
                .prepare_cached("UPDATE runs SET act_at = ?1 WHERE phase <> 'ended' AND act_at IS NULL")?
                .execute([millis(now)])?;
            Ok(recovered)
        })
        .await
    }

    /// Takes in hand what is due, within `limits`.
    pub async fn claim_runs(&self, now: Timestamp, limits: ClaimLimits) -> Result<Claim, StoreError> {
        self.claim(now, limits, CHECKS_PER_CLAIM).await
    }

    /// As [`Store::claim_runs`], but takes nothing in hand that is only to be looked at: a burst of starts goes out.
    pub async fn claim_starts(&self, now: Timestamp, limits: ClaimLimits) -> Result<Claim, StoreError> {
        self.claim(now, limits, 0).await
    }

    async fn claim(&self, now: Timestamp, limits: ClaimLimits, checks: usize) -> Result<Claim, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let mut claim = Claim {
                cancelled: claim_cancelled(tx, &cache, now)?,
                expired: claim_expired(tx, &cache, now)?,
                checks: claim_checks(tx, &cache, now, checks)?,
                ..Claim::default()
            };
            (claim.starts, claim.more_to_start) = claim_starts(tx, &cache, now, limits)?;
            claim.next_act_at = next_act_at(tx, now)?;
            Ok(claim)
        })
        .await
    }
}

fn claim_cancelled(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    now: Timestamp,
) -> Result<Vec<ClaimedRun>, StoreError> {
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM runs WHERE phase = 'pending' AND cancelling IS NOT NULL \
         AND act_at IS NOT NULL AND :now IS NOT NULL LIMIT :limit"
    );
    let cancelled = select(tx, cache, &sql, now, 256)?;
    for claimed in &cancelled {
        save_run(tx, &claimed.run, None)?;
    }
    Ok(cancelled)
}

fn claim_expired(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    now: Timestamp,
) -> Result<Vec<ClaimedRun>, StoreError> {
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM runs WHERE phase = 'pending' AND start_before <= :now \
         AND act_at IS NOT NULL LIMIT :limit"
    );
    let expired = select(tx, cache, &sql, now, 256)?;
    for claimed in &expired {
        save_run(tx, &claimed.run, None)?;
    }
    Ok(expired)
}

fn claim_checks(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<ClaimedRun>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM runs WHERE act_at <= :now AND phase IN ('unconfirmed', 'running') \
         ORDER BY act_at LIMIT :limit"
    );
    let checks = select(tx, cache, &sql, now, limit)?;
    for claimed in &checks {
        save_run(tx, &claimed.run, None)?;
    }
    Ok(checks)
}

/// Also answers whether there are more. In the order in which they are due; of those that are due together, in the
/// order in which they were planned, which the index has at hand: sorting a large burst by anything else at every
/// claim would take longer than sending it.
///
/// An exclusive run waits while another run of its cron is going, and while an elder one waits: a cron with a long
/// queue stands in nobody's way.
fn claim_starts(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    now: Timestamp,
    limits: ClaimLimits,
) -> Result<(Vec<ClaimedRun>, bool), StoreError> {
    if limits.starts == 0 {
        return Ok((Vec::new(), false));
    }
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM runs WHERE act_at <= :now AND phase = 'pending' AND start_before > :now \
         AND cancelling IS NULL \
         AND (exclusive = 0 OR NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.cron_id = runs.cron_id \
         AND (other.phase IN ('sending', 'unconfirmed', 'running') OR (other.phase = 'pending' \
         AND other.act_at <= :now AND (other.act_at, other.rowid) < (runs.act_at, runs.rowid))) \
         AND other.phase <> 'ended')) ORDER BY act_at, rowid LIMIT :limit"
    );
    let places = limits.running_max.saturating_sub(count_running(tx)?);
    let limit = limits.starts.min(places);
    // One more than may be taken, to see whether there are more.
    let mut starts = select(tx, cache, &sql, now, limit.saturating_add(1))?;
    let more = starts.len() > limit && limit < places;
    starts.truncate(limit);
    for claimed in &mut starts {
        claimed.run.state = claimed.run.state.clone().apply(RunChange::Send { at: now })?;
        claimed.run.send_count = claimed.run.send_count.saturating_add(1);
        save_run(tx, &claimed.run, None)?;
    }
    Ok((starts, more))
}

fn select(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    sql: &str,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<ClaimedRun>, StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query(named_params! { ":now": millis(now), ":limit": count(limit) })?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        claimed.push(claimed_from_row(tx, cache, row)?);
    }
    Ok(claimed)
}

fn claimed_from_row(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    row: &Row<'_>,
) -> Result<ClaimedRun, StoreError> {
    let run = run_from_row(row)?;
    let spec = match &run.cron {
        Some(cron) => RunSpec::Cron(cache.get(tx, cron.definition_id, &cron.name)?),
        None => RunSpec::Client(Box::new(client_run_spec(tx, run.run_id)?)),
    };
    let unwanted = match run.state {
        RunState::Pending { .. } => parsed_option(row, "cancelling")?,
        RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_)
        | RunState::Ended { .. } => None,
    };
    Ok(ClaimedRun { run, spec, unwanted })
}

/// As SQLite counts.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Runs of crons, that is: clients' are started by the clients themselves, and take no cron's place.
fn count_running(tx: &Transaction<'_>) -> Result<usize, StoreError> {
    let backend_run: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM runs WHERE phase IN ('sending', 'unconfirmed', 'running') AND cron_id IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(usize::try_from(backend_run).unwrap_or(usize::MAX))
}

/// What is due already and was not taken waits for a run to end, or for its own deadline.
fn next_act_at(tx: &Transaction<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let earliest = |sql: &str| -> Result<Option<i64>, StoreError> {
        Ok(tx.prepare_cached(sql)?.query_row([millis(now)], |row| row.get(0))?)
    };
    let due = earliest("SELECT min(act_at) FROM runs WHERE act_at > ?1")?;
    let deadline =
        earliest("SELECT min(start_before) FROM runs WHERE phase = 'pending' AND start_before > ?1")?;
    let next = [due, deadline].into_iter().flatten().min();
    next.map(|at| Timestamp::from_millisecond(at).map_err(|error| StoreError::Refused(error.to_string())))
        .transpose()
}

impl ClaimedRun {
    /// The attempt that is being sent or in doubt.
    pub fn start_number(&self) -> u32 {
        match &self.run.state {
            RunState::Pending { start_number }
            | RunState::Sending { start_number, .. }
            | RunState::Unconfirmed { start_number, .. } => *start_number,
            RunState::Running(backend_run) => backend_run.start_number,
            RunState::Ended { backend_run, .. } => {
                backend_run.as_ref().map_or(1, |backend_run| backend_run.start_number)
            }
        }
    }
}
