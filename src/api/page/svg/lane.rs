//! The lane of a cron: its past and its future along one axis of time, with what was away meanwhile, and below it how long its
//! runs took and how late they began. A click anywhere asks why it did, or did not, fire then.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::dots::{Dot, Line, track};
use super::shapes::{Outcome, WIDTH, n};
use crate::present::counted;

/// Where the runs are, and the axis below them.
const TOP: f64 = 8.0;
const BAR: f64 = 22.0;
const SIGN: f64 = 34.0;
const SIGN_SIZE: f64 = 7.0;
const LANE: f64 = 50.0;
const AXIS: f64 = 18.0;
/// Room for the label of a line of the axis.
const LABEL: f64 = 70.0;
/// The height of each drawing below, with its label.
const TRACK: f64 = 66.0;
/// A run that is shorter on paper would not be seen.
const BAR_LEAST: f64 = 3.0;
/// If more are to come, they are drawn smaller.
const COMING_LARGE: usize = 30;
/// Into how many parts the lane is cut that ask about their middle.
const SLOTS: u32 = 60;

/// What the lane shows.
#[derive(Clone, Debug)]
pub(in crate::api::page) struct Lane {
    pub(in crate::api::page) from: Timestamp,
    pub(in crate::api::page) to: Timestamp,
    pub(in crate::api::page) now: Timestamp,
    /// The instant that somebody asks about.
    pub(in crate::api::page) asked: Option<Timestamp>,
    pub(in crate::api::page) marks: Vec<LaneMark>,
    pub(in crate::api::page) coming: Vec<LaneComing>,
    pub(in crate::api::page) away: Vec<LaneSpan>,
    /// When its definition changed, and in what.
    pub(in crate::api::page) changes: Vec<(Timestamp, String)>,
    /// Where the axis is labelled.
    pub(in crate::api::page) ticks: Vec<(Timestamp, String)>,
    /// Before this, what is there is not drawn, because it is too much.
    pub(in crate::api::page) drawn_since: Option<Timestamp>,
    /// What half of the runs took at most, 95 % of them, and what they may take.
    pub(in crate::api::page) limits: Vec<(String, SignedDuration)>,
    /// The query of a link, up to the instant that it asks about.
    pub(in crate::api::page) ask: String,
}

/// A run, or a record of occurrences that never ran.
#[derive(Clone, Debug)]
pub(in crate::api::page) struct LaneMark {
    pub(in crate::api::page) at: Timestamp,
    /// The last of its occurrences, if it stands for several.
    pub(in crate::api::page) last: Option<Timestamp>,
    pub(in crate::api::page) started: Option<Timestamp>,
    pub(in crate::api::page) ended: Option<Timestamp>,
    pub(in crate::api::page) outcome: Outcome,
    pub(in crate::api::page) took: Option<SignedDuration>,
    pub(in crate::api::page) late: Option<SignedDuration>,
    pub(in crate::api::page) title: String,
}

/// An occurrence to come.
#[derive(Clone, Debug)]
pub(in crate::api::page) struct LaneComing {
    pub(in crate::api::page) at: Timestamp,
    pub(in crate::api::page) will_fire: bool,
    pub(in crate::api::page) title: String,
}

/// A time in which something was away.
#[derive(Clone, Debug)]
pub(in crate::api::page) struct LaneSpan {
    pub(in crate::api::page) since: Timestamp,
    pub(in crate::api::page) until: Timestamp,
}

/// Draws it. `slot` says in words which time a part of the lane is about.
pub(in crate::api::page) fn lane(lane: &Lane, slot: impl Fn(Timestamp) -> String) -> Markup {
    let took = lane.dots(|mark| mark.took);
    let late = lane.dots(|mark| mark.late);
    let tracks = f64::from(u8::from(!took.is_empty()) + u8::from(!late.is_empty()));
    let height = LANE + AXIS + TRACK * tracks;
    let limits: Vec<Line> =
        lane.limits.iter().map(|(label, at)| Line { label: label.clone(), at: *at }).collect();
    html! {
        svg.lane viewBox={ "0 0 " (WIDTH) " " (height) } role="group" aria-label=(lane.described()) {
            path.away d=(lane.away.iter().map(|span| lane.band(span.since, span.until, height)).collect::<String>()) {}
            @if let Some(since) = lane.drawn_since { path.unknown d=(lane.band(lane.from, since, LANE)) {} }
            path.line d=(lane.ticks.iter().map(|(at, _)| format!("M{} 0V{}", n(lane.x(*at)), n(height))).collect::<String>()) {}
            path.axis d={ "M0 " (LANE) "H" (WIDTH) } {}
            // What would not fit beside its line is left out.
            @for (at, label) in lane.ticks.iter().filter(|(at, _)| lane.x(*at) < WIDTH - LABEL) {
                text x=(n(lane.x(*at) + 4.0)) y=(LANE + 13.0) aria-hidden="true" { (label) }
            }
            @for (at, title) in &lane.changes {
                path.changed d=(format!("M{} 0V{}", n(lane.x(*at)), n(height))) { title { (title) } }
            }
            (lane.slots(slot))
            @for mark in &lane.marks { (lane.mark(mark)) }
            @for coming in &lane.coming { (lane.coming(coming)) }
            @if lane.from < lane.now && lane.now < lane.to { path.now d=(format!("M{} 0V{}", n(lane.x(lane.now)), n(height))) {} }
            @if let Some(asked) = lane.asked.filter(|at| lane.from <= *at && *at <= lane.to) {
                path.asked d=(format!("M{0} 0V{1}M{2} 0h10l-5 7z", n(lane.x(asked)), LANE, n(lane.x(asked) - 5.0))) {}
            }
            @let y = LANE + AXIS;
            @if !took.is_empty() { (track(&took, &limits, "took", (y, TRACK))) }
            @let y = if took.is_empty() { y } else { y + TRACK };
            @if !late.is_empty() { (track(&late, &[], "late", (y, TRACK))) }
        }
    }
}

