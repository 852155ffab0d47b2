//! Planning of a cron: the decisions of the pure plan become rows. A run for which there is room is inserted as one that is being
//! sent, so that its intention costs no second write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::counts::Tx;
use super::cron_entries::CronEntry;
use super::definitions::Definitions;
use super::failovers::{FAILOVERS, Failovers};
use super::held_runs::FIRST_CLAIM;
use super::occurrences::{NewRun, RunNumber, RunTimes, cancel_superseded};
use super::room::{ClaimedRun, Room, ServedTurns, TURNS};
use super::rows::{millis, parsed, parsed_option, time_option};
use super::scheduled_crons::ScheduledCron;
use super::set_back::{decided, decided_after};
use super::sql::{Changed, Transaction, array};
use super::{StoreError, acts, outages, pauses_of_all, skipped_ranges, zone_rules};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::bounds::OCCURRENCES_PER_PASS;
use crate::domain::cron::Overlap;
use crate::domain::cron_state::Pause;
use crate::domain::ids::{CronId, FIRST_RUN, RunId};
use crate::domain::outage::Outage;
use crate::domain::plan::{Active, Decided, Decision, Former, Going, Plan, PlanFacts, just_before, plan};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::{Phase, Status, Trigger};
use crate::domain::run_spec::RunSpec;
use crate::domain::skipped_range::{MergeRule, SkippedRange};

/// A plan of one cron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlannedCron {
    /// The last instant that is accounted for.
    pub(super) cursor: Timestamp,
    /// When to plan again, or `None` once the calendar has ended.
    pub(super) next_wake: Option<Timestamp>,
    /// How many runs were added.
    pub(super) fired: usize,
    /// How many occurrences were decided about.
    pub(super) occurrences: usize,
}

/// The version that a cron had before it was edited or removed.
pub(super) struct FormerVersion {
    pub(super) version: ScheduledCron,
    /// When it was replaced.
    pub(super) until: Timestamp,
    /// Recorded for what only this version names.
    pub(super) reason: Reason,
}

impl PlannedCron {
    /// Returns that there is nothing to plan until `now`.
    pub(super) fn nothing_until(now: Timestamp) -> Self {
        Self { cursor: now, next_wake: None, fired: 0, occurrences: 0 }
    }
}

/// What the plans of one pass have in common.
pub(super) struct Pass<'a> {
    pub(super) now: Timestamp,
    outages: Vec<Outage>,
    pauses_of_all: Vec<Pause>,
    served: ServedTurns,
    failovers: Failovers,
    /// As [`PlanFacts::unsure`].
    unsure: Vec<(Timestamp, Timestamp)>,
    /// How many occurrences of each cron are planned at most.
    pub(super) occurrences_max: usize,
    pub(super) room: &'a mut Room,
    /// What was inserted, as far as is known.
    inserted: Vec<(RunId, Changed)>,
    ahead: Ahead,
    /// The time zones whose rules are on record.
    zones: HashSet<String>,
}

/// What was read of the crons of a pass at once. It is true until the first plan of its cron.
#[derive(Default)]
struct Ahead {
    decided: HashMap<CronId, Decided>,
    active: HashMap<CronId, Active>,
}

