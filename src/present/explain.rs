//! Why a cron did, did not, or will not fire at an instant, from its record and from its calendar.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Tone, outages, runs, times};
use crate::domain::cron::Cron;
use crate::domain::cron_state::{InactiveCause, InactiveSpan, Pause, PauseCause};
use crate::domain::plan::is_excluded;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{RunState, Status};
use crate::domain::words::words;
use crate::store::{CronRecord, DaemonState, RunRow};

words!(
    /// What happened, or will happen, to a cron at an instant.
    InstantVerdict {
        /// The instant is not on the schedule.
        NotAnInstant = "not-an-instant",
        /// There is a run, ended or in progress.
        Fired = "fired",
        /// It could not be started before its start deadline.
        NotStarted = "not-started",
        /// It was skipped; the reason says why.
        Skipped = "skipped",
        /// No daemon was running to start it.
        Missed = "missed",
        /// The daemon did not know the cron yet.
        Unknown = "unknown",
        /// The cron had been removed, for good or for a time.
        Removed = "removed",
        /// The cron has `enabled = false`, or had it then.
        Disabled = "disabled",
        /// It is before `start_time`.
        BeforeStart = "before-start",
        /// It is at or after `end_time`.
        AfterEnd = "after-end",
        /// It is in the future, but it is excluded, the cron is paused, or `skip-next` was requested.
        WillBeSkipped = "will-be-skipped",
        /// It is in the future, and nothing prevents it.
        WillFire = "will-fire",
        /// It has passed, and no daemon has decided about it yet.
        NotPlannedYet = "not-planned-yet",
        /// The cron had another definition then, which did not fire it.
        OtherDefinition = "other-definition",
        /// Its record is deleted, if it had one.
        HistoryDeleted = "history-deleted",
        /// It should have a record, but has none.
        NoRecord = "no-record",
    }
);

/// The facts from which an explanation is made.
pub struct InstantFacts<'a> {
    pub record: &'a CronRecord,
    /// The cron's definition at that time, as far as it is known.
    pub cron: &'a Cron,
    /// The run or the range of skipped or missed occurrences that covers the instant.
    pub found: Option<&'a RunRow>,
    pub at: Timestamp,
    pub now: Timestamp,
    pub daemon: &'a DaemonState,
}

/// A verdict with what is needed to put it into a sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Explanation<'a> {
    NotAnInstant,
    Fired(&'a RunRow),
    Skipped(&'a RunRow),
    Missed(&'a RunRow),
    /// The daemon has known the cron since this time.
    Unknown(Timestamp),
    Removed(Timestamp),
    Disabled,
    /// The cron had no occurrences from then until then.
    WasInactive(InactiveCause, Timestamp, Timestamp),
    BeforeStart(Timestamp),
    AfterEnd(Timestamp),
    WillBeExcluded,
    WillBePaused(&'a Pause),
    /// `skip-next` was requested.
    WillBeSkipped,
    WillFire,
    BeingPlanned,
    /// No daemon is running; the next one will decide about it.
    NoDaemon,
    /// The cron has had its present definition since this time.
    OtherDefinition(Timestamp),
    /// Records up to this instant are deleted.
    HistoryDeleted(Timestamp),
    NoRecord,
}

/// Returns why the cron did, did not, or will not fire at `facts.at`.
pub fn explain<'a>(facts: &InstantFacts<'a>) -> Explanation<'a> {
    let InstantFacts { record, cron, found, at, now, .. } = *facts;
    if let Some(row) = found.filter(|row| row.run.scheduled_for == at || is_instant(cron, at)) {
        return recorded(row);
    }
    if !is_instant(cron, at) {
        return Explanation::NotAnInstant;
    }
    if at <= record.created_at {
        return Explanation::Unknown(record.created_at);
    }
    if let Some(until) = record.history_deleted_until.filter(|until| at <= *until) {
        return Explanation::HistoryDeleted(until);
    }
    if let Some(removed_at) = record.removed_at.filter(|removed_at| at > *removed_at) {
        return Explanation::Removed(removed_at);
    }
    match record.inactive.iter().rev().find(|span| span.contains(at)) {
        Some(InactiveSpan { cause, since, until: Some(until) }) => {
            return Explanation::WasInactive(*cause, *since, *until);
        }
        Some(InactiveSpan { cause: InactiveCause::Disabled, until: None, .. }) => {
            return Explanation::Disabled;
        }
        Some(InactiveSpan { cause: InactiveCause::Removed, until: None, .. }) | None => {}
    }
    if at <= record.cursor && at <= record.updated_at && record.updated_at > record.created_at {
        return Explanation::OtherDefinition(record.updated_at);
    }
    if !cron.enabled {
        return Explanation::Disabled;
    }
    match (cron.start_time, cron.end_time) {
        (Some(start), _) if at < start => return Explanation::BeforeStart(start),
        (_, Some(end)) if at >= end => return Explanation::AfterEnd(end),
        (_, _) => {}
    }
    if at > now { future(facts) } else { past(facts) }
}

fn recorded(row: &RunRow) -> Explanation<'_> {
    match row.status() {
        Some(Status::Missed) => Explanation::Missed(row),
        Some(Status::Skipped) => Explanation::Skipped(row),
        Some(Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled)
        | None => Explanation::Fired(row),
    }
}

