//! The coming occurrences, each with what a reader of the schedule should know about it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::calendar::{Calendar, Occasion, Oddity};
use crate::domain::cron::Cron;
use crate::domain::cron_state::{CronState, Pause, PauseCause};
use crate::domain::plan::{Decided, is_excluded};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcomingOccurrence {
    pub at: Timestamp,
    /// What might surprise: a clock change, an excluded day, a pause.
    pub note: Option<String>,
    /// Whether it will be fired, as far as that is known now.
    pub will_fire: bool,
}

/// Returns the instants after `from` that a calendar names.
pub fn of_calendar(calendar: &Calendar, from: Timestamp) -> impl Iterator<Item = UpcomingOccurrence> {
    let mut after = from;
    std::iter::from_fn(move || {
        let occasion = calendar.next_after(after)?;
        after = occasion.at;
        let note = occasion.oddity.map(clock_change_note);
        Some(UpcomingOccurrence { at: occasion.at, note, will_fire: true })
    })
}

/// Returns the occurrences of a cron after `from` that are still to be decided about: those between its start and its end,
/// with a note on excluded days.
pub fn of_cron(cron: &Cron, decided: &Decided, from: Timestamp) -> impl Iterator<Item = UpcomingOccurrence> {
    let mut after = from;
    std::iter::from_fn(move || {
        let at = decided.next_within(cron, after)?;
        after = at;
        let just_before = at.checked_sub(SignedDuration::from_millis(1)).unwrap_or(at);
        let oddity = cron.calendar.next_after(just_before).and_then(|Occasion { oddity, .. }| oddity);
        Some(match is_excluded(cron, at) {
            true => UpcomingOccurrence::skipped(at, "excluded day"),
            false => UpcomingOccurrence { at, note: oddity.map(clock_change_note), will_fire: true },
        })
    })
}

/// Returns the same with a note on those that a pause, or `skip-next`, keeps from being fired.
pub fn of_cron_in_state(
    cron: &Cron,
    decided: &Decided,
    (state, pauses_of_all): (&CronState, &[Pause]),
    from: Timestamp,
    now: Timestamp,
) -> impl Iterator<Item = UpcomingOccurrence> {
    // Which one it skips is known only of the next ones.
    let mut skips_next = state.skip_next && from <= now;
    of_cron(cron, decided, from).map(move |occurrence| {
        let at = occurrence.at;
        let mut pauses = state.paused.iter().chain(pauses_of_all);
        match pauses.find(|pause| pause.covers(at)) {
            Some(pause) => UpcomingOccurrence::skipped(at, paused(pause.cause)),
            None if occurrence.will_fire && std::mem::take(&mut skips_next) => {
                UpcomingOccurrence::skipped(at, "skip-next was requested")
            }
            None => occurrence,
        }
    })
}

impl UpcomingOccurrence {
    fn skipped(at: Timestamp, why: &str) -> Self {
        Self { at, note: Some(format!("{why}: will be skipped")), will_fire: false }
    }
}

fn paused(cause: PauseCause) -> &'static str {
    match cause {
        PauseCause::Request => "paused",
        PauseCause::Failures => "paused after failures",
        PauseCause::All => "all crons are paused",
    }
}

fn clock_change_note(oddity: Oddity) -> String {
    match oddity {
        Oddity::AfterGap { named } => format!(
            "{} does not exist that day (clock change); this is the first instant after the gap",
            named.strftime("%H:%M:%S")
        ),
        Oddity::FirstOfTwoPasses => "this local time occurs twice (clock change); first pass".to_owned(),
        Oddity::SecondOfTwoPasses => "this local time occurs twice (clock change); second pass".to_owned(),
    }
}

#[cfg(test)]
mod tests;