impl<'a> Pass<'a> {
    /// `since` is the earliest cursor of the crons that are planned.
    pub(super) fn begin(
        tx: &Transaction<'_>,
        since: Timestamp,
        room: &'a mut Room,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        if tx.is_far() {
            tx.foresee(FAILOVERS, ())?;
            tx.foresee(outages::LASTING_SINCE, [millis(since)])?;
            tx.foresee(pauses_of_all::LASTING_SINCE, [millis(since)])?;
            tx.foresee(TURNS, ())?;
        }
        let failovers = Failovers::read(tx)?;
        let unsure = failovers.unsure_spans();
        let outages = outages::lasting_since(tx, since)?;
        let pauses_of_all = pauses_of_all::lasting_since(tx, since)?;
        let (served, occurrences_max) = (ServedTurns::read(tx)?, OCCURRENCES_PER_PASS);
        Ok(Self {
            now,
            outages,
            pauses_of_all,
            served,
            failovers,
            unsure,
            occurrences_max,
            room,
            inserted: Vec::new(),
            ahead: Ahead::default(),
            zones: HashSet::new(),
        })
    }

    /// Reads what the plans of these crons need, all at once, if each by itself would be a way to a server and back.
    pub(super) fn read_ahead<'e>(
        &mut self,
        tx: &Transaction<'_>,
        cache: &Definitions,
        crons: impl Iterator<Item = &'e CronEntry> + Clone,
    ) -> Result<(), StoreError> {
        if !tx.is_far() {
            return Ok(());
        }
        cache.read_ahead(tx, crons.clone().map(|entry| (entry.definition_id, entry.name.as_str())))?;
        tx.foresee(zone_rules::ZONES, ())?;
        let cursors: Vec<(CronId, Timestamp)> = crons.map(|entry| (entry.cron_id, entry.cursor)).collect();
        let ids: Vec<CronId> = cursors.iter().map(|(cron_id, _)| *cron_id).collect();
        let (mut active, mut decided) = (active(tx, &ids, self.now)?, decided_after(tx, &cursors)?);
        self.zones = zone_rules::known(tx)?;
        for cron_id in ids {
            self.ahead
                .decided
                .insert(cron_id, decided.remove(&cron_id).unwrap_or_default().into_iter().collect());
            self.ahead.active.insert(cron_id, active.remove(&cron_id).unwrap_or_default());
        }
        Ok(())
    }

    /// Waits until everything is written, and takes back what turns out to have been there. Returns how many runs that are.
    pub(super) fn settle(self, tx: &Transaction<'_>) -> Result<usize, StoreError> {
        tx.settle()?;
        let there =
            self.inserted.iter().filter(|(_, inserted)| inserted.rows() == 0).map(|(run_id, _)| *run_id);
        let there: HashSet<RunId> = there.collect();
        if !there.is_empty() {
            self.room.sending.retain(|claimed| !there.contains(&claimed.run.run_id));
        }
        Ok(there.len())
    }

    /// Plans one cron, writes the decisions and the cursor, and clears `skip_next` if the plan used it up. After an edit
    /// there is a former version.
    pub(super) fn plan(
        &mut self,
        tx: &Tx<'_>,
        scheduled: &ScheduledCron,
        former: Option<&FormerVersion>,
        entry: &CronEntry,
    ) -> Result<PlannedCron, StoreError> {
        let (cron, now) = (&scheduled.cron, self.now);
        let (state, cursor) = (&entry.state, entry.cursor);
        let dropped = former.map(|former| Former {
            cron: &former.version.cron,
            until: former.until,
            reason: &former.reason,
        });
        let decided = match self.ahead.decided.remove(&cron.cron_id) {
            Some(decided) => decided,
            None => decided(tx, Some(cron.cron_id), cursor)?,
        };
        let decided = decided.with_deleted(entry.history_deleted_until.map(|until| (cron.cron_id, until)));
        let active = match self.ahead.active.remove(&cron.cron_id) {
            _ if cron.policy.overlap == Overlap::Allow => Active::default(),
            Some(active) => active,
            None => active(tx, &[cron.cron_id], now)?.remove(&cron.cron_id).unwrap_or_default(),
        };
        let facts = PlanFacts {
            state,
            pauses_of_all: &self.pauses_of_all,
            cursor,
            decided: &decided,
            active,
            outages: &self.outages,
            unsure: &self.unsure,
            occurrences_max: self.occurrences_max,
            now,
        };
        let plan = plan(cron, dropped, &facts);
        // What only the former definition names is recorded with it, so that `explain` can tell which instants those are.
        let version_of = |decision: &Decision| match decision {
            Decision::Drop { .. } => former.map_or(scheduled, |former| &former.version),
            Decision::Fire { .. }
            | Decision::Skip { .. }
            | Decision::Pause { .. }
            | Decision::Miss { .. } => scheduled,
        };
        let (mut fired, mut turn) = (0, entry.turn);
        // The first run of a cron that has no other need not wait for any.
        let was_alone = active.running.is_none() && active.waiting == 0;
        let (mut is_alone, mut first_fired) = (was_alone, None);
        for decision in &plan.decisions {
            match new_row(version_of(decision), decision, now) {
                NewRow::Run(times, trigger) => {
                    let next_turn = self.served.next(entry.source, turn);
                    let unsure = self.failovers.unsure(times.scheduled_for, now);
                    let is_sent = unsure.is_none()
                        && self.room.has_room(entry.source)
                        && !self.room.left.contains(&cron.cron_id)
                        && (is_alone || cron.policy.overlap == Overlap::Allow)
                        && (times.due_at <= now && now < times.start_before);
                    let sent = self.room.holder.filter(|_| is_sent).map(|holder| (now, holder));
                    let number = RunNumber::FIRST;
                    let run = NewRun { times, trigger, number, turn: next_turn, sent, unsure };
                    let inserted = run.insert(tx, scheduled)?;
                    if inserted.is_none() {
                        continue;
                    }
                    self.inserted.push((run.run_id(scheduled), inserted));
                    (fired, turn, is_alone) = (fired + 1, next_turn, false);
                    first_fired.get_or_insert(times.scheduled_for);
                    if sent.is_some() {
                        let spec = RunSpec::Cron(Arc::clone(cron));
                        let run = run.sending(scheduled, now);
                        let claimed = ClaimedRun { run, claim: FIRST_CLAIM, spec, unwanted: None };
                        self.room.take(entry.source);
                        self.room.send(claimed, entry.source, turn);
                    }
                }
                NewRow::Record(range, rule) => {
                    skipped_ranges::record(tx, version_of(decision), &range, rule, now)?
                }
            }
        }
        if let Some(next) = first_fired.filter(|_| !was_alone && cron.policy.overlap == Overlap::Cancel) {
            cancel_superseded(tx, cron.cron_id, next, now)?;
        }
        if let Some(until) = plan.pause_ended {
            end_pause(tx, entry, until)?;
        }
        let zone = cron.calendar.timezone();
        if !self.zones.contains(zone) {
            zone_rules::record(tx, &cron.calendar)?;
            self.zones.insert(zone.to_owned());
        }
        let sql = "UPDATE crons SET cursor = max(cursor, ?2), skip_next = iif(?3 = 1, 0, skip_next), next_at = ?4, turn = ?5 \
                   WHERE cron_id = ?1";
        tx.gather(
            cron.cron_id,
            sql,
            (
                cron.cron_id.to_string(),
                millis(plan.cursor),
                plan.used_skip_next,
                // A cron with more to plan goes behind the others that are due.
                plan.next_wake.map(|next| millis(next.max(now))),
                turn,
            ),
        )?;
        let Plan { occurrences, cursor, next_wake, .. } = plan;
        Ok(PlannedCron { cursor, next_wake, fired, occurrences })
    }
}

