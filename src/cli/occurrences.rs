//! The occurrences to come, each with what a reader of the schedule should know about it.

use jiff::{SignedDuration, Timestamp};

use crate::domain::calendar::{Calendar, Occasion, Oddity};
use crate::domain::cron::Cron;
use crate::domain::plan::{is_excluded, next_within};

/// An instant that a schedule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UpcomingInstant {
    /// When.
    pub(super) at: Timestamp,
    /// What might surprise.
    pub(super) note: Option<String>,
}

/// Of a schedule alone.
pub(super) fn of_calendar(calendar: &Calendar, from: Timestamp) -> impl Iterator<Item = UpcomingInstant> {
    let mut after = from;
    std::iter::from_fn(move || {
        let occasion = calendar.next_after(after)?;
        after = occasion.at;
        Some(UpcomingInstant { at: occasion.at, note: occasion.oddity.map(words) })
    })
}

/// Of a cron: within its start and end, with its excluded days marked.
pub(super) fn of_cron(cron: &Cron, from: Timestamp) -> impl Iterator<Item = UpcomingInstant> {
    let mut after = from;
    std::iter::from_fn(move || {
        let at = next_within(cron, after)?;
        after = at;
        let just_before = at.checked_sub(SignedDuration::from_millis(1)).unwrap_or(at);
        let oddity = cron.calendar.next_after(just_before).and_then(|Occasion { oddity, .. }| oddity);
        let excluded = is_excluded(cron, at).then(|| "excluded day: will be skipped".to_owned());
        Some(UpcomingInstant { at, note: excluded.or_else(|| oddity.map(words)) })
    })
}

fn words(oddity: Oddity) -> String {
    match oddity {
        Oddity::AfterGap { named } => format!(
            "{} does not exist that day (clock change); this is the first instant after the gap",
            named.strftime("%H:%M:%S")
        ),
        Oddity::FirstOfTwoPasses => "this local time occurs twice (clock change); first pass".to_owned(),
        Oddity::SecondOfTwoPasses => "this local time occurs twice (clock change); second pass".to_owned(),
    }
}
