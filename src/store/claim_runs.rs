//! Claiming runs: those to be sent, those to be checked, and those to be ended, in one transaction. A claimed
//! run has no `act_at`. After a restart nothing is claimed, so [`Store::recover_runs`] makes everything due
//! again.

use jiff::Timestamp;
use rusqlite::{Row, ToSql, Transaction, named_params};

use super::client_runs::client_run_spec;
use super::definitions::Definitions;
use super::rows::{RUN_COLUMNS, millis, parsed_option, run_from_row, save_run, timestamp};
use super::{Store, StoreError};
use crate::domain::bounds::CHECKS_PER_CLAIM;
use crate::domain::run::{CancelCause, Run, RunChange, RunState};
use crate::domain::run_spec::RunSpec;

/// At most so many runs that are to be ended are claimed at once; the next claim takes the others.
const ENDS_PER_CLAIM: usize = 256;

/// How much may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimLimits {
    /// At most so many runs to be sent.
    pub starts: usize,
    /// At most so many runs of crons that the backend has, or may have, at the same time.
    pub running_max: usize,
}

/// The runs that were claimed.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// To be sent; the intention to send them is committed.
    pub starts: Vec<ClaimedRun>,
    /// Unconfirmed or running: to be checked.
    pub checks: Vec<ClaimedRun>,
    /// Not sent in time: to be ended.
    pub expired: Vec<ClaimedRun>,
    /// Cancelled before they were sent: to be ended.
    pub cancelled: Vec<ClaimedRun>,
    /// Whether more could be sent at once if `limits.starts` were larger.
    pub more_to_start: bool,
    /// When the next run becomes due.
    pub next_act_at: Option<Timestamp>,
}

/// A claimed run with its specification.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    pub run: Run,
    pub spec: RunSpec,
    /// Why it is to be ended instead of sent, or `None` if nobody cancelled it.
    pub unwanted: Option<CancelCause>,
}

impl ClaimedRun {
    /// Returns the number of the attempt that is being sent or is unconfirmed.
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

impl Store {
    /// Makes every run due now that a former process had claimed, and returns how many those are. Runs that
    /// it was sending become unconfirmed.
    pub async fn recover_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |tx| {
            // `RunChange::Unconfirm` of every run that is being sent, written past `RunState::apply`: from
            // `sending` the change is always legal and touches nothing but the phase, so one statement does
            // for all rows what would otherwise load, check and save each of them before the daemon can
            // start.
            tx.prepare_cached("UPDATE runs SET phase = 'unconfirmed' WHERE phase = 'sending'")?.execute([])?;
            let recovered = tx
                .prepare_cached("UPDATE runs SET act_at = ?1 WHERE phase <> 'ended' AND act_at IS NULL")?
                .execute([millis(now)])?;
            Ok(recovered)
        })
        .await
    }

    /// Claims what is due, within `limits`.
    pub async fn claim_runs(&self, now: Timestamp, limits: ClaimLimits) -> Result<Claim, StoreError> {
        self.claim(now, limits, CHECKS_PER_CLAIM).await
    }

    /// As [`Store::claim_runs`], but claims no run that is only to be checked, so that a burst of starts goes
    /// out first.
    pub async fn claim_starts(&self, now: Timestamp, limits: ClaimLimits) -> Result<Claim, StoreError> {
        self.claim(now, limits, 0).await
    }

    async fn claim(&self, now: Timestamp, limits: ClaimLimits, checks: usize) -> Result<Claim, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let cancelled = claim_cancelled(tx, &cache)?;
            let expired = claim_expired(tx, &cache, now)?;
            let checks = claim_checks(tx, &cache, now, checks)?;
            let starts = claim_due_starts(tx, &cache, now, limits)?;
            let next_act_at = next_act_at(tx, now)?;
            let (starts, more_to_start) = (starts.claimed, starts.has_more);
            Ok(Claim { starts, checks, expired, cancelled, more_to_start, next_act_at })
        })
        .await
    }
}

fn claim_cancelled(tx: &Transaction<'_>, cache: &Definitions) -> Result<Vec<ClaimedRun>, StoreError> {
    let condition = "phase = 'pending' AND cancelling IS NOT NULL AND act_at IS NOT NULL LIMIT :limit";
    claim_unchanged(tx, cache, condition, named_params! { ":limit": count(ENDS_PER_CLAIM) })
}

fn claim_expired(
    tx: &Transaction<'_>,
    cache: &Definitions,
    now: Timestamp,
) -> Result<Vec<ClaimedRun>, StoreError> {
    let condition = "phase = 'pending' AND start_before <= :now AND act_at IS NOT NULL LIMIT :limit";
    let values = named_params! { ":now": millis(now), ":limit": count(ENDS_PER_CLAIM) };
    claim_unchanged(tx, cache, condition, values)
}