/// The row that a decision adds.
enum NewRow {
    Run(RunTimes, Trigger),
    Record(SkippedRange, MergeRule),
}

/// Records that the pause of a cron has ended by itself, which forgets its failures as a resumption does.
fn end_pause(tx: &Transaction<'_>, entry: &CronEntry, until: Timestamp) -> Result<(), StoreError> {
    tx.put(
        "UPDATE crons SET pause_ended = 1, failures = 0, failing_since = NULL WHERE cron_id = ?1",
        [entry.cron_id.to_string()],
    )?;
    let subject = Subject::cron(entry.cron_id, &entry.name);
    let (by, what) = (Actor::AGENTCRON, ActKind::Resumed);
    acts::record(tx, &Act { at: until, by, what, subject, note: Some("the pause was over".to_owned()) })
}

fn new_row(version: &ScheduledCron, decision: &Decision, now: Timestamp) -> NewRow {
    let cron = &version.cron;
    match decision {
        Decision::Fire { scheduled_for, due_at, start_before, trigger } => {
            let (scheduled_for, due_at, start_before) = (*scheduled_for, *due_at, *start_before);
            NewRow::Run(RunTimes { scheduled_for, due_at, start_before }, *trigger)
        }
        Decision::Skip { scheduled_for, reason } => {
            let (first, last) = (*scheduled_for, *scheduled_for);
            let (status, reason) = (Status::Skipped, reason.reason(cron));
            NewRow::Record(SkippedRange { status, first, last, count: 1, reason }, MergeRule::Never)
        }
        Decision::Pause { first, last, count, pause } => {
            let (first, last, count) = (*first, *last, *count);
            let range = SkippedRange { status: Status::Skipped, first, last, count, reason: pause.reason() };
            NewRow::Record(range, MergeRule::SamePause { since: pause.since })
        }
        Decision::Drop { first, last, count, reason } => {
            let (first, last, count, reason) = (*first, *last, *count, reason.clone());
            let range = SkippedRange { status: Status::Skipped, first, last, count, reason };
            let (definition_id, since) = (version.definition_id, shortly_before(now));
            NewRow::Record(range, MergeRule::SameChange { definition_id, since })
        }
        Decision::Miss { first, last, count, reason, outage } => {
            let (first, last, count) = (*first, *last, *count);
            let reason = reason.reason(cron, outage.as_ref());
            let range = SkippedRange { status: Status::Missed, first, last, count, reason };
            let after = outage.as_ref().map_or(Timestamp::MIN, |outage| just_before(outage.since));
            NewRow::Record(range, MergeRule::SameCatchUp { after, since: shortly_before(now) })
        }
    }
}

