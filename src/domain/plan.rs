//! The core of agentcron: decides what happens to a cron's occurrences. It is pure: the same arguments give
//! the same plan.

mod due;
mod instants;
mod ranges;

use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use super::bounds::{BACKFILL_DEADLINE, ON_TIME_WITHIN, RECOVERED_WAIT, START_DEADLINE_MAX};
use super::cron::{Catchup, Cron, Overlap};
use super::cron_state::{CronState, Pause};
use super::ids::{FIRST_RUN, RunId};
use super::outage::{Away, Outage};
use super::reason::{Reason, ReasonCode};
use super::run::Trigger;

use due::Due;
use ranges::{drop_one, miss, pause};

pub use instants::{Decided, just_before, names, next_within};

/// What a record says of the run in its way, and what it says once it is known that nobody could see that run.
pub const STILL_RUNNING: &str = "was still running";
pub const NOT_FOLLOWED: &str = "could not be followed";

/// What is committed for a cron in one transaction.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Plan {
    /// Sorted by instant.
    pub decisions: Vec<Decision>,
    /// How many occurrences these are about.
    pub occurrences: usize,
    /// Every occurrence up to and including this instant is decided; the next plan begins after it.
    pub cursor: Timestamp,
    /// When to plan again: at the next occurrence, or at the end of the cron's pause; `None` if neither follows.
    pub next_wake: Option<Timestamp>,
    /// Whether an occurrence was skipped because of `skip-next`, which skips only one.
    pub used_skip_next: bool,
    /// The end of the cron's pause, if that has come and is not on record.
    pub pause_ended: Option<Timestamp>,
}

/// What is done about one occurrence, or about a range of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A run is created, which becomes due at `due_at`.
    Fire {
        /// The instant named by the calendar.
        scheduled_for: Timestamp,
        /// `scheduled_for` plus jitter.
        due_at: Timestamp,
        /// The start deadline: a run that still waits to be sent then ends as `error`.
        start_before: Timestamp,
        /// `Schedule` or `Catchup`.
        trigger: Trigger,
    },
    /// The occurrence is deliberately not started.
    Skip { scheduled_for: Timestamp, reason: SkipReason },
    /// The cron was paused, by its own pause or by one of all crons: one record for the whole range of `count` occurrences,
    /// `last` included.
    Pause { first: Timestamp, last: Timestamp, count: u64, pause: Pause },
    /// Only the former definition of the cron names them: one record for the whole range, `last` included.
    Drop { first: Timestamp, last: Timestamp, count: u64, reason: Reason },
    /// The occurrences were found too late: one record for the whole range, `last` included.
    Miss { first: Timestamp, last: Timestamp, count: u64, reason: MissReason, outage: Option<Outage> },
}

/// Why an occurrence was not started.
#[derive(Clone, Debug, PartialEq)]
pub enum SkipReason {
    /// `overlap = "skip"`, and this run was still running.
    Overlap(RunId),
    /// `overlap = "skip"`, and this run may have reached the agent server.
    Unconfirmed(RunId),
    /// `overlap = "queue"`, and one run is waiting already.
    QueueFull,
    /// This run is in the way as far as anybody knows, but the agent server refuses to show it to us.
    BackendDenied(RunId),
    /// This run is in the way as far as anybody knows, but the agent server is away or refuses us.
    BackendAway(RunId, Outage),
    /// It falls on an excluded day.
    Excluded,
    /// A person asked for it (`skip-next`).
    Requested,
}

/// Why occurrences that were found too late were not caught up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissReason {
    /// `catchup = "none"`.
    NoCatchup,
    /// `catchup = "latest"`, and a later occurrence was due as well.
    LaterOne,
    /// Older than `catchup_window`.
    OutsideWindow,
    /// It fell due in a time of which the record is lost, so it may have run.
    RecordLost,
}

impl Decision {
    fn is_skip_for_another_run(&self) -> bool {
        let Decision::Skip { reason, .. } = self else { return false };
        !matches!(reason, SkipReason::Excluded | SkipReason::Requested)
    }
}