impl Lane {
    /// Returns where an instant is on the axis.
    fn x(&self, at: Timestamp) -> f64 {
        let span = self.to.duration_since(self.from).as_secs_f64().max(1.0);
        (at.duration_since(self.from).as_secs_f64() / span).clamp(0.0, 1.0) * WIDTH
    }

    fn band(&self, since: Timestamp, until: Timestamp, height: f64) -> String {
        let x = self.x(since);
        let width = (self.x(until) - x).max(1.0);
        format!("M{} 0h{}v{}h-{}z", n(x), n(width), n(height), n(width))
    }

    fn link(&self, at: Timestamp) -> String {
        format!("{}{at}#why", self.ask)
    }

    fn slots(&self, slot: impl Fn(Timestamp) -> String) -> Markup {
        let width = WIDTH / f64::from(SLOTS);
        html! {
            @for place in 0..SLOTS {
                @let x = f64::from(place) * width;
                @let at = self.asked_in(place, x..x + width);
                a href=(self.link(at)) tabindex="-1" {
                    title { (slot(at)) }
                    path.hit d=(format!("M{} 0h{}v{LANE}h-{}z", n(x), n(width), n(width))) {}
                }
            }
        }
    }

    /// Returns what a part of the lane asks about: the occurrence in it, or else its middle, rounded.
    fn asked_in(&self, place: u32, part: Range<f64>) -> Timestamp {
        let marks = self.marks.iter().map(|mark| mark.at).chain(self.coming.iter().map(|next| next.at));
        let mut found = marks.filter(|at| self.from <= *at && part.contains(&self.x(*at)));
        if let Some(at) = found.next() {
            return at;
        }
        let step = self.to.duration_since(self.from) / i32::try_from(SLOTS).unwrap_or(1);
        let into = step.saturating_mul(i32::try_from(place).unwrap_or(0)).saturating_add(step / 2);
        let middle = self.from.saturating_add(into).unwrap_or(self.to).as_second();
        let unit = if step >= SignedDuration::from_mins(2) { 60 } else { 1 };
        Timestamp::from_second(middle - middle.rem_euclid(unit)).unwrap_or(self.to)
    }

    fn mark(&self, mark: &LaneMark) -> Markup {
        let x = self.x(mark.at.max(self.from));
        let class = mark.outcome.class();
        let bar = mark.outcome.took_place().then(|| {
            let (start, end) = (mark.started.unwrap_or(mark.at), mark.ended.unwrap_or(self.now));
            let width = (self.x(end) - self.x(start)).max(BAR_LEAST);
            format!("M{} {TOP}h{}v{BAR}h-{}z", n(self.x(start)), n(width), n(width))
        });
        let range = mark.last.filter(|last| *last > mark.at).map(|last| {
            let middle = n(TOP + BAR / 2.0);
            format!("M{} {middle}H{}", n(x), n(self.x(last).max(x + BAR_LEAST)))
        });
        let in_progress = mark.outcome == Outcome::InProgress;
        let y = if mark.outcome.took_place() { SIGN } else { TOP + (BAR - SIGN_SIZE) / 2.0 };
        let sign = mark.outcome.sign(x + 1.5, y, SIGN_SIZE);
        html! {
            a.(class) href=(self.link(mark.at)) tabindex="-1" {
                title { (mark.title) }
                @if let Some(bar) = bar { path.(if in_progress { "open" } else { "full" }) d=(bar) {} }
                @let lines = format!("{}{sign}", range.unwrap_or_default());
                @if !lines.is_empty() { path.sign d=(lines) {} }
            }
        }
    }

