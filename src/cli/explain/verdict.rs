//! The verdict about one instant, from what is on record and from what the calendar says.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::{run_line, times};
use crate::domain::cron::Cron;
use crate::domain::cron_state::Pause;
use crate::domain::plan::is_excluded;
use crate::domain::run::{RunState, Status};
use crate::store::{CronRecord, RunRow};

/// What a verdict goes by.
pub(super) struct Facts<'a> {
    /// The cron.
    pub(super) record: &'a CronRecord,
    /// Its definition at that time, as far as that is known.
    pub(super) cron: &'a Cron,
    /// What is on record about the instant.
    pub(super) found: Option<&'a RunRow>,
    /// The instant.
    pub(super) at: Timestamp,
    /// Now.
    pub(super) now: Timestamp,
    /// Whether a daemon has the database.
    pub(super) is_running: bool,
}

/// Why a cron did or did not fire.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict<'a> {
    /// The schedule does not name this instant.
    NotAnInstant,
    /// There is a run, over or not.
    Fired(&'a RunRow),
    /// It was deliberately left out.
    Skipped(&'a RunRow),
    /// Nobody was there to start it.
    Missed(&'a RunRow),
    /// Nobody knew the cron yet.
    NotKnownYet(Timestamp),
    /// It had been removed.
    Removed(Timestamp),
    /// `enabled = false`.
    Disabled,
    /// It lies before `start_time`.
    BeforeStart(Timestamp),
    /// It does not lie before `end_time`.
    AfterEnd(Timestamp),
    /// It is to come, on an excluded day.
    WillBeExcluded,
    /// It is to come, and the cron is paused.
    WillBePaused(&'a Pause),
    /// It is to come, and `skip-next` was asked for.
    WillBeSkipped,
    /// It is to come.
    WillFire,
    /// It has passed, and no daemon has looked at it yet.
    NotPlannedYet { is_running: bool },
    /// The cron had another definition then, and nothing was planned by it at that instant.
    OtherDefinition(Timestamp),
    /// It should be on record, and is not.
    NoRecord,
}

pub(super) fn judge<'a>(facts: &Facts<'a>) -> Verdict<'a> {
    let Facts { record, cron, found, at, now, .. } = *facts;
    if let Some(row) = found.filter(|row| row.run.scheduled_for == at || is_instant(cron, at)) {
        return on_record(row);
    }
    if !is_instant(cron, at) {
        return Verdict::NotAnInstant;
    }
    if at <= record.created_at {
        return Verdict::NotKnownYet(record.created_at);
    }
    if let Some(removed_at) = record.removed_at.filter(|removed_at| at > *removed_at) {
        return Verdict::Removed(removed_at);
    }
    if at <= record.cursor && at <= record.updated_at && record.updated_at > record.created_at {
        return Verdict::OtherDefinition(record.updated_at);
    }
    if !cron.enabled {
        return Verdict::Disabled;
    }
    match (cron.start_time, cron.end_time) {
        (Some(start), _) if at < start => return Verdict::BeforeStart(start),
        (_, Some(end)) if at >= end => return Verdict::AfterEnd(end),
        (_, _) => {}
    }
    if at > now { to_come(facts) } else { passed(facts) }
}

fn on_record(row: &RunRow) -> Verdict<'_> {
    match row.status() {
        Some(Status::Missed) => Verdict::Missed(row),
        Some(Status::Skipped) => Verdict::Skipped(row),
        Some(Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled)
        | None => Verdict::Fired(row),
    }
}

fn to_come<'a>(facts: &Facts<'a>) -> Verdict<'a> {
    let Facts { record, cron, at, .. } = *facts;
    let state = &record.state;
    if let Some(pause) = &state.paused {
        return Verdict::WillBePaused(pause);
    }
    if is_excluded(cron, at) {
        return Verdict::WillBeExcluded;
    }
    // The one that is used up is the first that is not excluded.
    let mut next = cron.calendar.next_after(record.cursor).map(|occasion| occasion.at);
    while let Some(excluded) = next.filter(|next| *next < at && is_excluded(cron, *next)) {
        next = cron.calendar.next_after(excluded).map(|occasion| occasion.at);
    }
    if state.skip_next && next == Some(at) { Verdict::WillBeSkipped } else { Verdict::WillFire }
}

