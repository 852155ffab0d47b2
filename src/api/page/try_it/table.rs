//! A pasted `[cron.NAME]` table: its mistakes with their places, or what each of its crons means.

use maud::{Markup, html};

use super::occasions::Occasions;
use super::{cautions, ways};
use crate::api::page::shown::{prose, text};
use crate::api::page::visit::Visit;
use crate::config::{ConfigError, CronDefinition, Pasted, read_pasted};
use crate::domain::bounds::{TRIED_BYTES_MAX, TRIED_CRONS_MAX};
use crate::domain::plan::Decided;
use crate::domain::printable::blanked;
use crate::present::{counted, occurrences, pitfalls};

/// What is in the field at first.
pub(super) const EXAMPLE: &str = "[cron.daily-digest]\nassistant_id = \"agent\"\nschedule = \"30 2 * * *\"\ntimezone = \"Europe/Berlin\"\ninput = { messages = [] }\n";
/// Occurrences of each cron that are shown.
const SHOWN: usize = 5;

pub(super) fn main(visit: &Visit, pasted: &str) -> Markup {
    let found = read_pasted(pasted);
    html! {
        (ways(visit, true))
        form.try-form {
            label { "One or more [cron.NAME] tables, and [defaults] for them"
                textarea name="table" maxlength=(TRIED_BYTES_MAX) spellcheck="false" autocomplete="off" autocapitalize="off" { (pasted) } }
            p { button.main type="submit" { "What does it mean?" } " " span.dim { "Nothing is stored. Variables such as " code { "${{ env.X }}" } " are not looked up here." } }
        }
        (mistakes(&found))
        @for definition in found.crons.iter().take(TRIED_CRONS_MAX) { (one(visit, definition)) }
        @if found.crons.len() > TRIED_CRONS_MAX { p.dim { "and " (counted((found.crons.len() - TRIED_CRONS_MAX) as u64, "cron")) " more that are not shown" } }
        @if found.crons.is_empty() && found.mistakes.is_empty() { p.empty { "There is no " code { "[cron.NAME]" } " table in it." } }
    }
}

fn mistakes(found: &Pasted) -> Markup {
    html! {
        @if !found.mistakes.is_empty() {
            section.alarm.bad role="alert" {
                p { strong { (counted(found.mistakes.len() as u64, "mistake")) } }
                @for error in &found.mistakes { (mistake(error)) }
            }
        }
        @if !found.warnings.is_empty() {
            section.alarm.attention { @for warning in &found.warnings { (mistake(warning)) } }
        }
    }
}

/// Returns a mistake as `agentcron check` prints it.
fn mistake(error: &ConfigError) -> Markup {
    let excerpt =
        error.excerpt.as_ref().map(|excerpt| excerpt.lines().map(blanked).collect::<Vec<_>>().join("\n"));
    html! {
        p {
            @if let Some(position) = error.position { b { (position.line) ":" (position.column) } ": " }
            (prose(&error.message))
            @if let Some(hint) = &error.hint { " (" (prose(hint)) ")" }
        }
        @if let Some(excerpt) = excerpt { pre.caret tabindex="0" { (excerpt) } }
    }
}

fn one(visit: &Visit, definition: &CronDefinition) -> Markup {
    let Some(cron) = definition.cron() else { return html! {} };
    let next: Vec<_> = occurrences::of_cron(&cron, &Decided::default(), visit.now).take(SHOWN).collect();
    html! {
        section.tried {
            h2 { (text(&cron.name)) " " span.dim { "line " (definition.location.position.line) } }
            p { strong { (cron.calendar.describe()) " (" (cron.calendar.timezone()) ")" } "; runs " code { (text(&cron.request.assistant_id)) } @if !cron.enabled { "; " span.attention { "disabled: it does not fire" } } }
            (cautions(&pitfalls::of_cron(&cron, visit.now, &[])))
            (Occasions { visit, zone: cron.calendar.timezone(), next: &next, also: &[] }.table())
        }
    }
}
