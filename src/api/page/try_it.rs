//! Try: what an expression or a table means, before it is written anywhere. Nothing is stored, and the address can be sent to
//! somebody.

mod occasions;
mod table;

use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::local;
use super::shown::{prose, quoted, text};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::domain::bounds::{TRIED_BYTES_MAX, TRIED_INSTANTS_MAX};
use crate::domain::calendar::{Calendar, CalendarError};
use crate::present::{occurrences, pitfalls, times};
use crate::store::AlsoAt;
use occasions::Occasions;

/// Occurrences that are shown.
const SHOWN: usize = 12;
/// What is in the field until somebody writes there.
const EXAMPLE: &str = "0 9 * * mon-fri";
/// Expressions that show what can be written.
const EXAMPLES: [(&str, &str); 6] = [
    ("0 9 * * mon-fri", "weekdays at nine"),
    ("*/15 9-17 * * *", "each quarter of an hour by day"),
    ("30 2 * * *", "a time that clock changes skip"),
    ("0 0 L * *", "the last day of the month"),
    ("0 9 * * mon#1", "the first Monday"),
    ("H 3 * * *", "once in the hour, spread by name"),
];
/// The names of the fields, in order.
const FIELDS: [&str; 7] = ["minute", "hour", "day of month", "month", "day of week", "second", "year"];

/// What is tried.
struct Tried {
    schedule: String,
    timezone: String,
    from: Timestamp,
    /// What is in the field, if somebody has chosen a time.
    from_field: Option<String>,
}

pub(super) async fn try_it(visit: Visit) -> Response {
    let shown = match visit.parameter("table") {
        Some(pasted) if pasted.len() > TRIED_BYTES_MAX => {
            let most = TRIED_BYTES_MAX >> 10;
            let message = format!("table: expected at most {most} KiB; `agentcron check` reads whole files");
            Err(ErrorResponse::invalid(message))
        }
        Some(pasted) => Ok(Content {
            command: Some("agentcron check".to_owned()),
            ..Content::still(Tab::Try, "Try a table", table::main(&visit, &pasted))
        }),
        None => expression(&visit).await,
    };
    match shown {
        Ok(content) => visit.page(content).await,
        Err(error) => visit.failed(error),
    }
}

/// Returns the links to both ways to try.
fn ways(visit: &Visit, is_table: bool) -> Markup {
    let current = |is_current: bool| is_current.then_some("page");
    html! {
        h1 { "Try" }
        nav.saved aria-label="What to try" {
            a href={ (visit.up) "try" } aria-current=[current(!is_table)] { "An expression" }
            a href={ (visit.up) "try?table=" (super::shown::segment(table::EXAMPLE)) } aria-current=[current(is_table)] { "A [cron.…] table" }
        }
    }
}

async fn expression(visit: &Visit) -> Result<Content, ErrorResponse> {
    let schedule = visit.parameter("schedule").unwrap_or_else(|| EXAMPLE.to_owned());
    let timezone = visit.parameter("timezone").unwrap_or_else(|| times::zone_name(&visit.clock.mine));
    let calendar = Calendar::parse(&schedule, &timezone, "");
    let from = match (visit.parameter("from"), &calendar) {
        (Some(from), Ok(calendar)) => local::instant("from", &from, calendar.zone())?,
        _ => visit.now,
    };
    let mut command =
        format!("agentcron next --schedule {} --timezone {}", quoted(&schedule), quoted(&timezone));
    if let Some(from) = visit.parameter("from") {
        command.push_str(&format!(" --from {}", quoted(&from)));
    }
    let chosen = calendar.as_ref().ok().filter(|_| visit.parameter("from").is_some());
    let from_field = chosen.map(|calendar| {
        from.to_zoned_datetime(calendar.zone().clone()).strftime("%Y-%m-%dT%H:%M").to_string()
    });
    let asked = Tried { schedule, timezone, from, from_field };
    let answer = match &calendar {
        Ok(calendar) => meaning(visit, &asked, calendar).await?,
        Err(error) => mistake(error),
    };
    let main = html! { (ways(visit, false)) (form(&asked)) (answer) (examples(visit)) };
    Ok(Content { command: Some(command), ..Content::still(Tab::Try, "Try a schedule", main) })
}