fn future<'a>(facts: &InstantFacts<'a>) -> Explanation<'a> {
    let InstantFacts { record, cron, at, .. } = *facts;
    let state = &record.state;
    let mut pauses = state.paused.iter().chain(&record.pauses_of_all);
    if let Some(pause) = pauses.find(|pause| pause.covers(at)) {
        return Explanation::WillBePaused(pause);
    }
    if is_excluded(cron, at) {
        return Explanation::WillBeExcluded;
    }
    if state.skip_next && first_not_excluded(cron, record.cursor) == Some(at) {
        return Explanation::WillBeSkipped;
    }
    Explanation::WillFire
}

/// Returns the first instant of the calendar after this one that is not excluded: the one that `skip-next` is about. What is excluded
/// is passed over by the day, since there may be an instant in every second of it.
fn first_not_excluded(cron: &Cron, after: Timestamp) -> Option<Timestamp> {
    let mut next = instant_after(cron, after);
    while let Some(excluded) = next.filter(|next| is_excluded(cron, *next)) {
        let day = excluded.to_zoned_datetime(cron.calendar.zone().clone()).end_of_day().ok()?;
        next = instant_after(cron, day.timestamp().max(excluded));
    }
    next
}

fn past<'a>(facts: &InstantFacts<'a>) -> Explanation<'a> {
    if facts.at <= facts.record.cursor {
        return Explanation::NoRecord;
    }
    match facts.daemon {
        DaemonState::Running { .. } => Explanation::BeingPlanned,
        DaemonState::Starting { .. } | DaemonState::Stopped | DaemonState::Unknown(_) => {
            Explanation::NoDaemon
        }
    }
}

fn is_instant(cron: &Cron, at: Timestamp) -> bool {
    let just_before = at.checked_sub(SignedDuration::from_millis(1)).unwrap_or(at);
    cron.calendar.next_after(just_before).is_some_and(|occasion| occasion.at == at)
}

