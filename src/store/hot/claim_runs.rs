//! Claims runs in one transaction: those to send, those to check, and those to end. A claimed run is held by its daemon and has
//! no `act_at`, until it is to be looked at again.

mod free;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use super::plan_due::{Planned, plan_pass};
use crate::domain::bounds::CHECKS_PER_CLAIM;
use crate::domain::cron::CronSource;
use crate::domain::ids::{DaemonNumber, RunId};
use crate::domain::run::{RunChange, RunState};
use crate::domain::run_spec::RunSpec;
use crate::store::client_runs::client_run_spec;
use crate::store::counts::Tx;
use crate::store::cron_entries;
use crate::store::definitions::Definitions;
use crate::store::held_runs::{HeldRun, run_to_change};
use crate::store::lease::Sharing;
use crate::store::published::Left;
use crate::store::recovery::{OTHERS, Recovered, next_gone};
use crate::store::room::{ClaimLimits, ClaimedRun, IS_ANY_DUE, Room};
use crate::store::rows::{RUN_COLUMNS, millis, parsed, parsed_option, run_from_row, time_option};
use crate::store::sql::{Row, Rows, ToSql, Transaction, ValueRef, array, named_params};
use crate::store::write_queue::HeldChange;
use crate::store::{Store, StoreError, waits_for};

/// The most runs to end that one claim takes; the next claim takes the others.
const ENDS_PER_CLAIM: usize = 256;

/// Selects the runs to check. Those that are due and wait to be sent are not looked through.
pub(in crate::store) const TO_CHECK: &str = "act_at <= :now AND (phase = 'unconfirmed' OR phase = 'running')";

/// The runs that were claimed.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    /// Runs to send; the intention to send them is committed.
    pub starts: Vec<ClaimedRun>,
    /// Unconfirmed or running runs to check.
    pub checks: Vec<ClaimedRun>,
    /// Runs to end because they were not sent in time.
    pub expired: Vec<ClaimedRun>,
    /// Runs to end because they were cancelled before they were sent.
    pub cancelled: Vec<ClaimedRun>,
    /// Whether more could be sent at once if `limits.starts` were larger.
    pub more_to_start: bool,
    /// Whether a run that is due waits: for a place, for another run, or because more were due than one claim takes.
    pub has_waiting: bool,
    /// When the next run becomes due, or another daemon that shares the store would be gone.
    pub next_act_at: Option<Timestamp>,
    /// What was planned before that.
    pub planned: Planned,
    /// What other daemons held that are gone.
    pub recovered: Recovered,
}

impl Store {
    /// Records that a run was looked at on the backend and goes on. Returns whether the plan of its cron may have waited for
    /// that.
    pub async fn looked_at(&self, run: HeldRun) -> Result<bool, StoreError> {
        let daemon = self.number;
        self.write_about(HeldChange { run_id: run.run_id, with_cron: true }, move |tx| {
            run_to_change(tx, run, daemon)?;
            looked_at(tx, run.run_id)
        })
        .await
    }

    /// Plans the crons that are due, and claims what is due, within `limits`.
    pub async fn claim_runs(&self, now: Timestamp, limits: ClaimLimits) -> Result<Claim, StoreError> {
        self.claim(now, limits, CHECKS_PER_CLAIM).await
    }

    /// Does the same as [`Store::claim_runs`], but claims no run that only needs a check, so that a burst of
    /// starts goes out first.
    pub async fn claim_starts(&self, now: Timestamp, limits: ClaimLimits) -> Result<Claim, StoreError> {
        self.claim(now, limits, 0).await
    }

    async fn claim(&self, now: Timestamp, limits: ClaimLimits, checks: usize) -> Result<Claim, StoreError> {
        let mut recovered = Recovered::default();
        let claim = loop {
            if let Some(claim) = self.claim_free(now, limits, checks).await? {
                break Claim { recovered, ..claim };
            }
            recovered = self.recover_gone(now).await?;
        };
        claim.planned.log();
        let Recovered { runs, deliveries } = claim.recovered;
        if claim.recovered != Recovered::default() {
            tracing::warn!(runs, deliveries, "another daemon is gone; recovered what it held");
        }
        Ok(claim)
    }