impl SkipReason {
    /// Returns the reason that is recorded.
    pub fn reason(&self, cron: &Cron) -> Reason {
        match self {
            SkipReason::Unconfirmed(running) => Reason::new(
                ReasonCode::Overlap,
                format!("the start of run {running} of {} was not confirmed (overlap = \"skip\")", cron.name),
            ),
            SkipReason::Overlap(running) => Reason::new(
                ReasonCode::Overlap,
                format!("run {running} of {} {STILL_RUNNING} (overlap = \"skip\")", cron.name),
            ),
            SkipReason::QueueFull => Reason::new(
                ReasonCode::QueueFull,
                "one run was running and one was waiting already (overlap = \"queue\")",
            ),
            SkipReason::BackendDenied(running) => {
                let overlap = cron.policy.overlap;
                let message =
                    format!("the agent server does not show us run {running} (overlap = \"{overlap}\")");
                Reason::new(ReasonCode::BackendDenied, message)
            }
            SkipReason::BackendAway(running, outage) => {
                let run = format!("run {running} of {} {NOT_FOLLOWED}", cron.name);
                let overlap = cron.policy.overlap;
                let message = format!("{}; {run} (overlap = \"{overlap}\")", outage.sentence());
                Reason::new(outage.what.reason_code().unwrap_or(ReasonCode::BackendAway), message)
            }
            SkipReason::Requested => Reason::new(ReasonCode::SkipNext, "skipped on request"),
            SkipReason::Excluded => Reason::new(ReasonCode::Excluded, "this day is excluded"),
        }
    }
}

impl MissReason {
    /// Returns the reason that is recorded, with the outage in which the occurrences fell due, if it was one.
    pub fn reason(self, cron: &Cron, outage: Option<&Outage>) -> Reason {
        let (code, policy) = match self {
            MissReason::NoCatchup => (ReasonCode::CatchupNone, "catchup = \"none\"".to_owned()),
            MissReason::LaterOne => (
                ReasonCode::CatchupLatest,
                "only the latest occurrence is caught up (catchup = \"latest\")".to_owned(),
            ),
            MissReason::OutsideWindow => {
                let window = humantime::format_duration(cron.policy.catchup_window);
                (ReasonCode::CatchupWindow, format!("longer ago than catchup_window = {window}"))
            }
            MissReason::RecordLost => {
                (ReasonCode::Restored, "it may have run; `agentcron backfill` runs it".to_owned())
            }
        };
        let found = outage.map_or("it was found too late".to_owned(), Outage::sentence);
        let code = outage.and_then(|outage| outage.what.reason_code()).unwrap_or(code);
        Reason::new(code, format!("{found}; {policy}"))
    }
}

/// A run that is in progress as far as anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Going {
    pub run_id: RunId,
    /// When its occurrence began to be run; `None` if that is not known.
    pub since: Option<Timestamp>,
    /// Whether it is certain that the backend has it.
    pub is_confirmed: bool,
    /// Whether the backend refuses to show it to us.
    pub is_denied: bool,
}

/// The runs of a cron that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active {
    /// A run that the backend has, or may have.
    pub running: Option<Going>,
    /// The number of runs that wait to be sent.
    pub waiting: u32,
    /// When a run was recovered that was not looked at since: it may have ended long ago.
    pub recovered_at: Option<Timestamp>,
}

impl Active {
    /// Returns until when nothing is decided, so that a run that was recovered is looked at first.
    fn wait_until(&self, now: Timestamp) -> Option<Timestamp> {
        let recovered_at = self.recovered_at.filter(|at| *at <= now)?;
        Some(backoff::after(recovered_at, RECOVERED_WAIT)).filter(|until| *until > now)
    }
}

/// A definition that was replaced.
#[derive(Clone, Copy, Debug)]
pub struct Former<'a> {
    pub cron: &'a Cron,
    /// The last instant at which it was in force.
    pub until: Timestamp,
    /// Recorded for the occurrences that only this definition names.
    pub reason: &'a Reason,
}

/// What is known when a cron is planned.
#[derive(Clone, Copy, Debug)]
pub struct PlanFacts<'a> {
    pub state: &'a CronState,
    /// The pauses of all crons that had not ended at `cursor`, the earliest first.
    pub pauses_of_all: &'a [Pause],
    /// The last instant that is accounted for.
    pub cursor: Timestamp,
    pub decided: &'a Decided,
    pub active: Active,
    /// At least those that had not ended at `cursor`.
    pub outages: &'a [Outage],
    /// The times of which occurrences may have been started although nothing is known of that.
    pub unsure: &'a [(Timestamp, Timestamp)],
    /// How many occurrences are decided about at most; the next plan decides about those that follow.
    pub occurrences_max: usize,
    pub now: Timestamp,
}