impl Explanation<'_> {
    pub fn verdict(&self) -> InstantVerdict {
        match self {
            Explanation::NotAnInstant => InstantVerdict::NotAnInstant,
            Explanation::Fired(row) if was_too_late(row) => InstantVerdict::NotStarted,
            Explanation::Fired(_) => InstantVerdict::Fired,
            Explanation::Skipped(_) => InstantVerdict::Skipped,
            Explanation::Missed(_) => InstantVerdict::Missed,
            Explanation::Unknown(_) => InstantVerdict::Unknown,
            Explanation::Removed(_) | Explanation::WasInactive(InactiveCause::Removed, ..) => {
                InstantVerdict::Removed
            }
            Explanation::Disabled | Explanation::WasInactive(InactiveCause::Disabled, ..) => {
                InstantVerdict::Disabled
            }
            Explanation::BeforeStart(_) => InstantVerdict::BeforeStart,
            Explanation::AfterEnd(_) => InstantVerdict::AfterEnd,
            Explanation::WillBeExcluded | Explanation::WillBePaused(_) | Explanation::WillBeSkipped => {
                InstantVerdict::WillBeSkipped
            }
            Explanation::WillFire => InstantVerdict::WillFire,
            Explanation::BeingPlanned | Explanation::NoDaemon => InstantVerdict::NotPlannedYet,
            Explanation::OtherDefinition(_) => InstantVerdict::OtherDefinition,
            Explanation::HistoryDeleted(_) => InstantVerdict::HistoryDeleted,
            Explanation::NoRecord => InstantVerdict::NoRecord,
        }
    }

    /// Returns the run, or the range of skipped or missed occurrences, that the explanation is based on.
    pub fn run(&self) -> Option<&RunRow> {
        match self {
            Explanation::Fired(row) | Explanation::Skipped(row) | Explanation::Missed(row) => Some(row),
            Explanation::NotAnInstant
            | Explanation::Unknown(_)
            | Explanation::Removed(_)
            | Explanation::Disabled
            | Explanation::WasInactive(..)
            | Explanation::BeforeStart(_)
            | Explanation::AfterEnd(_)
            | Explanation::WillBeExcluded
            | Explanation::WillBePaused(_)
            | Explanation::WillBeSkipped
            | Explanation::WillFire
            | Explanation::BeingPlanned
            | Explanation::NoDaemon
            | Explanation::OtherDefinition(_)
            | Explanation::HistoryDeleted(_)
            | Explanation::NoRecord => None,
        }
    }

    /// Returns whether a pause is the reason.
    pub fn is_paused(&self) -> bool {
        let code = self.run().and_then(|row| row.run.reason.as_ref()).map(|reason| reason.code);
        matches!(self, Explanation::WillBePaused(_)) || code == Some(ReasonCode::Paused)
    }

    /// Returns the explanation as a sentence, with times in `zone`.
    pub fn message(&self, zone: &TimeZone) -> String {
        let local = |at: &Timestamp| times::local_with_day(*at, zone);
        match self {
            Explanation::NotAnInstant => "this instant is not on the schedule".to_owned(),
            Explanation::Fired(row) => fired_text(row, zone),
            Explanation::Skipped(row) | Explanation::Missed(row) => left_out_text(row, zone),
            Explanation::Unknown(since) => {
                format!("the cron was unknown to the daemon until {}", local(since))
            }
            Explanation::Removed(since) => format!("the cron was removed at {}", local(since)),
            Explanation::Disabled => "the cron is disabled (enabled = false)".to_owned(),
            Explanation::WasInactive(InactiveCause::Disabled, since, until) => {
                format!("the cron was disabled from {} to {}", local(since), local(until))
            }
            Explanation::WasInactive(InactiveCause::Removed, since, until) => {
                format!("the cron was not in any file from {} to {}", local(since), local(until))
            }
            Explanation::BeforeStart(start) => format!("it is before start_time, {}", local(start)),
            Explanation::AfterEnd(end) => format!("it is at or after end_time, {}", local(end)),
            Explanation::WillBeExcluded => "it falls on an excluded day and will be skipped".to_owned(),
            Explanation::WillBePaused(pause) => paused_text(pause, zone),
            Explanation::WillBeSkipped => "skip-next was requested: it will be skipped".to_owned(),
            Explanation::WillFire => "scheduled".to_owned(),
            Explanation::BeingPlanned => "the daemon is planning it now".to_owned(),
            Explanation::NoDaemon => {
                "no daemon is running; the next one decides by `catchup` whether it still fires".to_owned()
            }
            Explanation::OtherDefinition(since) => {
                format!("until {} the cron had another schedule, which did not fire it", local(since))
            }
            Explanation::HistoryDeleted(until) => format!(
                "what became of it is not known: records of this cron up to {} are deleted (store.keep)",
                local(until)
            ),
            Explanation::NoRecord => "there is no record of it".to_owned(),
        }
    }
}

impl InstantVerdict {
    pub fn tone(self) -> Tone {
        match self {
            InstantVerdict::Fired | InstantVerdict::WillFire => Tone::Good,
            InstantVerdict::NotStarted | InstantVerdict::Missed => Tone::Bad,
            InstantVerdict::NotAnInstant
            | InstantVerdict::Skipped
            | InstantVerdict::Unknown
            | InstantVerdict::Removed
            | InstantVerdict::Disabled
            | InstantVerdict::BeforeStart
            | InstantVerdict::AfterEnd
            | InstantVerdict::WillBeSkipped
            | InstantVerdict::NotPlannedYet
            | InstantVerdict::OtherDefinition
            | InstantVerdict::HistoryDeleted
            | InstantVerdict::NoRecord => Tone::Attention,
        }
    }
}

fn paused_text(pause: &Pause, zone: &TimeZone) -> String {
    let local = |at: Timestamp| times::local_with_day(at, zone);
    let (paused, resumed) = match pause.cause {
        PauseCause::Request | PauseCause::Failures => ("the cron has been paused", "the cron is resumed"),
        PauseCause::All => ("all crons have been paused", "they are resumed"),
    };
    let until = pause.until.map(|until| format!(", until {}", local(until))).unwrap_or_default();
    let (since, note) = (local(pause.since), pause.note.as_deref().unwrap_or("on request"));
    format!("{paused} since {since} ({note}){until}; it will be skipped unless {resumed} first")
}

/// Whether the run ended because it still waited to be sent at its start deadline.
fn was_too_late(row: &RunRow) -> bool {
    let code = row.run.reason.as_ref().map(|reason| reason.code);
    row.status() == Some(Status::Error) && code.is_some_and(ReasonCode::is_too_late)
}

fn fired_text(row: &RunRow, zone: &TimeZone) -> String {
    let run = &row.run;
    let why = runs::why_of(row);
    let why = if why.is_empty() { why } else { format!(": {why}") };
    let verb = match &run.state {
        RunState::Ended { .. } => "ended as",
        RunState::Pending { .. }
        | RunState::Sending { .. }
        | RunState::Unconfirmed { .. }
        | RunState::Running(_) => "is",
    };
    let outage = outage_of(row, zone);
    format!("run {} ({}) {verb} {}{why}{outage}", run.run_id, run.trigger, row.status_word())
}