    /// Does the same, or nothing and returns `None` if another daemon is gone, so that what it held is to be recovered first.
    async fn claim_free(
        &self,
        now: Timestamp,
        limits: ClaimLimits,
        checks: usize,
    ) -> Result<Option<Claim>, StoreError> {
        let (cache, daemon, survivor) = (self.definitions.clone(), self.number, self.survivor());
        let left = self.left_to_others();
        self.write_hot(move |tx| {
            let claimer = Claimer { tx, cache: &cache, daemon, now };
            claimer.foresee()?;
            let next_gone = match survivor.sharing {
                // Its predecessors were recovered at its start.
                Sharing::Alone => None,
                Sharing::Shared => next_gone(tx, survivor, now)?,
            };
            if next_gone.is_some_and(|at| at <= now) {
                return Ok(None);
            }
            let claim = claimer.claim(tx, limits, checks, &left)?;
            Ok(Some(Claim { next_act_at: claim.next_act_at.into_iter().chain(next_gone).min(), ..claim }))
        })
        .await
    }
}

/// Does what [`Store::looked_at`] does.
pub(in crate::store) fn looked_at(tx: &Transaction<'_>, run_id: RunId) -> Result<bool, StoreError> {
    let sql = "UPDATE runs SET recovered_at = NULL WHERE run_id = ?1 AND recovered_at IS NOT NULL AND \
               exclusive = 1";
    let changed = tx.execute(sql, [run_id.to_string()])?;
    if changed == 1 {
        tx.put(
            "UPDATE crons SET next_at = 0 WHERE cron_id = (SELECT cron_id FROM runs WHERE run_id = ?1) \
             AND next_at IS NOT NULL",
            [run_id.to_string()],
        )?;
    }
    Ok(changed == 1)
}

/// Claims runs for a daemon.
pub(in crate::store) struct Claimer<'t> {
    pub(in crate::store) tx: &'t Transaction<'t>,
    pub(in crate::store) cache: &'t Definitions,
    pub(in crate::store) daemon: DaemonNumber,
    pub(in crate::store) now: Timestamp,
}

