//! What is different from the last run of the same cron that went well.

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::api::page::shown::{status, text};
use crate::api::page::visit::Visit;
use crate::api::wire::{Run, Time};
use crate::present::times;
use crate::store::LastGoodRun;

/// Keys of outputs that are named.
const KEYS_NAMED: usize = 15;
/// A value that is longer is not quoted.
const QUOTED_CHARS_MAX: usize = 40;

/// The outputs of both runs, if they are known and small.
pub(super) type Outputs = Option<(Value, Value)>;

pub(super) fn difference(visit: &Visit, run: &Run, good: &LastGoodRun, outputs: &Outputs) -> Markup {
    let last = Run::of(&good.row);
    let took = |run: &Run| run.duration().map(times::took).unwrap_or_else(|| "–".to_owned());
    let late = |run: &Run| run.lateness().map(times::took).unwrap_or_else(|| "–".to_owned());
    html! {
        section {
            h2 { "Beside the last good run before it" }
            div.wide { table.beside {
                thead { tr { td {} th { "This run" } th { a href={ (visit.up) "runs/" (last.run_id) } { (visit.clock.time(Time(good.row.run.scheduled_for), None)) } } } }
                tbody {
                    tr { th scope="row" { "Ended as" } td { (status(&run.status)) } td { (status(&last.status)) } }
                    tr { th scope="row" { "Took" } td { (took(run)) @if let Some(more) = longer(run, &last) { " " span.dim { (more) } } } td { (took(&last)) } }
                    tr { th scope="row" { "Late" } td { (late(run)) } td { (late(&last)) } }
                    tr { th scope="row" { "Definition" }
                        td { @if good.changed.is_empty() { "the same" } @else { "differs in " (text(&good.changed.join(", "))) } } td {} }
                    tr { th scope="row" { "Output" } td colspan="2" { (output(visit, outputs)) } }
                }
            } }
        }
    }
}

/// Returns by how much a run took longer, or less long.
fn longer(run: &Run, last: &Run) -> Option<String> {
    let (now, before) = (run.duration()?.as_millis(), last.duration()?.as_millis());
    if before <= 0 {
        return None;
    }
    let percent = (now - before) * 100 / before;
    Some(match percent {
        -4..=4 => "as long".to_owned(),
        5..1000 => format!("{percent} % longer"),
        1000.. => format!("{} times as long", now / before),
        _ => format!("{} % shorter", -percent),
    })
}

fn output(visit: &Visit, outputs: &Outputs) -> Markup {
    let Some((this, last)) = outputs else {
        return html! { span.dim { @if visit.may_see_values() { "not kept of both, or too large to compare here" } @else { "shown to those who are logged in" } } };
    };
    let changes = changes(this, last);
    html! {
        @if changes.is_empty() { "the same" }
        @else { ul.named { @for (key, how) in changes.iter().take(KEYS_NAMED) { li { code { (text(key)) } " " (text(how)) } } } }
        @if changes.len() > KEYS_NAMED { span.dim { "and " (changes.len() - KEYS_NAMED) " more" } }
    }
}

/// Returns the keys that two outputs do not have alike, each with how.
fn changes(this: &Value, last: &Value) -> Vec<(String, String)> {
    let (Value::Object(this), Value::Object(last)) = (this, last) else {
        let how = || ("(all of it)".to_owned(), changed(this, last));
        return (this != last).then(how).into_iter().collect();
    };
    let gone = |of: &Map<String, Value>, other: &Map<String, Value>, how: &str| {
        let keys = of.keys().filter(|key| !other.contains_key(*key));
        keys.map(|key| (key.clone(), how.to_owned())).collect::<Vec<_>>()
    };
    let both = this.iter().filter_map(|(key, value)| Some((key, value, last.get(key)?)));
    let other = both.filter(|(_, value, before)| value != before);
    let mut found: Vec<_> = other.map(|(key, value, before)| (key.clone(), changed(value, before))).collect();
    found.extend(gone(this, last, "is new"));
    found.extend(gone(last, this, "is gone"));
    found
}

fn changed(value: &Value, before: &Value) -> String {
    let short =
        |value: &Value| Some(value.to_string()).filter(|text| text.chars().count() <= QUOTED_CHARS_MAX);
    match (value, before) {
        (Value::Array(items), Value::Array(former)) if items.len() != former.len() => {
            format!("has {} items instead of {}", items.len(), former.len())
        }
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            "is another".to_owned()
        }
        _ => match (short(value), short(before)) {
            (Some(value), Some(before)) => format!("is {value} instead of {before}"),
            _ => "is another text".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_key_that_differs_is_named_with_how() {
        let this = json!({ "same": 1, "count": 5, "messages": [1, 2], "list": [1], "new": 1, "text": "x".repeat(50) });
        let last = json!({ "same": 1, "count": 3, "messages": [1], "list": [2], "gone": 1, "text": "y" });
        let expected = [
            ("count", "is 5 instead of 3"),
            ("messages", "has 2 items instead of 1"),
            ("list", "is another"),
            ("text", "is another text"),
            ("new", "is new"),
            ("gone", "is gone"),
        ];
        let found = changes(&this, &last);
        assert_eq!(found.iter().map(|(key, how)| (key.as_str(), how.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(changes(&this, &this), Vec::new());
        assert_eq!(changes(&json!("a"), &json!(null)).len(), 1);
    }
}
