//! The last runs of a cron in a row of a list: a bar for each, as high as the run was long, with a sign below if it was no success.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use maud::{Markup, html};

use super::shapes::{Outcome, n};

/// How many runs it shows.
pub(in crate::api::page) const SPARK_RUNS: u32 = 30;
/// How far apart bars are, and where the middle of the first one is.
const STEP: usize = 5;
const FIRST: usize = 2;
const HEIGHT: f64 = 18.0;
const LEAST: f64 = 3.0;
/// Where the signs are, and how large.
const SIGN: f64 = 20.0;
const SIGN_SIZE: f64 = 4.0;
/// So much of an id leads to its run.
const ID_CHARS: usize = 8;

/// One of the runs.
#[derive(Clone, Debug)]
pub(in crate::api::page) struct Bar {
    pub(in crate::api::page) run_id: String,
    pub(in crate::api::page) outcome: Outcome,
    pub(in crate::api::page) took: Option<SignedDuration>,
}

/// Returns the drawing of runs, of which the newest is the first and is drawn last. It belongs into a link that says what it shows.
/// Bars are strokes, because those are short: fifty drawings must fit into a page.
pub(in crate::api::page) fn spark(bars: &[Bar]) -> Markup {
    let slots = SPARK_RUNS as usize;
    let bars = bars.get(..slots.min(bars.len())).unwrap_or_default();
    let longest = bars.iter().filter_map(|bar| bar.took).max().unwrap_or_default().as_secs_f64();
    let (mut filled, mut signs): (BTreeMap<_, String>, BTreeMap<_, String>) = Default::default();
    for (place, bar) in bars.iter().enumerate() {
        let x = (slots - 1 - place) * STEP + FIRST;
        if bar.outcome.took_place() {
            let top = HEIGHT - height(bar.took.unwrap_or_default().as_secs_f64(), longest);
            filled.entry(bar.outcome).or_default().push_str(&format!("M{x} {HEIGHT}V{}", n(top)));
        }
        let x = f64::from(u32::try_from(x).unwrap_or(0));
        let sign = match bar.outcome {
            // What is most often drawn is the shortest, so that a page on which all fails is not longer than others.
            Outcome::Error => format!("M{} {SIGN}v{SIGN_SIZE}", n(x)),
            outcome => outcome.sign(x, SIGN, SIGN_SIZE),
        };
        signs.entry(bar.outcome).or_default().push_str(&sign);
    }
    signs.retain(|_, lines| !lines.is_empty());
    // The oldest first, as they are drawn.
    let ids: Vec<&str> =
        bars.iter().rev().map(|bar| bar.run_id.get(..ID_CHARS).unwrap_or(&bar.run_id)).collect();
    html! {
        svg.spark viewBox="0 0 150 25" width="150" height="25" aria-hidden="true" data-runs=(ids.join(" ")) {
            @for (outcome, path) in &filled { path.bars.(outcome.class()) d=(path) {} }
            @for (outcome, lines) in &signs { path.(outcome.class()) d=(lines) {} }
        }
    }
}

/// Returns the height of a bar. By the root of its duration, so that one long run does not flatten all others.
fn height(took: f64, longest: f64) -> f64 {
    if longest <= 0.0 { LEAST } else { LEAST.max(HEIGHT * (took.max(0.0) / longest).sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(outcome: Outcome, seconds: Option<i64>) -> Bar {
        let run_id = "0123456789abcdef".to_owned();
        Bar { run_id, outcome, took: seconds.map(SignedDuration::from_secs) }
    }

    #[test]
    fn the_newest_is_at_the_right_and_what_did_not_run_is_a_gap() {
        let bars =
            [bar(Outcome::Error, Some(4)), bar(Outcome::Missed, None), bar(Outcome::Success, Some(16))];
        let drawn = spark(&bars).into_string();
        assert!(drawn.contains(r#"d="M147 18V9""#), "half as high, as the root of a fourth: {drawn}");
        assert!(drawn.contains(r#"d="M137 18V0""#), "{drawn}");
        assert!(!drawn.contains("M142 18"), "{drawn}");
        assert!(drawn.contains(r#"data-runs="01234567 01234567 01234567""#), "{drawn}");
        assert_eq!(drawn.matches("<path").count(), 4, "two bars and two signs: {drawn}");
    }

    #[test]
    fn fifty_of_them_fit_into_a_page() {
        let bars: Vec<Bar> = (0..40).map(|second| bar(Outcome::Error, Some(second))).collect();
        let drawn = spark(&bars).into_string();
        assert!(drawn.len() < 1100, "{}", drawn.len());
        assert!(spark(&[]).into_string().len() < 200);
    }
}
