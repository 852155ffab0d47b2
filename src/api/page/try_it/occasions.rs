//! The next times of what is tried, what else fires then, and how often it fires in a year.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::api::page::shown::text;
use crate::api::page::visit::Visit;
use crate::api::wire::Time;
use crate::domain::bounds::TRIED_STEPS_MAX;
use crate::domain::calendar::Calendar;
use crate::present::occurrences::UpcomingOccurrence;
use crate::present::times;
use crate::store::AlsoAt;

/// Names of other crons in a row.
const NAMED: usize = 3;

/// The next times in a zone.
pub(super) struct Occasions<'a> {
    pub(super) visit: &'a Visit,
    pub(super) zone: &'a str,
    pub(super) next: &'a [UpcomingOccurrence],
    /// What else fires at the first of them.
    pub(super) also: &'a [AlsoAt],
}

impl Occasions<'_> {
    pub(super) fn table(&self) -> Markup {
        html! {
            @if self.next.is_empty() { p.empty { "Nothing more: it never fires after that." } }
            @else {
                div.wide { table.rows.snug {
                    thead { tr { th { "Time, in " (text(self.zone)) } th { "From now" } @if !self.also.is_empty() { th { "What else fires then" } } th { "Note" } } }
                    tbody { @for (place, next) in self.next.iter().enumerate() { (self.row(place, next)) } }
                } }
            }
        }
    }

    fn row(&self, place: usize, next: &UpcomingOccurrence) -> Markup {
        let zone =
            crate::domain::calendar::zone_named(self.zone).unwrap_or_else(|_| self.visit.clock.mine.clone());
        html! {
            tr {
                td data-label="Time" { time datetime=(next.at) title=(times::local_with_day(next.at, &self.visit.clock.mine)) { (times::local_with_day(next.at, &zone)) } }
                td data-label="From now" { (self.visit.clock.relative(Time(next.at))) }
                @if !self.also.is_empty() { td data-label="What else fires then" { @if let Some(also) = self.also.get(place) { (self.others(also)) } } }
                td.why data-label="Note" { @if let Some(note) = &next.note { span.attention { (text(note)) } } }
            }
        }
    }

    fn others(&self, also: &AlsoAt) -> Markup {
        let more = also.count.saturating_sub(NAMED as u64);
        html! {
            span {
                @if also.count == 0 { span.dim { "nothing" } }
                @for (place, name) in also.names.iter().take(NAMED).enumerate() { @if place > 0 { ", " } (self.visit.cron_link(name)) }
                @if more > 0 { " " span.dim { "and " (more) " more" } }
            }
        }
    }
}

/// How often something fires in a year.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Year {
    pub(super) count: u64,
    /// Whether it was counted for a part of the year only.
    pub(super) is_estimate: bool,
    pub(super) longest: Option<SignedDuration>,
}

/// Counts the instants of the year after `from`.
pub(super) fn year(calendar: &Calendar, from: Timestamp) -> Year {
    const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
    let until = from.checked_add(YEAR).unwrap_or(Timestamp::MAX);
    let (mut at, mut count, mut longest) = (from, 0_u64, None::<SignedDuration>);
    for step in 0..=TRIED_STEPS_MAX {
        let Some(next) = calendar.next_after(at).filter(|next| next.at <= until) else {
            return Year { count, is_estimate: false, longest };
        };
        if step > 0 {
            longest = longest.max(Some(next.at.duration_since(at)));
        }
        (at, count) = (next.at, count + 1);
    }
    let took = at.duration_since(from).as_millis().max(1);
    let all = i128::from(count) * YEAR.as_millis() / took;
    Year { count: u64::try_from(all).unwrap_or(u64::MAX), is_estimate: true, longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_is_counted_or_estimated_with_its_longest_gap() {
        let from = "2026-01-01T00:00:00Z".parse().unwrap();
        let of = |schedule: &str| year(&Calendar::parse(schedule, "Europe/Berlin", "").unwrap(), from);
        let gap = |hours| Some(SignedDuration::from_hours(hours));
        assert_eq!(of("0 9 * * mon-fri"), Year { count: 261, is_estimate: false, longest: gap(73) });
        assert_eq!(of("0 0 29 2 *"), Year { count: 0, is_estimate: false, longest: None });
        let often = of("* * * * *");
        assert!(often.is_estimate && (525_000..526_200).contains(&often.count), "{often:?}");
        assert_eq!(often.longest, Some(SignedDuration::from_mins(1)));
    }
}