fn passed<'a>(facts: &Facts<'a>) -> Verdict<'a> {
    let Facts { record, at, is_running, .. } = *facts;
    if at > record.cursor { Verdict::NotPlannedYet { is_running } } else { Verdict::NoRecord }
}

fn is_instant(cron: &Cron, at: Timestamp) -> bool {
    let just_before = at.checked_sub(SignedDuration::from_millis(1)).unwrap_or(at);
    cron.calendar.next_after(just_before).is_some_and(|occasion| occasion.at == at)
}

impl Verdict<'_> {
    /// For programs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Verdict::NotAnInstant => "not-an-instant",
            Verdict::Fired(_) => "fired",
            Verdict::Skipped(_) => "skipped",
            Verdict::Missed(_) => "missed",
            Verdict::NotKnownYet(_) => "not-known-yet",
            Verdict::Removed(_) => "removed",
            Verdict::Disabled => "disabled",
            Verdict::BeforeStart(_) => "before-start",
            Verdict::AfterEnd(_) => "after-end",
            Verdict::WillBeExcluded | Verdict::WillBePaused(_) | Verdict::WillBeSkipped => "will-be-skipped",
            Verdict::WillFire => "will-fire",
            Verdict::NotPlannedYet { .. } => "not-planned-yet",
            Verdict::OtherDefinition(_) => "other-definition",
            Verdict::NoRecord => "no-record",
        }
    }

    /// Whether it is told by a record.
    pub(super) fn is_on_record(&self) -> bool {
        matches!(self, Verdict::Fired(_) | Verdict::Skipped(_) | Verdict::Missed(_))
    }

    /// For people.
    pub(super) fn words(&self, zone: &TimeZone) -> String {
        let local = |at: &Timestamp| times::local_with_day(*at, zone);
        match self {
            Verdict::NotAnInstant => "the schedule does not name this instant".to_owned(),
            Verdict::Fired(row) => fired_text(row),
            Verdict::Skipped(row) | Verdict::Missed(row) => left_out_text(row, zone),
            Verdict::NotKnownYet(since) => format!("the daemon knows this cron only since {}", local(since)),
            Verdict::Removed(since) => format!("the cron was removed at {}", local(since)),
            Verdict::Disabled => "the cron is disabled (enabled = false)".to_owned(),
            Verdict::BeforeStart(start) => format!("it lies before start_time, {}", local(start)),
            Verdict::AfterEnd(end) => format!("it does not lie before end_time, {}", local(end)),
            Verdict::WillBeExcluded => "it falls on an excluded day, and will be skipped".to_owned(),
            Verdict::WillBePaused(pause) => format!(
                "the cron is paused since {} ({}); it will be skipped unless it is resumed before",
                local(&pause.since),
                pause.reason().text()
            ),
            Verdict::WillBeSkipped => "skip-next was asked for: it will be skipped".to_owned(),
            Verdict::WillFire => "it is to come".to_owned(),
            Verdict::NotPlannedYet { is_running: true } => "it is just being planned".to_owned(),
            Verdict::NotPlannedYet { is_running: false } => {
                "no daemon runs; the next one decides by `catchup` whether it is still fired".to_owned()
            }
            Verdict::OtherDefinition(since) => {
                format!("the cron had another schedule until {}, which did not fire it", local(since))
            }
            Verdict::NoRecord => "there is no record of it; records may have been deleted".to_owned(),
        }
    }
}

fn fired_text(row: &RunRow) -> String {
    let run = &row.run;
    let why = run_line::why(row);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let how = match &run.state {
        RunState::Ended { .. } => "ended as",
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_) => "is",
    };
    format!("run {} ({}) {how} {}{why}", run.run_id, run.trigger, row.status_word())
}

fn left_out_text(row: &RunRow, zone: &TimeZone) -> String {
    let why = run_line::why(row);
    let local = |at: Timestamp| times::local_with_day(at, zone);
    let recorded = run_line::ended_at(&row.run).map(local).unwrap_or_default();
    match row.last_scheduled_for {
        Some(last) if row.occurrences > 1 => format!(
            "{why}; one of {} from {} to {}, recorded at {recorded}",
            row.occurrences,
            local(row.run.scheduled_for),
            local(last)
        ),
        Some(_) | None => format!("{why}; recorded at {recorded}"),
    }
}