impl Claimer<'_> {
    /// Asks for what every claim begins with.
    fn foresee(&self) -> Result<(), StoreError> {
        let (tx, now) = (self.tx, millis(self.now));
        tx.foresee(OTHERS, [self.daemon.0])?;
        tx.foresee(cron_entries::NEXT_OF_EACH_SOURCE, ())?;
        tx.foresee(IS_ANY_DUE, [now])?;
        tx.foresee(&may_expire(), named_params! { ":now": now })
    }

    /// Plans and claims within these limits, and claims so many checks at most.
    pub(in crate::store) fn claim(
        &self,
        tx: &Tx<'_>,
        limits: ClaimLimits,
        checks: usize,
        left: &Left,
    ) -> Result<Claim, StoreError> {
        let now = self.now;
        // Whoever waits for it has locked nothing yet.
        let mut room = Room::within(tx, limits, (self.daemon, Arc::clone(left)), now)?;
        let expired = self.expired()?;
        let is_full = self.waiting(&mut room)?;
        // What waits goes first. Then there may be room for what is planned, which may cancel what is in progress.
        let planned = plan_pass(tx, self.cache, &mut room, now)?;
        let (cancelled, checks) = (Selected::cancelled(), Selected::to_check(checks));
        for selected in [&cancelled, &checks].into_iter().filter(|selected| selected.limit > 0) {
            self.select(selected, |sql, values| tx.foresee(sql, values))?;
        }
        let (cancelled, checks) = (self.unchanged(&cancelled)?, self.unchanged(&checks)?);
        room.save(tx)?;
        let (next_act_at, has_waiting) = next_act_at(tx, now)?;
        let more_to_start = is_full || planned.more_is_free;
        let (starts, recovered) = (room.sending, Recovered::default());
        Ok(Claim {
            starts,
            checks,
            expired,
            cancelled,
            more_to_start,
            has_waiting,
            next_act_at,
            planned,
            recovered,
        })
    }

    fn expired(&self) -> Result<Vec<ClaimedRun>, StoreError> {
        if !self.tx.is_far() {
            return self.unchanged(&Selected::of(may_expire_condition(), ENDS_PER_CLAIM));
        }
        // The run before it cannot end in between without a new deadline for this one.
        let values = named_params! { ":now": millis(self.now) };
        let expired: Vec<RunId> = self.tx.query(&may_expire(), values, |row| parsed(row, "run_id"))?;
        let still = "run_id = ANY(:runs) AND phase || '' = 'pending' AND start_before + 0 <= :now AND act_at IS NOT NULL";
        let limit = expired.len();
        self.unchanged(&Selected { runs: expired, ..Selected::of(still.to_owned(), limit) })
    }

    /// Calls `ask` with the statement that selects runs whose state is left as it is, and with its parameters.
    fn select<T>(
        &self,
        selected: &Selected,
        ask: impl FnOnce(&str, &[(&str, &dyn ToSql)]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Selected { condition, order, limit, runs } = selected;
        let sql = format!(
            "SELECT {RUN_COLUMNS}, held_by, claim FROM runs \
             WHERE {condition} AND (held_by IS NULL OR held_by = :daemon) {order} LIMIT :limit {FREE}"
        );
        let (daemon, now) = (self.daemon.0, millis(self.now));
        let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
        let runs = array(runs);
        let values = named_params! { ":daemon": daemon, ":limit": limit, ":now": now, ":runs": runs };
        let values: Vec<_> = values.iter().copied().filter(|(name, _)| sql.contains(name)).collect();
        ask(&sql, &values)
    }

    /// Claims the runs that are selected, and leaves their state as it is. A run that is followed stays under the claim
    /// that it has: its task is told to look at it.
    fn unchanged(&self, selected: &Selected) -> Result<Vec<ClaimedRun>, StoreError> {
        if selected.limit == 0 {
            return Ok(Vec::new());
        }
        let claimed_from = |row: &Row<'_>| {
            let claimed = claimed_from_row(self.tx, self.cache, row)?;
            let is_held = row.value("held_by")? != ValueRef::Null;
            let is_followed = is_held && matches!(claimed.run.state, RunState::Running(_));
            Ok(ClaimedRun { claim: claimed.claim.saturating_add(u32::from(!is_followed)), ..claimed })
        };
        let claimed = self.select(selected, |sql, values| self.tx.query(sql, values, claimed_from))?;
        let sql = "UPDATE runs SET act_at = NULL, held_by = ?2, claim = ?3 WHERE run_id = ?1";
        for claimed in &claimed {
            let run_id = claimed.run.run_id;
            self.tx.gather(run_id, sql, (run_id.to_string(), self.daemon.0, claimed.claim))?;
        }
        Ok(claimed)
    }

    /// Claims runs that wait to be sent, and returns whether only a lack of room kept more from being claimed. The places on
    /// the backend decide which source is next ([`Places::next`]). Of the waiting runs of one source, those with the lowest
    /// turn are next, and among them those that have been due for the longest. An index provides this order: sorting a large
    /// burst at every claim would take longer than sending it.
    ///
    /// An exclusive run waits for those before it ([`waits_for`]). So a cron with a long queue delays no other cron.
    ///
    /// [`Places::next`]: crate::domain::turns::Places::next
    fn waiting(&self, room: &mut Room) -> Result<bool, StoreError> {
        if room.starts == 0 {
            return Ok(false);
        }
        let (tx, cache) = (self.tx, self.cache);
        let mut statements =
            (tx.prepare(&by_turn(CronSource::File))?, tx.prepare(&by_turn(CronSource::Api))?);
        let left = Arc::clone(&room.left);
        let values = named_params! { ":now": millis(self.now) };
        let (mut files, mut clients) = if tx.is_far() {
            self.foresee_free(room)?;
            let free = |source| self.free(source, room).map(|ready| Queue::of(ready, &left));
            (free(CronSource::File)?, free(CronSource::Api)?)
        } else {
            (Queue::read(statements.0.query(values)?, &left), Queue::read(statements.1.query(values)?, &left))
        };
        let mut claimed = Vec::new();
        let is_full = loop {
            if room.starts == 0 {
                break files.has_head(tx, cache)? || clients.has_head(tx, cache)?;
            }
            let of_files = room.has_room(CronSource::File) && files.has_head(tx, cache)?;
            let of_clients = room.has_room(CronSource::Api) && clients.has_head(tx, cache)?;
            let queue = match room.next(of_files, of_clients) {
                Some(CronSource::File) => &mut files,
                Some(CronSource::Api) => &mut clients,
                None => break false,
            };
            let Some(waiting) = queue.ready.pop_front() else { break false };
            room.take(waiting.source);
            claimed.push(waiting);
        };
        for Waiting { mut claimed, source, turn } in claimed {
            claimed.run.state = claimed.run.state.apply(RunChange::Send { at: self.now })?;
            claimed.run.send_count = claimed.run.send_count.saturating_add(1);
            claimed.claim = claimed.claim.saturating_add(1);
            let sql = "UPDATE runs SET phase = 'sending', sent_at = ?2, send_count = ?3, act_at = NULL, held_by = ?4, claim = ?5 \
                       WHERE run_id = ?1";
            tx.gather(
                claimed.run.run_id,
                sql,
                (
                    claimed.run.run_id.to_string(),
                    millis(self.now),
                    claimed.run.send_count,
                    self.daemon.0,
                    claimed.claim,
                ),
            )?;
            room.send(claimed, source, turn);
        }
        Ok(is_full)
    }
}

/// What selects runs whose state a claim leaves as it is.
struct Selected {
    condition: String,
    order: &'static str,
    limit: usize,
    /// Those of which the condition speaks.
    runs: Vec<RunId>,
}

