//! Durations of runs along an axis of time, as dots: the height is the logarithm, so that both one of a second and one of an hour
//! can be read.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use maud::{Markup, html};

use super::shapes::{Outcome, WIDTH, n};
use crate::present::times;

/// Room above the dots for the label, and below them.
const HEAD: f64 = 16.0;
const FOOT: f64 = 6.0;

/// A run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) value: SignedDuration,
    pub(super) outcome: Outcome,
}

/// A duration that is drawn as a line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) label: String,
    pub(super) at: SignedDuration,
}

/// Draws them below `y`.
pub(super) fn track(dots: &[Dot], lines: &[Line], label: &str, (y, height): (f64, f64)) -> Markup {
    let seconds = |value: SignedDuration| value.as_secs_f64().max(0.001);
    let values = dots.iter().map(|dot| dot.value).chain(lines.iter().map(|line| line.at));
    let (least, most) = values.fold((SignedDuration::MAX, SignedDuration::ZERO), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    let (low, high) = (seconds(least).ln(), seconds(most).ln());
    let range = (high - low).max(0.1);
    let place = |value: SignedDuration| {
        let share = ((seconds(value).ln() - low) / range).clamp(0.0, 1.0);
        y + height - FOOT - share * (height - HEAD - FOOT)
    };
    let mut paths: BTreeMap<Outcome, String> = BTreeMap::new();
    for dot in dots {
        // A line without length has round ends, which are a dot.
        paths.entry(dot.outcome).or_default().push_str(&format!("M{} {}h0", n(dot.x), n(place(dot.value))));
    }
    html! {
        path.axis d=(format!("M0 {0}H{WIDTH}", n(y + height))) {}
        @for line in lines {
            path.limit d=(format!("M0 {0}H{WIDTH}", n(place(line.at)))) { title { (line.label) " " (times::took(line.at)) } }
        }
        @for (outcome, path) in &paths { path.dots.(outcome.class()) d=(path) {} }
        text x="4" y=(n(y + 12.0)) { (label) ": " (times::took(least)) " to " (times::took(most)) }
        @for (above, line) in labels(lines, place) {
            text x=(WIDTH - 4.0) y=(n(above)) text-anchor="end" { (line.label) " " (times::took(line.at)) }
        }
    }
}

/// Returns where the labels of lines are: above their line, without one upon the other.
fn labels(lines: &[Line], place: impl Fn(SignedDuration) -> f64) -> Vec<(f64, &Line)> {
    const APART: f64 = 13.0;
    let mut sorted: Vec<(f64, &Line)> = lines.iter().map(|line| (place(line.at) - 3.0, line)).collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut below = f64::INFINITY;
    for (y, _) in &mut sorted {
        *y = y.min(below - APART);
        below = *y;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f64, millis: i64) -> Dot {
        Dot { x, value: SignedDuration::from_millis(millis), outcome: Outcome::Success }
    }

    #[test]
    fn ten_times_as_long_is_always_as_much_higher() {
        let lines = [Line { label: "p50".to_owned(), at: SignedDuration::from_secs(1) }];
        let drawn = track(&[dot(0.0, 100), dot(10.0, 1000), dot(20.0, 10_000)], &lines, "took", (0.0, 62.0));
        let drawn = drawn.into_string();
        assert!(drawn.contains("d=\"M0 56h0M10 36h0M20 16h0\""), "{drawn}");
        assert!(drawn.contains("took: 100 ms to 10.0 s"), "{drawn}");
        assert!(drawn.contains("class=\"limit\" d=\"M0 36H1200\""), "{drawn}");
    }

    #[test]
    fn labels_are_not_upon_one_another() {
        let line = |seconds| Line { label: String::new(), at: SignedDuration::from_secs(seconds) };
        let lines = [line(10), line(11), line(90)];
        let found = labels(&lines, |at| 100.0 - at.as_secs_f64());
        let places: Vec<f64> = found.iter().map(|(y, _)| *y).collect();
        assert_eq!(places, [87.0, 74.0, 7.0]);
    }
}
