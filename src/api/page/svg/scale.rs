//! A scale of time: where instants are, as percentages, and the marks below it.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

/// The distances between marks that can be read at a glance, in milliseconds.
const STEPS: [i64; 33] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    604_800_000,
    1_209_600_000,
    2_592_000_000,
    7_776_000_000,
    31_536_000_000,
];
/// So many distances fit between marks on a narrow screen.
const MARKS_MAX: i64 = 5;

/// From one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::page) struct Scale {
    pub(in crate::api::page) from: Timestamp,
    pub(in crate::api::page) until: Timestamp,
}

impl Scale {
    fn milliseconds(self) -> i64 {
        (self.until.as_millisecond() - self.from.as_millisecond()).max(1)
    }

    /// Returns where an instant is, in percent.
    #[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to a millionth")]
    pub(super) fn place(self, at: Timestamp) -> f64 {
        let since = (at.as_millisecond() - self.from.as_millisecond()) as f64;
        (since * 100.0 / self.milliseconds() as f64).clamp(0.0, 100.0)
    }

    /// Returns where something begins and how wide it is, in percent: wide enough to be seen.
    pub(super) fn span(self, since: Timestamp, until: Timestamp) -> (String, String) {
        const LEAST: f64 = 0.4;
        let (begin, end) = (self.place(since), self.place(until));
        let width = (end - begin).max(LEAST);
        (percent(begin.min(100.0 - width)), percent(width))
    }

    /// Returns the marks, as offsets from the beginning.
    pub(super) fn marks(self) -> Vec<(Timestamp, String)> {
        let all = self.milliseconds();
        let step = STEPS.iter().copied().find(|step| all / step <= MARKS_MAX);
        let step = step.unwrap_or_else(|| all / MARKS_MAX + 1);
        let offsets = (0..=all / step).map(|count| SignedDuration::from_millis(count * step));
        offsets
            .filter_map(|offset| Some((self.from.checked_add(offset).ok()?, offset_text(offset))))
            .collect()
    }

    /// Returns the marks, to stand below what is drawn on this scale.
    pub(super) fn axis(self) -> Markup {
        html! {
            svg.axis width="100%" height="16" aria-hidden="true" {
                @for (at, text) in self.marks() {
                    @let place = self.place(at);
                    text x=(percent(place)) y="12" text-anchor=(if place < 4.0 { "start" } else if place > 92.0 { "end" } else { "middle" }) { (text) }
                }
            }
        }
    }
}

/// Returns an offset as `0`, `+40 ms`, `+1 h 30 min`: without what is zero.
fn offset_text(offset: SignedDuration) -> String {
    let milliseconds = offset.as_millis();
    let (whole, unit, rest, below) = match milliseconds {
        0 => return "0".to_owned(),
        1..1000 => (milliseconds, "ms", 0, ""),
        1000..60_000 => (milliseconds / 1000, "s", milliseconds % 1000, "ms"),
        60_000..3_600_000 => (milliseconds / 60_000, "min", milliseconds / 1000 % 60, "s"),
        3_600_000..86_400_000 => (milliseconds / 3_600_000, "h", milliseconds / 60_000 % 60, "min"),
        _ => (milliseconds / 86_400_000, "d", milliseconds / 3_600_000 % 24, "h"),
    };
    if rest == 0 { format!("+{whole} {unit}") } else { format!("+{whole} {unit} {rest} {below}") }
}

pub(super) fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(milliseconds: i64) -> Scale {
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        Scale { from: at(0), until: at(milliseconds) }
    }

    #[test]
    fn there_are_few_marks_and_they_are_round() {
        for (milliseconds, expected) in [
            (1, "0 +1 ms"),
            (750, "0 +200 ms +400 ms +600 ms"),
            (42_100, "0 +10 s +20 s +30 s +40 s"),
            (90_000, "0 +30 s +1 min +1 min 30 s"),
            (5_400_000, "0 +30 min +1 h +1 h 30 min"),
            (400_000_000, "0 +1 d 0 h"),
        ] {
            let marks: Vec<_> = scale(milliseconds).marks().into_iter().map(|(_, text)| text).collect();
            let expected = expected.replace(" 0 h", "");
            assert!(marks.join(" ").starts_with(&expected), "{milliseconds}: {marks:?}");
            assert!(marks.len() <= 6, "{milliseconds}: {marks:?}");
        }
        assert!(scale(i64::from(u32::MAX) * 1000).marks().len() <= 6);
    }

    #[test]
    fn what_is_short_or_outside_is_still_drawn_within() {
        let scale = scale(1000);
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        assert_eq!(scale.span(at(250), at(750)), ("25.00%".to_owned(), "50.00%".to_owned()));
        assert_eq!(scale.span(at(1000), at(1000)), ("99.60%".to_owned(), "0.40%".to_owned()));
        assert_eq!(scale.span(at(-500), at(5000)), ("0.00%".to_owned(), "100.00%".to_owned()));
    }
}
