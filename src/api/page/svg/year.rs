//! A year of a cron, a square for each day: how it ended on the worst of them is its shape and its colour.

use jiff::civil::Date;
use maud::{Markup, html};

use crate::domain::run::Status;
use crate::present::counted;

/// From one square to the next, and how large the largest one is.
const STEP: i32 = 13;
const SIZE: i32 = 11;
/// Room for the names of the months above, and of the days of the week before.
const HEAD: i32 = 16;
const LEFT: i32 = 30;
const DAYS: i32 = 7;

/// What ended on a day.
#[derive(Clone, Debug)]
pub(in crate::api::page) struct YearDay {
    pub(in crate::api::page) date: Date,
    pub(in crate::api::page) ended: Vec<(Status, u64)>,
}

/// How bad a day was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worst {
    Good,
    Attention,
    Missed,
    Bad,
}

/// Draws the days from `first` to `last`; those on which nothing ended are left out of `days`.
pub(in crate::api::page) fn year(first: Date, last: Date, days: &[YearDay]) -> Markup {
    let into_week = jiff::Span::new().days(first.weekday().to_monday_zero_offset());
    let monday = first.checked_sub(into_week).unwrap_or(first);
    let place = |date: Date| {
        let day = monday.until(date).map_or(0, |span| span.get_days());
        (LEFT + day / DAYS * STEP, HEAD + day % DAYS * STEP)
    };
    let width = place(last).0 + STEP;
    let empty: String = first
        .series(jiff::Span::new().days(1))
        .take_while(|date| *date <= last)
        .filter(|date| !days.iter().any(|day| day.date == *date))
        .map(|date| square(place(date), 5))
        .collect();
    let months = first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last);
    html! {
        svg.year viewBox={ "0 0 " (width) " " (HEAD + DAYS * STEP) } width=(width) height=(HEAD + DAYS * STEP)
            role="group" aria-label=(described(days)) {
            @for month in months.filter(|date| date.day() == 1) {
                text x=(place(month).0) y="11" aria-hidden="true" { (month.strftime("%b")) }
            }
            @for (row, name) in [(0, "Mon"), (2, "Wed"), (4, "Fri")] {
                text x="0" y=(HEAD + row * STEP + 10) aria-hidden="true" { (name) }
            }
            path.none d=(empty) {}
            @for day in days {
                a href={ "?day=" (day.date) } tabindex="-1" {
                    title { (day.described()) }
                    path.(day.worst().class()) d=(day.worst().shape(place(day.date))) {}
                }
            }
        }
    }
}

/// Returns a square of this size in the middle of the place of a day.
fn square((x, y): (i32, i32), size: i32) -> String {
    let inset = (SIZE - size) / 2;
    format!("M{} {}h{size}v{size}h-{size}z", x + inset, y + inset)
}

impl Worst {
    fn of(status: Status) -> Self {
        match status {
            Status::Success => Worst::Good,
            Status::Skipped | Status::Cancelled | Status::Interrupted => Worst::Attention,
            Status::Missed => Worst::Missed,
            Status::Error | Status::Timeout => Worst::Bad,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Worst::Good => "good",
            Worst::Attention => "attention",
            Worst::Missed => "missed",
            Worst::Bad => "bad",
        }
    }

    /// Returns a shape that differs from the others without its colour.
    fn shape(self, (x, y): (i32, i32)) -> String {
        match self {
            Worst::Good => square((x, y), 9),
            Worst::Attention => format!("M{} {}h11l-11 11z", x, y),
            Worst::Missed => format!("M{} {}l5 5-5 5-5-5z", x + 5, y),
            Worst::Bad => format!("M{x} {y}l3 0 2.5 3 2.5-3 3 0-4 5.5 4 5.5-3 0-2.5-3-2.5 3-3 0 4-5.5z"),
        }
    }
}

impl YearDay {
    fn worst(&self) -> Worst {
        self.ended.iter().map(|(status, _)| Worst::of(*status)).max().unwrap_or(Worst::Good)
    }

    fn described(&self) -> String {
        let ended: Vec<_> = self.ended.iter().map(|(status, count)| format!("{count} {status}")).collect();
        format!("{}: {}", self.date.strftime("%a %-d %b %Y"), ended.join(", "))
    }
}

fn described(days: &[YearDay]) -> String {
    let count = |worst| days.iter().filter(|day| day.worst() == worst).count();
    format!(
        "A year by day, in UTC: {} on which all went well, {} with errors, {} with missed occurrences, {} with others that did \
         not run to their end",
        counted(count(Worst::Good) as u64, "day"),
        count(Worst::Bad),
        count(Worst::Missed),
        count(Worst::Attention),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn each_day_is_in_the_row_of_its_weekday_and_says_what_was_worst() {
        let days = [
            YearDay { date: date("2026-11-23"), ended: vec![(Status::Success, 3)] },
            YearDay {
                date: date("2026-11-27"),
                ended: vec![(Status::Success, 3), (Status::Error, 1), (Status::Missed, 1)],
            },
        ];
        let drawn = year(date("2026-11-18"), date("2026-11-27"), &days).into_string();
        // The week before begins on Monday, the 16th, and is the first column.
        assert!(drawn.contains("M44 17h9v9h-9z"), "the Monday of the second week: {drawn}");
        assert!(
            drawn.contains("<title>Fri 27 Nov 2026: 3 success, 1 error, 1 missed</title><path class=\"bad\""),
            "{drawn}"
        );
        assert!(drawn.contains("href=\"?day=2026-11-27\""), "{drawn}");
        assert!(drawn.contains("1 day on which all went well, 1 with errors, 0 with missed"), "{drawn}");
        let shapes: std::collections::BTreeSet<String> =
            [Worst::Good, Worst::Attention, Worst::Missed, Worst::Bad]
                .map(|worst| worst.shape((0, 0)))
                .into();
        assert_eq!(shapes.len(), 4);
    }

    #[test]
    fn a_full_year_is_a_part_of_a_page() {
        let (first, last) = (date("2025-11-28"), date("2026-11-27"));
        let days = first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last);
        let days: Vec<_> = days.map(|date| YearDay { date, ended: vec![(Status::Success, 96)] }).collect();
        let drawn = year(first, last, &days).into_string();
        assert_eq!(days.len(), 365);
        assert!(drawn.len() < 50_000, "{}", drawn.len());
    }
}
