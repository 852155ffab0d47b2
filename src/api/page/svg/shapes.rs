//! What drawings have in common: a shape and a class for each outcome, and numbers that are short.

use crate::domain::run::{Phase, Status};

/// How wide a drawing along an axis of time is; the style sheet fits it into the page.
pub(super) const WIDTH: f64 = 1200.0;

/// How an outcome is drawn beside its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api::page) enum Outcome {
    Success,
    Error,
    Timeout,
    Interrupted,
    Cancelled,
    Skipped,
    Missed,
    InProgress,
}

impl Outcome {
    /// Returns the outcome of a run; `None` is one that has not ended.
    pub(in crate::api::page) fn of(status: Option<Status>) -> Self {
        match status {
            Some(Status::Success) => Outcome::Success,
            Some(Status::Error) => Outcome::Error,
            Some(Status::Timeout) => Outcome::Timeout,
            Some(Status::Interrupted) => Outcome::Interrupted,
            Some(Status::Cancelled) => Outcome::Cancelled,
            Some(Status::Skipped) => Outcome::Skipped,
            Some(Status::Missed) => Outcome::Missed,
            None => Outcome::InProgress,
        }
    }

    /// Returns the class that gives it its colour, as for words.
    pub(in crate::api::page) fn class(self) -> &'static str {
        let word = if self == Outcome::InProgress { Phase::Running.as_str() } else { self.word() };
        super::super::shown::mark_of(word).1
    }

    /// Returns how it is called.
    pub(in crate::api::page) fn word(self) -> &'static str {
        match self {
            Outcome::Success => Status::Success.as_str(),
            Outcome::Error => Status::Error.as_str(),
            Outcome::Timeout => Status::Timeout.as_str(),
            Outcome::Interrupted => Status::Interrupted.as_str(),
            Outcome::Cancelled => Status::Cancelled.as_str(),
            Outcome::Skipped => Status::Skipped.as_str(),
            Outcome::Missed => Status::Missed.as_str(),
            Outcome::InProgress => "in progress",
        }
    }

    /// Returns whether something ran, so that it has a length.
    pub(in crate::api::page) fn took_place(self) -> bool {
        !matches!(self, Outcome::Skipped | Outcome::Missed)
    }

    /// Returns the lines of its sign in a square of `size`, whose middle is at the top of `y` and at `x`; nothing for a success.
    pub(in crate::api::page) fn sign(self, x: f64, y: f64, size: f64) -> String {
        let (half, left) = (size / 2.0, x - size / 2.0);
        let (s, h, l, y, x) = (n(size), n(half), n(left), n(y), n(x));
        match self {
            Outcome::Success | Outcome::InProgress => String::new(),
            Outcome::Error => format!("M{l} {y}l{s} {s}m0-{s}l-{s} {s}"),
            Outcome::Timeout => format!("M{l} {y}h{s}l-{s} {s}h{s}z"),
            Outcome::Interrupted => format!("M{l} {y}v{s}m{s}-{s}v{s}"),
            Outcome::Cancelled => format!("M{l} {y}m{s} 0l-{s} {s}"),
            Outcome::Skipped => format!("M{l} {y}m0 {h}h{s}"),
            Outcome::Missed => format!("M{x} {y}l{h} {h}l-{h} {h}l-{h}-{h}z"),
        }
    }
}

/// Returns a number with one decimal at most.
pub(super) fn n(number: f64) -> String {
    let rounded = (number * 10.0).round() / 10.0;
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_sign_of_its_own_or_a_bar() {
        let all = Status::ALL.iter().map(|status| Outcome::of(Some(*status)));
        let signs: Vec<String> =
            all.filter(|one| *one != Outcome::Success).map(|one| one.sign(2.0, 0.0, 4.0)).collect();
        let distinct: std::collections::BTreeSet<&String> = signs.iter().collect();
        assert_eq!((distinct.len(), signs.len()), (6, 6));
        assert!(signs.iter().all(|sign| !sign.is_empty()));
        assert_eq!(Outcome::Error.sign(2.0, 1.0, 4.0), "M0 1l4 4m0-4l-4 4");
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [(1.0, "1"), (1.25, "1.3"), (-0.04, "0"), (1000.0, "1000")] {
            assert_eq!(n(number), text);
        }
    }
}
