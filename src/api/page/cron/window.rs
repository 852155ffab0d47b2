//! Which time the lane of a cron shows, and how its axis is labelled.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::api::error_response::ErrorResponse;
use crate::api::page::local::instant;
use crate::api::page::visit::Visit;
use crate::domain::bounds::{LANE_OCCURRENCES_WANTED, LANE_SPAN_MAX};

/// The spans around now that are offered: in the address, as readers see them, and how long they are.
pub(super) const SPANS: [(&str, &str, SignedDuration); 7] = [
    ("15m", "15 min", SignedDuration::from_mins(15)),
    ("1h", "1 h", SignedDuration::from_hours(1)),
    ("6h", "6 h", SignedDuration::from_hours(6)),
    ("24h", "24 h", SignedDuration::from_hours(24)),
    ("7d", "7 d", SignedDuration::from_hours(7 * 24)),
    ("30d", "30 d", SignedDuration::from_hours(30 * 24)),
    ("1y", "1 year", SignedDuration::from_hours(365 * 24)),
];
/// Labels on the axis at most.
const TICKS_MAX: i64 = 12;
/// The steps between labels, in seconds, and how those are written that are not the beginning of a day.
const STEPS: [(i64, &str); 13] = [
    (60, "%H:%M"),
    (120, "%H:%M"),
    (300, "%H:%M"),
    (900, "%H:%M"),
    (1800, "%H:%M"),
    (3600, "%H:%M"),
    (7200, "%H:%M"),
    (10_800, "%H:%M"),
    (21_600, "%H:%M"),
    (43_200, "%H:%M"),
    (86_400, "%a %-d %b"),
    (7 * 86_400, "%-d %b"),
    (35 * 86_400, "%-d %b"),
];

/// What the address says about time.
#[derive(Clone, Debug, Default)]
pub(super) struct Address {
    day: Option<String>,
    from: Option<String>,
    to: Option<String>,
    around: Option<String>,
    at: Option<String>,
}

/// What that means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    between: Option<(Timestamp, Timestamp)>,
    around: Option<SignedDuration>,
    /// The instant that is asked about.
    pub(super) at: Option<Timestamp>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Address {
    pub(super) fn of(visit: &Visit) -> Self {
        let value = |name| visit.parameter(name);
        Self {
            day: value("day"),
            from: value("from"),
            to: value("to"),
            around: value("around"),
            at: value("at"),
        }
    }
}

impl Wanted {
    /// Reads an address, with local times in this zone.
    pub(super) fn of(address: &Address, zone: &TimeZone, now: Timestamp) -> Result<Self, ErrorResponse> {
        let instant =
            |name, text: &Option<String>| text.as_deref().map(|text| instant(name, text, zone)).transpose();
        let around = address.around.as_deref();
        let around = SPANS.iter().find(|(word, ..)| Some(*word) == around).map(|(.., span)| *span);
        let (from, to) = (instant("from", &address.from)?, instant("to", &address.to)?);
        let between = match (&address.day, from) {
            (Some(day), _) => Some(day_of_utc(day)?),
            (None, Some(from)) => Some((from, to.unwrap_or(now))),
            (None, None) => None,
        };
        match between {
            Some((from, to)) if from >= to => {
                Err(ErrorResponse::invalid(format!("from {from} is not before to {to}")))
            }
            Some((from, to)) if to.duration_since(from) > LANE_SPAN_MAX => {
                Err(ErrorResponse::invalid("from and to are more than two years apart"))
            }
            between => Ok(Self { between, around, at: instant("at", &address.at)? }),
        }
    }