fn claim_checks(
    tx: &Transaction<'_>,
    cache: &Definitions,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<ClaimedRun>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let condition = "act_at <= :now AND phase IN ('unconfirmed', 'running') ORDER BY act_at LIMIT :limit";
    claim_unchanged(tx, cache, condition, named_params! { ":now": millis(now), ":limit": count(limit) })
}

/// Claims the runs that a condition selects, and leaves their state as it is.
fn claim_unchanged(
    tx: &Transaction<'_>,
    cache: &Definitions,
    condition: &str,
    values: &[(&str, &dyn ToSql)],
) -> Result<Vec<ClaimedRun>, StoreError> {
    let claimed = select(tx, cache, condition, values)?;
    for claimed in &claimed {
        save_run(tx, &claimed.run, None)?;
    }
    Ok(claimed)
}

/// Runs that were claimed to be sent.
#[derive(Default)]
struct ClaimedStarts {
    claimed: Vec<ClaimedRun>,
    /// Whether only `limits.starts` kept more runs from being claimed.
    has_more: bool,
}

/// Claims runs to be sent, in the order in which they are due. Runs that are due together are claimed in the
/// order in which they were planned, which the index provides: sorting a large burst by anything else at
/// every claim would take longer than sending it.
///
/// An exclusive run waits while another run of its cron is in progress, and while an older one waits. So a
/// cron with a long queue delays no other cron.
fn claim_due_starts(
    tx: &Transaction<'_>,
    cache: &Definitions,
    now: Timestamp,
    limits: ClaimLimits,
) -> Result<ClaimedStarts, StoreError> {
    if limits.starts == 0 {
        return Ok(ClaimedStarts::default());
    }
    let condition = "act_at <= :now AND phase = 'pending' AND start_before > :now \
         AND cancelling IS NULL \
         AND (exclusive = 0 OR NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.cron_id = runs.cron_id \
         AND (other.phase IN ('sending', 'unconfirmed', 'running') OR (other.phase = 'pending' \
         AND other.act_at <= :now AND (other.act_at, other.rowid) < (runs.act_at, runs.rowid))) \
         AND other.phase <> 'ended')) ORDER BY act_at, rowid LIMIT :limit";
    let places = limits.running_max.saturating_sub(count_running(tx)?);
    let limit = limits.starts.min(places);
    // One more than may be claimed, to see whether there are more.
    let values = named_params! { ":now": millis(now), ":limit": count(limit.saturating_add(1)) };
    let mut claimed = select(tx, cache, condition, values)?;
    let has_more = claimed.len() > limit && limit < places;
    claimed.truncate(limit);
    for claimed in &mut claimed {
        claimed.run.state = claimed.run.state.clone().apply(RunChange::Send { at: now })?;
        claimed.run.send_count = claimed.run.send_count.saturating_add(1);
        save_run(tx, &claimed.run, None)?;
    }
    Ok(ClaimedStarts { claimed, has_more })
}

fn select(
    tx: &Transaction<'_>,
    cache: &Definitions,
    condition: &str,
    values: &[(&str, &dyn ToSql)],
) -> Result<Vec<ClaimedRun>, StoreError> {
    let mut statement = tx.prepare_cached(&format!("SELECT {RUN_COLUMNS} FROM runs WHERE {condition}"))?;
    let mut rows = statement.query(values)?;
    let mut claimed = Vec::new();
    while let Some(row) = rows.next()? {
        claimed.push(claimed_from_row(tx, cache, row)?);
    }
    Ok(claimed)
}

fn claimed_from_row(
    tx: &Transaction<'_>,
    cache: &Definitions,
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

/// Converts a count into SQLite's signed integer.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Returns how many runs of crons the backend has or may have. Runs of clients do not count: the clients
/// start them themselves, and they use up no cron's place.
fn count_running(tx: &Transaction<'_>) -> Result<usize, StoreError> {
    let running: i64 = tx
        .prepare_cached(
            "SELECT count(*) FROM runs WHERE phase IN ('sending', 'unconfirmed', 'running') AND cron_id IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(usize::try_from(running).unwrap_or(usize::MAX))
}

/// Returns the next instant after `now` at which a run becomes due or expires. What is due already and was
/// not claimed waits for the end of another run, or for its own deadline.
fn next_act_at(tx: &Transaction<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let earliest = |sql: &str| -> Result<Option<i64>, StoreError> {
        Ok(tx.prepare_cached(sql)?.query_row([millis(now)], |row| row.get(0))?)
    };
    let due = earliest("SELECT min(act_at) FROM runs WHERE act_at > ?1")?;
    let deadline =
        earliest("SELECT min(start_before) FROM runs WHERE phase = 'pending' AND start_before > ?1")?;
    let next = [due, deadline].into_iter().flatten().min();
    next.map(|at| timestamp(at, "act_at")).transpose()
}
