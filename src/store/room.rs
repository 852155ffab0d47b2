//! The room for runs that are sent: the places on the agent server and who holds them, the turns that have been served, and
//! the runs that take the room.

use jiff::Timestamp;

use super::held_runs::HeldRun;
use super::published::Left;
use super::rows::{millis, parsed};
use super::sql::{Transaction, Writing};
use super::{StoreError, cron_entries};
use crate::domain::cron::CronSource;
use crate::domain::ids::DaemonNumber;
use crate::domain::run::{CancelCause, Run, RunState};
use crate::domain::run_spec::RunSpec;
use crate::domain::turns::{self, Places, kept_for_files};

/// The limits of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimLimits {
    /// The most runs to send.
    pub starts: usize,
    /// How many are being sent already.
    pub in_flight: usize,
    /// The most runs of crons that the backend may have at the same time, unconfirmed ones included.
    pub running_max: usize,
    /// How many more of these this daemon may have, if several share the store.
    pub own_places: usize,
}

/// A claimed run with its specification.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    pub run: Run,
    /// How often the run has been claimed by now.
    pub claim: u32,
    pub spec: RunSpec,
    /// Why it must end instead of being sent, or `None` if nobody cancelled it.
    pub unwanted: Option<CancelCause>,
}

impl ClaimedRun {
    /// Returns under which claim it is held.
    pub fn held(&self) -> HeldRun {
        HeldRun { run_id: self.run.run_id, claim: self.claim }
    }

    /// Returns the number of the run's latest start, counted from 1.
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

/// The highest turn of each source of which a run was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServedTurns {
    of_files: i64,
    of_clients: i64,
}

/// Selects what [`ServedTurns::read`] reads.
pub(super) const TURNS: &str = "SELECT source, turn FROM turns";

impl ServedTurns {
    pub(super) fn read(tx: &Transaction<'_>) -> Result<Self, StoreError> {
        let mut turns = Self { of_files: 0, of_clients: 0 };
        tx.each(TURNS, (), |row| {
            match parsed(row, "source")? {
                CronSource::File => turns.of_files = row.get("turn")?,
                CronSource::Api => turns.of_clients = row.get("turn")?,
            }
            Ok(())
        })?;
        Ok(turns)
    }

    /// Returns the turn of a cron's next run, if this is the turn of its latest one.
    pub(super) fn next(self, source: CronSource, latest: i64) -> i64 {
        let served = match source {
            CronSource::File => self.of_files,
            CronSource::Api => self.of_clients,
        };
        turns::next_turn(latest, served)
    }
}

/// The room for runs that are sent at once, and the runs that are sent.
pub(super) struct Room {
    /// The daemon that sends them; `None` if nobody does.
    pub(super) holder: Option<DaemonNumber>,
    /// How many more runs may be sent.
    pub(super) starts: usize,
    /// How many more runs this daemon may have.
    own_places: usize,
    /// How many daemons give places to runs at the same time, this one included.
    pub(super) daemons: usize,
    /// Whether there will be more room in a moment, when what is being sent has been answered.
    pub(super) more_soon: bool,
    places: Places,
    pub(super) sending: Vec<ClaimedRun>,
    /// The crons whose runs others send.
    pub(super) left: Left,
    /// The highest turn of each source of which a run is sent.
    turns: [Option<i64>; CronSource::ALL.len()],
}

impl Room {
    /// Returns that nothing is sent.
    pub(super) fn none() -> Self {
        let places = Places { max: 0, kept_for_files: 0, of_files: 0, of_clients: 0 };
        Self {
            holder: None,
            starts: 0,
            own_places: 0,
            daemons: 1,
            more_soon: false,
            places,
            sending: Vec::new(),
            left: Left::default(),
            turns: [None; CronSource::ALL.len()],
        }
    }

    /// Returns the room within these limits; none if nothing is due that could take it. Runs of clients hold no places: the
    /// clients start them themselves, and they use up no cron's place.
    pub(super) fn within(
        tx: &Transaction<'_>,
        limits: ClaimLimits,
        (holder, left): (DaemonNumber, Left),
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let none = Self { more_soon: limits.starts + limits.in_flight > 0, ..Self::none() };
        // The count of what is in progress takes as long as that is long.
        if limits.starts == 0 || !is_any_due(tx, now)? {
            return Ok(none);
        }
        let (mut places, daemons) = places(tx, limits.running_max)?;
        let mut starts = limits.starts;
        if tx.is_far() {
            (starts, places) = beside_others(tx, limits, (places, daemons))?;
        }
        let own_places = limits.own_places;
        Ok(Self { holder: Some(holder), starts, own_places, daemons, places, left, ..none })
    }