fn form(asked: &Tried) -> Markup {
    html! {
        form.filters {
            label { "Schedule" input name="schedule" value=(asked.schedule) maxlength="1024" size="26" spellcheck="false" autocomplete="off" autocapitalize="off"; }
            label { "Time zone" input name="timezone" value=(asked.timezone) maxlength="100" spellcheck="false" autocomplete="off"; }
            label { "From, in that zone" input type="datetime-local" name="from" value=[asked.from_field.as_deref()]; }
            button.main type="submit" { "What does it mean?" }
        }
    }
}

async fn meaning(visit: &Visit, asked: &Tried, calendar: &Calendar) -> Result<Markup, ErrorResponse> {
    let next: Vec<_> = occurrences::of_calendar(calendar, asked.from).take(SHOWN).collect();
    // What fired in the past is on record.
    let coming = next.iter().filter(|_| asked.from >= visit.now);
    let instants: Vec<Timestamp> = coming.take(TRIED_INSTANTS_MAX).map(|next| next.at).collect();
    let also = visit.api.store.also_at(instants, visit.now).await?;
    let fields: Vec<&str> = asked.schedule.split_whitespace().collect();
    Ok(html! {
        section {
            h2 { (calendar.describe()) " (" (calendar.timezone()) ")" }
            @if fields.len() >= 5 && fields.len() <= FIELDS.len() {
                ul.reading aria-label="How it is read" { @for (field, name) in fields.iter().zip(FIELDS) { li { span.dim { (name) } " " code { (text(field)) } } } }
            }
            (cautions(&pitfalls::of_calendar(calendar, "", visit.now)))
            @if asked.schedule.split([' ', ',', '/']).any(|part| part.starts_with('H')) {
                p.dim { code { "H" } " becomes a number that follows from the name of the cron: here from none." }
            }
            (Occasions { visit, zone: calendar.timezone(), next: &next, also: &also }.table())
            (often(calendar, asked.from))
            (beside(&also))
        }
    })
}

/// Returns warnings about what is valid, but seldom meant.
fn cautions(found: &[String]) -> Markup {
    html! {
        @if !found.is_empty() { ul.needs { @for caution in found { li.attention { span { span.mark aria-hidden="true" { "!" } (prose(caution)) } } } } }
    }
}

fn often(calendar: &Calendar, from: Timestamp) -> Markup {
    let year = occasions::year(calendar, from);
    html! {
        p {
            @if year.is_estimate { "About " } b { (year.count) } (if year.count == 1 { " time" } else { " times" }) " in the year after that"
            @if let Some(gap) = year.longest { "; the longest gap " @if year.is_estimate { "so far " } "is " b { (times::took(gap)) } }
            "."
        }
    }
}

fn beside(also: &[AlsoAt]) -> Markup {
    let is_of_next_only = also.iter().any(|also| also.is_of_next_only);
    html! {
        @if is_of_next_only { p.dim { "There are too many crons to look at all of their times: those are named of which it is the next." } }
    }
}

/// Says what is wrong, and where.
fn mistake(error: &CalendarError) -> Markup {
    html! {
        section.alarm.bad role="alert" {
            @match error {
                CalendarError::Expression(fault) => {
                    p { strong { (text(fault.message())) } }
                    pre.caret tabindex="0" { (fault.caret()) }
                    @if let Some(hint) = fault.hint() { p { (text(hint)) } }
                }
                error => p { strong { (text(&error.to_string())) } },
            }
        }
    }
}

fn examples(visit: &Visit) -> Markup {
    html! {
        section {
            h2 { "What can be written" }
            ul.lines { @for (schedule, means) in EXAMPLES { li {
                a href={ (visit.up) "try?schedule=" (super::shown::segment(schedule)) "&timezone=Europe%2FBerlin" } { code { (schedule) } } " " span.dim { (means) }
            } } }
        }
    }
}