    /// Returns the time to show. `interval` is how far apart the cron's occurrences are, if that is known.
    pub(super) fn window(&self, now: Timestamp, interval: Option<SignedDuration>) -> Window {
        if let Some((from, to)) = self.between {
            return Window { from, to };
        }
        let enough = |span: &SignedDuration| {
            interval.is_some_and(|interval| interval * LANE_OCCURRENCES_WANTED <= *span)
        };
        let spans = || SPANS.iter().map(|(.., span)| *span);
        let fitting = || match interval {
            Some(_) => spans().find(enough).or(spans().next_back()),
            None => None,
        };
        let span = self.around.or_else(fitting).unwrap_or(SignedDuration::from_hours(24));
        // More is known of the past.
        let window = Window::around(now, span, 2);
        match self.at {
            Some(at) if at < window.from || window.to < at => Window::around(at, span, 1),
            _ => window,
        }
    }

    /// Returns whether this span around now is shown because the address says so.
    pub(super) fn is_around(&self, span: SignedDuration) -> bool {
        self.between.is_none() && self.around == Some(span)
    }
}

fn day_of_utc(text: &str) -> Result<(Timestamp, Timestamp), ErrorResponse> {
    let begin = |date: Date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    let day = text.parse::<Date>().ok();
    let between = day.and_then(|day| Some((begin(day)?, begin(day.tomorrow().ok()?)?)));
    between.ok_or_else(|| ErrorResponse::invalid("day: expected a day such as 2026-11-26"))
}

impl Window {
    /// `before` parts of the span are before the instant, and one is after it.
    fn around(at: Timestamp, span: SignedDuration, before: i32) -> Self {
        let part = span / (before + 1);
        let from = at.saturating_sub(part * before).unwrap_or(at);
        let to = at.saturating_add(part).unwrap_or(at);
        // Whole seconds make short addresses.
        let whole = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
        Window { from: whole(from), to: whole(to) }
    }

    pub(super) fn span(&self) -> SignedDuration {
        self.to.duration_since(self.from)
    }

    /// Returns the same span, earlier or later by a half of it.
    pub(super) fn moved(&self, is_later: bool) -> Self {
        let half = if is_later { self.span() / 2 } else { -(self.span() / 2) };
        let moved = |at: Timestamp| at.saturating_add(half).unwrap_or(at);
        Window { from: moved(self.from), to: moved(self.to) }
    }

    pub(super) fn query(&self) -> String {
        format!("?from={}&to={}", self.from, self.to)
    }

    /// Returns where the axis is labelled, and how: at round times of this zone.
    pub(super) fn ticks(&self, zone: &TimeZone) -> Vec<(Timestamp, String)> {
        let seconds = self.span().as_secs();
        let fits = |(step, _): &&(i64, &str)| seconds / step <= TICKS_MAX;
        let (step, format) = STEPS.iter().find(fits).or(STEPS.last()).copied().unwrap_or((86_400, "%-d %b"));
        let mut ticks = Vec::new();
        let first = self.from.to_zoned_datetime(zone.clone()).date();
        let begin_of = |day: Date| zone.to_timestamp(day.at(0, 0, 0, 0));
        let mut days = round_days(first, step);
        let mut next = days.next();
        while let Some(day) = next
            && let Ok(begin) = begin_of(day)
            && begin < self.to
        {
            next = days.next();
            let label = if step > 86_400 { format } else { "%a %-d %b" };
            ticks.push((begin, day.strftime(label).to_string()));
            let end = next.and_then(|next| begin_of(next).ok()).unwrap_or(self.to);
            if step < 86_400 {
                let within = (1..).map(|count| begin + SignedDuration::from_secs(step * count));
                // Not so near to the end of a day that its label is upon that of the next one.
                let within = within.take_while(|at| *at + SignedDuration::from_secs(step / 2) < end);
                ticks.extend(
                    within.map(|at| (at, at.to_zoned_datetime(zone.clone()).strftime(format).to_string())),
                );
            }
        }
        ticks.retain(|(at, _)| self.from <= *at && *at < self.to);
        ticks
    }
}