/// Returns the age below which a record may belong to the same catch-up.
fn shortly_before(now: Timestamp) -> Timestamp {
    now.saturating_sub(jiff::SignedDuration::from_mins(1)).unwrap_or(now)
}

/// Returns the runs of these crons that have not ended, as far as their overlap policies depend on them. One whose time is still
/// to come, because the clock was set back, is in nobody's way. Between two runs of an occurrence, the occurrence is in
/// progress, unless the next one comes too late.
fn active(
    tx: &Transaction<'_>,
    crons: &[CronId],
    now: Timestamp,
) -> Result<HashMap<CronId, Active>, StoreError> {
    let mut all = HashMap::<CronId, Active>::new();
    let of_crons = if let [_] = crons { "cron_id = ?1" } else { "cron_id = ANY(?1)" };
    let sql = format!(
        "SELECT cron_id, run_id, phase, retry, recovered_at, reason_code, \
         coalesce(first_started_at, started_at, sent_at) AS going_since FROM runs WHERE {of_crons} AND phase <> 'ended' \
         AND (phase <> 'pending' OR scheduled_for <= ?2) \
         AND NOT (phase = 'pending' AND retry > 0 AND start_before <= ?2)"
    );
    let ids = if let [cron_id] = crons { cron_id.to_string() } else { array(crons) };
    tx.each(&sql, (ids, millis(now)), |row| {
        let active = all.entry(parsed(row, "cron_id")?).or_default();
        match parsed::<Phase>(row, "phase")? {
            Phase::Pending if row.get::<u32>("retry")? == FIRST_RUN => active.waiting += 1,
            phase @ (Phase::Pending | Phase::Sending | Phase::Unconfirmed | Phase::Running) => {
                active.running = Some(Going {
                    is_confirmed: !matches!(phase, Phase::Unconfirmed),
                    run_id: parsed(row, "run_id")?,
                    since: time_option(row, "going_since")?,
                    is_denied: parsed_option(row, "reason_code")? == Some(ReasonCode::BackendDenied),
                });
                active.recovered_at = active.recovered_at.max(time_option(row, "recovered_at")?);
            }
            Phase::Ended => {}
        }
        Ok(())
    })?;
    Ok(all)
}