    /// Returns how many runs of this source may be sent, if none of the other is.
    pub(super) fn left_for(&self, source: CronSource) -> usize {
        self.starts.min(self.own_places).min(self.places.left(source))
    }

    pub(super) fn has_room(&self, source: CronSource) -> bool {
        self.left_for(source) > 0
    }

    /// Returns whose run is sent next, given whether runs of either source wait.
    pub(super) fn next(&self, of_files: bool, of_clients: bool) -> Option<CronSource> {
        self.places.next(of_files, of_clients).filter(|_| self.may_start())
    }

    fn may_start(&self) -> bool {
        self.starts > 0 && self.own_places > 0
    }

    /// Gives a place to a run of this source.
    pub(super) fn take(&mut self, source: CronSource) {
        self.starts = self.starts.saturating_sub(1);
        self.own_places = self.own_places.saturating_sub(1);
        self.places.take(source);
    }

    /// Adds a run that has been given a place and is being sent.
    pub(super) fn send(&mut self, claimed: ClaimedRun, source: CronSource, turn: i64) {
        self.sending.push(claimed);
        let highest = &mut self.turns[source as usize];
        *highest = (*highest).max(Some(turn));
    }

    /// Writes the turns that were served.
    pub(super) fn save(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        // Whoever has locked it is about to write one that is hardly any lower.
        let sql = "UPDATE turns SET turn = ?2 WHERE turn < ?2 AND source = (SELECT source FROM turns WHERE source = ?1 AND turn < ?2 \
                   /*: FOR NO KEY UPDATE SKIP LOCKED */)";
        for source in CronSource::ALL {
            if let Some(turn) = self.turns[*source as usize] {
                tx.put(sql, (source.as_str(), turn))?;
            }
        }
        Ok(())
    }
}

/// Who may give places to runs, and to how many.
pub(super) const PLACES: &str = "SELECT \
     (SELECT count(*) FROM runs WHERE sent_at IS NOT NULL AND ended_at IS NULL AND cron_source = 'file') AS of_files, \
     (SELECT count(*) FROM runs WHERE sent_at IS NOT NULL AND ended_at IS NULL AND cron_source = 'api') AS of_clients, \
     EXISTS (SELECT 1 FROM crons WHERE source = 'file' AND next_at IS NOT NULL AND removed_at IS NULL) \
     OR EXISTS (SELECT 1 FROM crons WHERE source = 'file' AND next_at IS NULL AND removed_at IS NULL) AS has_files, \
     (SELECT count(*) FROM daemons WHERE recovered_at IS NULL) AS daemons";

/// Returns the places on the agent server and who holds them by now, and how many daemons there are.
fn places(tx: &Transaction<'_>, max: usize) -> Result<(Places, usize), StoreError> {
    tx.query_one(PLACES, (), |row| {
        let count = |column| row.count(column).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let kept_for_files = if row.get("has_files")? { kept_for_files(max) } else { 0 };
        let (of_files, of_clients) = (count("of_files")?, count("of_clients")?);
        Ok((Places { max, kept_for_files, of_files, of_clients }, count("daemons")?))
    })
}

/// Returns how many runs one daemon may send while others give places to theirs, and the places that are left. Nobody sees what the
/// others are about to take. So as long as there are enough for all, each takes a share at most; after that one at a time takes
/// what is left.
fn beside_others(
    tx: &Transaction<'_>,
    limits: ClaimLimits,
    (seen, daemons): (Places, usize),
) -> Result<(usize, Places), StoreError> {
    if daemons <= 1 {
        return Ok((limits.starts, seen));
    }
    let max = limits.running_max;
    let share = limits.starts.min(max / SHARES / daemons);
    let is_enough = |places: &Places| {
        let taken = share.saturating_mul(daemons).saturating_add(places.of_files + places.of_clients);
        share > 0 && taken <= max
    };
    if !is_enough(&seen) {
        tx.wait_for_places(Writing::Alone)?;
        return Ok((limits.starts, places(tx, max)?.0));
    }
    tx.wait_for_places(Writing::Beside)?;
    let (places, _) = places(tx, max)?;
    Ok((if is_enough(&places) { share } else { 0 }, places))
}

/// How many shares all daemons could take, one after the other, before they have to wait for one another.
const SHARES: usize = 4;

/// Returns whether a run waits to be sent that is due, or a cron is to be planned.
fn is_any_due(tx: &Transaction<'_>, now: Timestamp) -> Result<bool, StoreError> {
    if cron_entries::next(tx)?.is_some_and(|(at, _)| at <= now) {
        return Ok(true);
    }
    tx.query_value(IS_ANY_DUE, [millis(now)])
}

pub(super) const IS_ANY_DUE: &str =
    "SELECT EXISTS (SELECT 1 FROM runs WHERE act_at <= ?1 AND phase = 'pending')";