/// Returns the days at which labels may be, from this one or one before it: each day, each Monday or the first of each month.
fn round_days(first: Date, step: i64) -> impl Iterator<Item = Date> {
    let into_week = i64::from(first.weekday().to_monday_zero_offset());
    let (begin, apart) = match step {
        ..=86_400 => (Ok(first), 1.day()),
        86_401..=604_800 => (first.checked_sub(into_week.days()), 1.week()),
        _ => (Ok(first.first_of_month()), 1.month()),
    };
    begin.unwrap_or(first).series(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minutes(minutes: i64) -> SignedDuration {
        SignedDuration::from_mins(minutes)
    }

    #[test]
    fn the_window_is_as_wide_as_the_schedule_needs_and_holds_what_is_asked_about() {
        let now = at("2026-11-27T12:00:00Z");
        for (interval, asked, from, to) in [
            (Some(1), None, "2026-11-27T11:20:00Z", "2026-11-27T12:20:00Z"),
            (Some(15), None, "2026-11-27T08:00:00Z", "2026-11-27T14:00:00Z"),
            (Some(24 * 60), None, "2026-11-07T12:00:00Z", "2026-12-07T12:00:00Z"),
            (Some(365 * 24 * 60), None, "2026-03-29T04:00:00Z", "2027-03-29T04:00:00Z"),
            (None, None, "2026-11-26T20:00:00Z", "2026-11-27T20:00:00Z"),
            (Some(15), Some("2026-11-27T09:00:00Z"), "2026-11-27T08:00:00Z", "2026-11-27T14:00:00Z"),
            (Some(15), Some("2026-11-01T09:00:00Z"), "2026-11-01T06:00:00Z", "2026-11-01T12:00:00Z"),
        ] {
            let wanted = Wanted { at: asked.map(at), ..Wanted::default() };
            let window = wanted.window(now, interval.map(minutes));
            assert_eq!((window.from, window.to), (at(from), at(to)), "{interval:?} {asked:?}");
        }
    }

    #[test]
    fn labels_are_at_round_local_times_also_when_the_clock_changes() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let labels = |from: &str, to: &str| {
            let window = Window { from: at(from), to: at(to) };
            window.ticks(&zone).into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" | ")
        };
        assert_eq!(
            labels("2026-11-26T20:30:00Z", "2026-11-27T02:30:00Z"),
            "21:30 | 22:00 | 22:30 | 23:00 | 23:30 | Fri 27 Nov | 00:30 | 01:00 | 01:30 | 02:00 | 02:30 | 03:00"
        );
        // A day of 23 hours.
        assert_eq!(
            labels("2026-03-28T12:00:00Z", "2026-03-29T22:30:00Z"),
            "15:00 | 18:00 | 21:00 | Sun 29 Mar | 04:00 | 07:00 | 10:00 | 13:00 | 16:00 | 19:00 | 22:00 | Mon 30 Mar"
        );
        assert_eq!(
            labels("2026-11-07T12:00:00Z", "2026-12-07T12:00:00Z"),
            "9 Nov | 16 Nov | 23 Nov | 30 Nov | 7 Dec"
        );
        let year = labels("2025-11-27T00:00:00Z", "2026-11-27T00:00:00Z");
        assert!(year.starts_with("1 Dec | 1 Jan | 1 Feb") && year.ends_with("1 Oct | 1 Nov"), "{year}");
    }

    #[test]
    fn a_window_moves_by_half_of_itself() {
        let window = Window { from: at("2026-11-27T08:00:00Z"), to: at("2026-11-27T14:00:00Z") };
        assert_eq!(window.moved(true).query(), "?from=2026-11-27T11:00:00Z&to=2026-11-27T17:00:00Z");
        assert_eq!(window.moved(true).moved(false), window);
    }

    #[test]
    fn a_day_is_one_of_utc() {
        let (from, to) = day_of_utc("2026-11-27").unwrap();
        assert_eq!(
            (from.to_string().as_str(), to.duration_since(from).as_hours()),
            ("2026-11-27T00:00:00Z", 24)
        );
    }
}