/// Returns `; agent server away from 11:29:50 to 11:31:40 (1 min 50 s)`, or nothing if it was no outage.
fn outage_of(row: &RunRow, zone: &TimeZone) -> String {
    let lasted = |outage| format!("; that lasted {}", outages::lasted(outage, zone));
    row.outage.as_ref().map(lasted).unwrap_or_default()
}

fn left_out_text(row: &RunRow, zone: &TimeZone) -> String {
    let why = runs::why_of(row) + &outage_of(row, zone);
    let local = |at: Timestamp| times::local_with_day(at, zone);
    let recorded = runs::ended_at(&row.run).map(local).unwrap_or_default();
    match row.last_scheduled_for {
        Some(last) if row.occurrences > 1 => format!(
            "{why}; one of {} occurrences from {} to {}, recorded at {recorded}",
            row.occurrences,
            local(row.run.scheduled_for),
            local(last)
        ),
        Some(_) | None => format!("{why}; recorded at {recorded}"),
    }
}

/// Returns the last instant of the calendar before `at`, as far as 30 years back.
///
/// A calendar can only be read forward, so this starts earlier and earlier until it finds one, and halves the time in which the last
/// one is: there may be one in every second of it.
pub fn instant_before(cron: &Cron, at: Timestamp) -> Option<Timestamp> {
    let before = |after: Timestamp| instant_after(cron, after).filter(|found| *found < at);
    let mut ago = SignedDuration::from_mins(2);
    let most = SignedDuration::from_hours(24 * 366 * 30);
    while ago < most {
        let since = at.saturating_sub(ago).unwrap_or(Timestamp::MIN);
        if let Some(mut last) = before(since) {
            let mut none_after = at;
            while let Some(middle) = middle_of(last, none_after) {
                match before(middle) {
                    Some(later) => last = later,
                    None => none_after = middle,
                }
            }
            return Some(last);
        }
        ago = ago.saturating_mul(4);
    }
    None
}

/// Returns what is between these two, or `None` if no instant can be, since instants are a second apart or more.
fn middle_of(earlier: Timestamp, later: Timestamp) -> Option<Timestamp> {
    let between = later.duration_since(earlier);
    (between >= SignedDuration::from_secs(1)).then(|| earlier.saturating_add(between / 2).unwrap_or(later))
}

/// Returns the first instant of the calendar after `at`.
pub fn instant_after(cron: &Cron, at: Timestamp) -> Option<Timestamp> {
    cron.calendar.next_after(at).map(|occasion| occasion.at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CronDefinition;

    fn cron(schedule: &str) -> Cron {
        let body =
            format!(r#"{{"schedule":"{schedule}","assistant_id":"agent","timezone":"Europe/Berlin"}}"#);
        CronDefinition::of_body("x", &body).cron().unwrap()
    }

    #[test]
    fn what_is_excluded_is_passed_over_by_the_day() {
        let body = r#"{"schedule":"* * * * * *","assistant_id":"agent","timezone":"Europe/Berlin",
                       "exclude":["2026-03-03..2090-01-01"]}"#;
        let cron = CronDefinition::of_body("x", body).cron().unwrap();
        let first = |after: &str| first_not_excluded(&cron, after.parse().unwrap()).unwrap().to_string();
        assert_eq!(first("2026-03-02T09:00:00Z"), "2026-03-02T09:00:01Z");
        assert_eq!(first("2026-03-02T22:59:59Z"), "2090-01-01T23:00:00Z");
    }

    #[test]
    fn the_instant_before_is_the_last_one_however_many_there_are() {
        for (schedule, at, expected) in [
            ("* * * * * *", "2026-03-02T09:00:00Z", Some("2026-03-02T08:59:59Z")),
            ("* * * * * *", "2026-03-02T09:00:00.5Z", Some("2026-03-02T09:00:00Z")),
            ("* * * * * */7", "2026-03-02T09:00:00Z", Some("2026-03-02T08:59:56Z")),
            ("30 2 * * *", "2026-03-29T12:00:00Z", Some("2026-03-29T01:00:00Z")),
            ("0 0 29 2 *", "2026-03-02T09:00:00Z", Some("2024-02-28T23:00:00Z")),
            // Every second of a month that is long ago.
            ("* * * 2 * *", "2026-12-31T00:00:00Z", Some("2026-02-28T22:59:59Z")),
            // Beyond the last year of the calendar.
            ("* * * * * *", "2198-07-19T16:17:06.812Z", None),
        ] {
            let found = instant_before(&cron(schedule), at.parse().unwrap());
            assert_eq!(found.map(|found| found.to_string()).as_deref(), expected, "{schedule} before {at}");
        }
    }
}
