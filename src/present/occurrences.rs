//! The coming occurrences, each with what a reader of the schedule should know about it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::calendar::{Calendar, Occasion, Oddity};
use crate::domain::cron::Cron;
use crate::domain::plan::{Decided, is_excluded};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcomingOccurrence {
    pub at: Timestamp,
    /// What might surprise: a clock change, an excluded day.
    pub note: Option<String>,
}

/// Returns the instants after `from` that a calendar names.
pub fn of_calendar(calendar: &Calendar, from: Timestamp) -> impl Iterator<Item = UpcomingOccurrence> {
    let mut after = from;
    std::iter::from_fn(move || {
        let occasion = calendar.next_after(after)?;
        after = occasion.at;
        Some(UpcomingOccurrence { at: occasion.at, note: occasion.oddity.map(clock_change_note) })
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
        let excluded = is_excluded(cron, at).then(|| "excluded day: will be skipped".to_owned());
        Some(UpcomingOccurrence { at, note: excluded.or_else(|| oddity.map(clock_change_note)) })
    })
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