impl PlanFacts<'_> {
    /// Returns the pause that an occurrence of this instant falls into. One of the cron itself goes before one of all
    /// crons, so that its record goes on.
    fn pause_at(&self, at: Timestamp) -> Option<&Pause> {
        let own = self.state.paused.iter();
        own.chain(self.pauses_of_all).find(|pause| pause.covers(at))
    }

    /// Returns the pause of all crons that is in force now: then nothing of the calendar is started, not even what was due
    /// before.
    fn pause_of_all_now(&self) -> Option<&Pause> {
        self.pauses_of_all.iter().find(|pause| pause.is_in_force(self.now))
    }

    /// Returns the outage that an occurrence of this instant fell into, so that it is found late.
    fn found_late_by(&self, at: Timestamp) -> Option<&Outage> {
        let in_the_way =
            |outage: &&Outage| matches!(outage.what, Away::Daemon | Away::Disk | Away::Store | Away::Record);
        self.outages.iter().filter(in_the_way).find(|outage| outage.contains(at))
    }

    /// Returns whether an occurrence of this instant may have been started already. Then it is looked for, whatever else is decided.
    fn may_have_started(&self, at: Timestamp) -> bool {
        self.unsure.iter().any(|(since, until)| (*since..=*until).contains(&at))
    }

    /// Returns the time of which the record is lost that an occurrence of this instant fell into.
    fn lost_with(&self, at: Timestamp) -> Option<&Outage> {
        self.outages.iter().filter(|outage| outage.what == Away::Record).find(|outage| outage.contains(at))
    }

    /// Returns the outage of the agent server, or of our access to it, that lasts.
    fn backend_outage(&self) -> Option<&Outage> {
        self.outages.iter().find(|outage| outage.is_of_backend() && outage.contains(self.now))
    }
}

/// Decides about every occurrence in `(cursor, now]` that is not decided yet, as far as `occurrences_max` goes, or about none as long as a run that was
/// recovered is to be looked at first. After an edit, the former definition says what it left undecided, and the present one
/// decides: what only the former one names is dropped.
pub fn plan(cron: &Cron, former: Option<Former<'_>>, facts: &PlanFacts<'_>) -> Plan {
    let PlanFacts { state, cursor, decided, mut active, now, .. } = *facts;
    match (former, active.wait_until(now)) {
        (None, Some(until)) => {
            let (decisions, occurrences, next_wake) = (Vec::new(), 0, Some(until));
            return Plan {
                decisions,
                occurrences,
                cursor,
                next_wake,
                used_skip_next: false,
                pause_ended: None,
            };
        }
        // An edit cannot wait for a run to be looked at. What may have to wait for that run is fired, and waits.
        (Some(_), Some(_)) => active.running = None,
        (_, None) => {}
    }
    let due = Due::collect(cron, former, facts);
    let mut decisions = Vec::new();
    let mut skip_next = state.skip_next;
    for (index, &at) in due.instants.iter().enumerate() {
        if let Some(paused) = facts.pause_at(at) {
            pause(&mut decisions, at, paused);
            continue;
        }
        if let Some(former) = former
            && !names(cron, at)
        {
            drop_one(&mut decisions, at, former.reason);
            continue;
        }
        let next = match former {
            None => due.after(index),
            Some(_) => decided.next_within(cron, at),
        };
        let is_unsure = facts.may_have_started(at);
        if let Some(lost) = facts.lost_with(at).filter(|_| !is_unsure) {
            miss(&mut decisions, at, MissReason::RecordLost, Some(lost));
            continue;
        }
        let deadline = deadline_on_time(cron, at, now);
        let too_late = too_late(cron, at, next, now).filter(|_| deadline.is_none());
        if let Some(reason) = too_late.filter(|_| !is_unsure) {
            miss(&mut decisions, at, reason, facts.found_late_by(at));
            continue;
        }
        let mut decision = decide(cron, at, deadline, active, facts);
        if is_unsure && (too_late.is_some() || decision.is_skip_for_another_run()) {
            decision = look_for(cron, at, now);
        }
        if let (Decision::Fire { .. }, Some(paused)) = (&decision, facts.pause_of_all_now()) {
            if !is_unsure {
                pause(&mut decisions, at, paused);
                continue;
            }
            decision = look_for(cron, at, now);
        }
        let is_excluded = matches!(decision, Decision::Skip { reason: SkipReason::Excluded, .. });
        if skip_next && !is_excluded {
            skip_next = false;
            decision = Decision::Skip { scheduled_for: at, reason: SkipReason::Requested };
        }
        if let Decision::Fire { .. } = decision {
            active.waiting += 1;
        }
        decisions.push(decision);
    }
    let end_of_pause = state.paused.as_ref().and_then(|pause| pause.until);
    Plan {
        decisions,
        occurrences: due.instants.len(),
        cursor: due.instants.last().copied().unwrap_or(cursor),
        next_wake: due.next.into_iter().chain(end_of_pause.filter(|until| *until > now)).min(),
        used_skip_next: state.skip_next && !skip_next,
        pause_ended: state.paused.as_ref().and_then(|pause| pause.end_to_record(now)),
    }
}

/// Returns where planning begins after an edit: right before the first occurrence that the former definition left
/// undecided, or `None` if it left none. An edit brings no occurrence before that one, since the former
/// definition may have been in force then.
pub fn undecided_after(former: &Cron, cursor: Timestamp, now: Timestamp) -> Option<Timestamp> {
    next_within(former, cursor).filter(|first| *first <= now).map(just_before)
}