    fn coming(&self, coming: &LaneComing) -> Markup {
        let (x, y) = (self.x(coming.at), TOP + BAR / 2.0);
        let radius = if self.coming.len() > COMING_LARGE { 2.5 } else { 4.0 };
        let shape = match coming.will_fire {
            true => format!(
                "M{} {y}a{radius} {radius} 0 1 1 {1} 0a{radius} {radius} 0 1 1-{1} 0z",
                n(x - radius),
                2.0 * radius
            ),
            false => Outcome::Skipped.sign(x, y - SIGN_SIZE / 2.0, SIGN_SIZE),
        };
        html! {
            a.coming href=(self.link(coming.at)) tabindex="-1" { title { (coming.title) } path d=(shape) {} }
        }
    }

    /// Returns what is drawn below the lane: runs of which this is known.
    fn dots(&self, of: impl Fn(&LaneMark) -> Option<SignedDuration>) -> Vec<Dot> {
        let marks = self.marks.iter().filter(|mark| mark.at >= self.from);
        marks
            .filter_map(|mark| Some(Dot { x: self.x(mark.at), value: of(mark)?, outcome: mark.outcome }))
            .collect()
    }

    /// Returns what is to be seen, for those who do not see it.
    fn described(&self) -> String {
        let mut counts: Vec<(Outcome, usize)> = Vec::new();
        for mark in &self.marks {
            match counts.iter_mut().find(|(outcome, _)| *outcome == mark.outcome) {
                Some((_, count)) => *count += 1,
                None => counts.push((mark.outcome, 1)),
            }
        }
        counts.sort_unstable();
        let counts = counts.iter().map(|(outcome, count)| format!("{count} {}", outcome.word()));
        let coming = (!self.coming.is_empty()).then(|| format!("{} to come", self.coming.len()));
        let away = (!self.away.is_empty()).then(|| counted(self.away.len() as u64, "outage"));
        let parts: Vec<String> = counts.chain(coming).chain(away).collect();
        let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
        format!("Past and future along a line of time: {parts}. The tables below say the same.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::Status;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn mark(second: i64, status: Option<Status>, took: Option<i64>) -> LaneMark {
        let ran = took.is_some() || status.is_none();
        LaneMark {
            at: at(second),
            last: None,
            started: ran.then(|| at(second)),
            ended: took.map(|took| at(second + took)),
            outcome: Outcome::of(status),
            took: took.map(SignedDuration::from_secs),
            late: ran.then(|| SignedDuration::from_millis(3)),
            title: format!("at {second}"),
        }
    }

    fn example() -> Lane {
        Lane {
            from: at(0),
            to: at(1200),
            now: at(600),
            asked: Some(at(300)),
            marks: vec![
                mark(590, None, None),
                LaneMark { last: Some(at(400)), ..mark(200, Some(Status::Missed), None) },
                mark(100, Some(Status::Error), Some(50)),
            ],
            coming: vec![LaneComing { at: at(900), will_fire: true, title: "to come".to_owned() }],
            away: vec![LaneSpan { since: at(200), until: at(400) }],
            changes: vec![(at(150), "schedule".to_owned())],
            ticks: vec![(at(0), "00:00".to_owned())],
            drawn_since: None,
            limits: vec![("p50".to_owned(), SignedDuration::from_secs(50))],
            ask: "?at=".to_owned(),
        }
    }

    #[test]
    fn what_ran_is_as_long_as_it_took_and_what_did_not_has_a_sign() {
        let drawn = lane(&example(), |at| format!("about {at}")).into_string();
        for expected in [
            "M100 8h50v22h-50z",
            "href=\"?at=1970-01-01T00:01:40Z#why\" tabindex=\"-1\"><title>at 100</title>",
            // The run in progress lasts until now.
            "class=\"open\" d=\"M590 8h10v22h-10z\"",
            // The range of missed occurrences.
            "M200 19H400",
            "class=\"away\" d=\"M200 0h200v",
            "class=\"now\" d=\"M600 0V",
            "<title>about 1970-01-01T00:00:10Z</title>",
            // The part from the 100th second on asks about what happened in it.
            "<title>about 1970-01-01T00:01:40Z</title>",
            "1 error, 1 missed, 1 in progress, 1 to come, 1 outage.",
        ] {
            assert!(drawn.contains(expected), "{expected}: {drawn}");
        }
        assert_eq!(drawn.matches("<a ").count(), 60 + 3 + 1);
    }

    #[test]
    fn a_lane_without_anything_can_be_asked_all_the_same() {
        let empty = Lane { marks: Vec::new(), coming: Vec::new(), away: Vec::new(), ..example() };
        let drawn = lane(&empty, |_| String::new()).into_string();
        assert!(drawn.contains("line of time: nothing."), "{drawn}");
        assert_eq!(drawn.matches("<a ").count(), 60);
    }
}