impl Selected {
    fn of(condition: String, limit: usize) -> Self {
        Self { condition, order: "", limit, runs: Vec::new() }
    }

    fn cancelled() -> Self {
        Self::of(
            "phase = 'pending' AND cancelling IS NOT NULL AND act_at IS NOT NULL".to_owned(),
            ENDS_PER_CLAIM,
        )
    }

    fn to_check(limit: usize) -> Self {
        Self { order: "ORDER BY act_at", ..Self::of(TO_CHECK.to_owned(), limit) }
    }
}

fn may_expire_condition() -> String {
    format!(
        "phase = 'pending' AND start_before <= :now AND act_at IS NOT NULL AND {}",
        waits_for::may_start()
    )
}

/// Selects the ids of the runs that may be over because they were not sent in time.
fn may_expire() -> String {
    format!("SELECT run_id FROM runs WHERE {} LIMIT {ENDS_PER_CLAIM}", may_expire_condition())
}

/// A run that waits to be sent.
struct Waiting {
    claimed: ClaimedRun,
    source: CronSource,
    turn: i64,
}

impl Waiting {
    fn of(tx: &Transaction<'_>, cache: &Definitions, row: &Row<'_>) -> Result<Self, StoreError> {
        let claimed = claimed_from_row(tx, cache, row)?;
        Ok(Self { claimed, source: parsed(row, "cron_source")?, turn: row.get("turn")? })
    }
}

/// The waiting runs of one source. Only those that may be claimed are read.
struct Queue<'s> {
    ready: VecDeque<Waiting>,
    /// Those that are not read yet.
    rows: Option<Rows<'s>>,
    /// The crons whose runs are passed over.
    left: &'s Left,
}

impl<'s> Queue<'s> {
    fn of(ready: Vec<Waiting>, left: &'s Left) -> Self {
        Self { ready: ready.into(), rows: None, left }
    }

    fn read(rows: Rows<'s>, left: &'s Left) -> Self {
        Self { ready: VecDeque::new(), rows: Some(rows), left }
    }

    /// Reads the next run unless one is read already, and returns whether there is one.
    fn has_head(&mut self, tx: &Transaction<'_>, cache: &Definitions) -> Result<bool, StoreError> {
        while self.ready.is_empty()
            && let Some(rows) = &mut self.rows
            && let Some(row) = &rows.next()?
        {
            if !self.left.is_empty()
                && parsed_option(row, "cron_id")?.is_some_and(|cron| self.left.contains(&cron))
            {
                continue;
            }
            self.ready.push_back(Waiting::of(tx, cache, row)?);
        }
        Ok(!self.ready.is_empty())
    }
}

/// Selects the runs of one source that may be sent. The index is named because a plan that sorts them would go
/// unnoticed until a large burst.
fn by_turn(source: CronSource) -> String {
    ready(&format!("{RUN_COLUMNS}, claim, cron_source, turn"), source)
}

fn ready(columns: &str, source: CronSource) -> String {
    let may_start = waits_for::may_start();
    format!(
        "SELECT {columns} FROM runs INDEXED BY runs_by_turn WHERE cron_source = '{source}' AND {WAITS} AND {may_start} \
         ORDER BY turn, act_at, seq"
    )
}

/// Selects runs that wait to be sent, whatever they wait for.
const WAITS: &str = "act_at <= :now AND phase = 'pending' AND start_before > :now AND cancelling IS NULL";

/// Locks what is selected, and leaves out what others have locked.
const FREE: &str = "/*: FOR NO KEY UPDATE SKIP LOCKED */";

/// Returns the run in a row that has `claim` beside [`RUN_COLUMNS`], under the claim that it has had last.
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
    Ok(ClaimedRun { run, claim: row.get("claim")?, spec, unwanted })
}

/// Returns the next instant after `now` at which a run becomes due or expires, and whether one is due already. One that is due but
/// was not claimed waits for the end of another run, or for its own deadline.
fn next_act_at(tx: &Transaction<'_>, now: Timestamp) -> Result<(Option<Timestamp>, bool), StoreError> {
    tx.query_one(NEXT_ACT, [millis(now)], |row| {
        let next = [time_option(row, "due")?, time_option(row, "deadline")?].into_iter().flatten().min();
        Ok((next, row.get("has_waiting")?))
    })
}

pub(in crate::store) const NEXT_ACT: &str = "SELECT (SELECT min(act_at) FROM runs WHERE act_at > ?1) AS due, \
     (SELECT min(start_before) FROM runs WHERE phase = 'pending' AND start_before > ?1) AS deadline, \
     EXISTS (SELECT 1 FROM runs WHERE act_at <= ?1) AS has_waiting";

#[cfg(test)]
mod tests;