/// Returns the start deadline of an occurrence that is found on time: a short while after its instant at most, and before that
/// deadline.
fn deadline_on_time(cron: &Cron, at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    if backoff::between(at, now) > ON_TIME_WITHIN {
        return None;
    }
    let start_before = backoff::after(due_at(cron, at), start_deadline(cron, Trigger::Schedule, at));
    (start_before > now).then_some(start_before)
}

/// Returns why an occurrence that is not found on time is not caught up, or `None` if it is.
pub(super) fn too_late(
    cron: &Cron,
    at: Timestamp,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Option<MissReason> {
    let later_one_is_due = next.is_some_and(|next| next <= now);
    match cron.policy.catchup {
        Catchup::None => Some(MissReason::NoCatchup),
        Catchup::Latest | Catchup::All if backoff::between(at, now) > cron.policy.catchup_window => {
            Some(MissReason::OutsideWindow)
        }
        Catchup::Latest if later_one_is_due => Some(MissReason::LaterOne),
        Catchup::Latest | Catchup::All => None,
    }
}

/// Decides about an occurrence that is found on time, with a deadline, or else is caught up.
fn decide(
    cron: &Cron,
    at: Timestamp,
    deadline: Option<Timestamp>,
    active: Active,
    facts: &PlanFacts<'_>,
) -> Decision {
    let skip = |reason| Decision::Skip { scheduled_for: at, reason };
    if is_excluded(cron, at) {
        return skip(SkipReason::Excluded);
    }
    // What is caught up overlapped only with what was in progress at its own time. It waits for what is now.
    let overlaps = |going: &Going| deadline.is_some() || going.since.is_none_or(|since| since <= at);
    let is_in_the_way = match cron.policy.overlap {
        Overlap::Skip => true,
        Overlap::Queue => active.waiting > 0,
        Overlap::Allow | Overlap::Cancel => false,
    };
    let Some(going) = active.running.filter(|going| is_in_the_way && overlaps(going)) else {
        return fire(cron, at, deadline, facts.now);
    };
    skip(match facts.backend_outage() {
        Some(outage) => SkipReason::BackendAway(going.run_id, outage.clone()),
        None if going.is_denied => SkipReason::BackendDenied(going.run_id),
        None if cron.policy.overlap == Overlap::Queue => SkipReason::QueueFull,
        None if !going.is_confirmed => SkipReason::Unconfirmed(going.run_id),
        None => SkipReason::Overlap(going.run_id),
    })
}

/// Returns whether an occurrence falls on an excluded day, in the cron's time zone.
pub fn is_excluded(cron: &Cron, at: Timestamp) -> bool {
    if cron.policy.exclude.is_empty() {
        return false;
    }
    let day = at.to_zoned_datetime(cron.calendar.zone().clone()).date();
    cron.policy.exclude.iter().any(|range| range.first <= day && day <= range.last)
}

/// Returns how long a run of this trigger and instant may wait to be started, from when nothing of its cron keeps it waiting.
pub fn start_deadline(cron: &Cron, trigger: Trigger, at: Timestamp) -> Duration {
    let next = match trigger {
        Trigger::Schedule | Trigger::Catchup => next_within(cron, at),
        Trigger::Manual | Trigger::Api => None,
        Trigger::Backfill => return BACKFILL_DEADLINE,
    };
    let until_next = |next| backoff::between(at, next).min(START_DEADLINE_MAX);
    cron.policy.start_deadline.unwrap_or_else(|| next.map_or(START_DEADLINE_MAX, until_next))
}

/// Returns when the first run of an occurrence is due: the cron's jitter after its instant.
pub(super) fn due_at(cron: &Cron, at: Timestamp) -> Timestamp {
    if cron.policy.jitter.is_zero() {
        return at;
    }
    let run_id = RunId::of_occurrence(cron.cron_id, at, FIRST_RUN);
    backoff::after(at, cron.policy.jitter.mul_f64(backoff::share(run_id.0, 0)))
}

fn fire(cron: &Cron, at: Timestamp, deadline: Option<Timestamp>, now: Timestamp) -> Decision {
    let due_at = due_at(cron, at);
    let (trigger, start_before) = match deadline {
        Some(start_before) => (Trigger::Schedule, start_before),
        // Counted from its instant, the deadline of a catch-up would have passed already.
        None => {
            let from = due_at.max(now);
            (Trigger::Catchup, backoff::after(from, start_deadline(cron, Trigger::Catchup, at)))
        }
    };
    Decision::Fire { scheduled_for: at, due_at, start_before, trigger }
}

/// Returns the decision that a run is looked for, and not started any more if it is not found.
fn look_for(cron: &Cron, at: Timestamp, now: Timestamp) -> Decision {
    let due_at = due_at(cron, at);
    Decision::Fire { scheduled_for: at, due_at, start_before: now, trigger: Trigger::Schedule }
}

#[cfg(test)]
pub(super) mod tests;
