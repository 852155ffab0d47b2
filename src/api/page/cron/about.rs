//! What a cron is: its settings, how its definition changed, what failed lately, and who did what to it.

use jiff::civil::Date;
use maud::{Markup, html};
use serde_json::Value;

use super::View;
use crate::api::page::shown::{id, status, text};
use crate::api::page::svg::year::{YearDay, year};
use crate::api::page::visit::Visit;
use crate::api::wire::{Act, CronDetails, Failures, KeyChange, Version};
use crate::domain::bounds::YEAR_DAYS;
use crate::domain::tally::TallyUnit;
use crate::present::{settings, with_short_ids};

/// A value that is longer than this is cut: the definition as JSON has it whole.
const VALUE_CHARS_MAX: usize = 300;

/// Shows what failed in the last days, like with like.
pub(super) fn failures(visit: &Visit, view: &View) -> Markup {
    let zone = view.details.cron.timezone.as_deref();
    let one = |failures: &Failures| {
        let last = &failures.last;
        let until = last.last_scheduled_for.unwrap_or(last.scheduled_for);
        html! {
            li {
                (status(&last.status)) " "
                @if failures.count > 1 {
                    b { (failures.count) " times" } ", " (visit.clock.time(failures.since, zone)) " to " (visit.clock.time(until, zone))
                } @else { (visit.clock.time(until, zone)) }
                @if failures.count > 1 { "; the last one: " } @else { ": " }
                (text(&with_short_ids(&last.why()))) " "
                a href={ (visit.up) "runs/" (last.run_id) } { "its run" }
            }
        }
    };
    html! {
        h2 { "What went wrong in the last 7 days" }
        @if view.details.failures.is_empty() { p.empty.good { "Nothing." } }
        @else { ul.lines { @for found in &view.details.failures { (one(found)) } } }
    }
}

/// Draws how each day of the last year ended.
pub(super) fn a_year(visit: &Visit, view: &View) -> Markup {
    let date = |day: i64| TallyUnit::Day.begin(day).to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let last = TallyUnit::Day.number(visit.now);
    let mut days: Vec<YearDay> = Vec::new();
    for (day, status, count) in &view.facts.days {
        let date: Date = date(*day);
        match days.last_mut().filter(|last| last.date == date) {
            Some(found) => found.ended.push((*status, *count)),
            None => days.push(YearDay { date, ended: vec![(*status, *count)] }),
        }
    }
    html! {
        section {
            h2 { "Year" }
            @if days.is_empty() { p.empty { "Nothing has ended in this time." } }
            @else {
                div.wide.latest role="region" aria-label="The year" tabindex="0" { (year(date(last - YEAR_DAYS), date(last), &days)) }
                p.dim.legend { "A square a day, in UTC: ■ all went well, ✕ errors, ◇ missed, ◤ skipped, cancelled or interrupted. Click one for its lane." }
            }
        }
    }
}

/// Shows what holds for it, defaults included, and how that changed.
pub(super) fn definition(visit: &Visit, details: &CronDetails) -> Markup {
    html! {
        section {
            h2 { "Definition" }
            @match details.parsed() {
                Ok(cron) => {
                    @let definition = &details.definition;
                    @let request = settings::request(&cron, definition, details.thread_id.as_deref());
                    dl.facts.settings {
                        @for setting in request.into_iter().chain(settings::policies(&cron, definition)) {
                            dt { (setting.label) }
                            dd { (text(&setting.text)) @if setting.is_default { " " span.dim { "(default)" } } }
                        }
                        dt { "defined" }
                        dd { @match &details.cron.location { Some(location) => code { (text(location)) }, None => "by a client" } }
                        dt { "input" }
                        dd { @match definition.get("input") { Some(input) => code { (shown(input)) }, None => span.dim { "not shown to those who may not see values" } } }
                    }
                }
                Err(problem) => { p.bad { "Its definition cannot be read: " (text(&problem)) } pre { (shown(&details.definition)) } },
            }
            (versions(visit, details))
        }
    }
}

fn versions(visit: &Visit, details: &CronDetails) -> Markup {
    let changed: Vec<&Version> =
        details.versions.iter().filter(|version| !version.changed.is_empty()).collect();
    let zone = details.cron.timezone.as_deref();
    html! {
        h3 { "Changes" }
        @if changed.is_empty() {
            p.empty { "It has not been changed since " (visit.clock.time(details.updated_at, zone)) ", as far as versions are kept." }
        }
        @for (place, version) in changed.into_iter().enumerate() {
            details.version open[place == 0] {
                summary { (visit.clock.time_and_relative(version.since, zone)) ": " b { (text(&version.changed.join(", "))) } }
                dl.changes {
                    @for change in &version.changes { (difference(change)) }
                    @if version.changes.len() < version.changed.len() {
                        dt { "values" } dd.dim { "not shown to those who may not see them" }
                    }
                }
            }
        }
    }
}

fn difference(change: &KeyChange) -> Markup {
    html! {
        dt { (text(&change.key)) }
        dd {
            @if !change.old.is_null() { del { (shown(&change.old)) } " " }
            @if !change.new.is_null() { ins { (shown(&change.new)) } }
            @else { span.dim { "taken out: the default holds" } }
        }
    }
}

/// Returns a value on one line, its beginning at least.
fn shown(value: &Value) -> Markup {
    let json = value.to_string();
    let end = json.char_indices().nth(VALUE_CHARS_MAX).map(|(end, _)| end);
    html! { (text(json.get(..end.unwrap_or(json.len())).unwrap_or_default())) @if end.is_some() { "…" } }
}

/// Shows who did what to it.
pub(super) fn acts(visit: &Visit, details: &CronDetails) -> Markup {
    let zone = details.cron.timezone.as_deref();
    let row = |act: &Act| {
        html! {
            tr {
                td data-label="When" { (visit.clock.time(act.at, zone)) " " span.dim { (visit.clock.relative(act.at)) } }
                td data-label="What" { (act.did()) @if let Some(run_id) = &act.run_id { " " a href={ (visit.up) "runs/" (run_id) } { (id(run_id)) } } }
                td data-label="By" { (text(&act.actor().to_string())) }
                td.why data-label="Note" { (text(act.note.as_deref().unwrap_or_default())) }
            }
        }
    };
    html! {
        section {
            h2 { "Acts on record" }
            @if details.acts.is_empty() { p.empty { "Nobody has done anything to it." } }
            @else {
                div.wide { table.rows {
                    thead { tr { th { "When" } th { "What" } th { "By" } th { "Note" } } }
                    tbody { @for act in &details.acts { (row(act)) } }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_what_was_and_what_is() {
        let change = |old: Value, new: Value| {
            difference(&KeyChange { key: "timeout".to_owned(), old, new }).into_string()
        };
        let (old, new) = (Value::from("5m"), Value::from("<1h>"));
        assert!(
            change(old.clone(), new.clone())
                .contains("<del>&quot;5m&quot;</del> <ins>&quot;&lt;1h&gt;&quot;</ins>")
        );
        assert!(!change(Value::Null, new).contains("<del>"));
        assert!(change(old, Value::Null).contains("taken out"));
        let long = shown(&Value::from("é".repeat(400))).into_string();
        assert!(long.ends_with('…') && long.chars().count() < 320, "{}", long.chars().count());
    }
}
