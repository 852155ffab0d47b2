//! Try: what an expression means, before it is written anywhere. Nothing is stored, and the address can be sent to somebody.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::shown::text;
use super::visit::Visit;
use crate::api::wire::Time;
use crate::domain::calendar::Calendar;
use crate::present::{occurrences, times};

/// Occurrences that are shown.
const SHOWN: usize = 12;

pub(super) async fn try_it(visit: Visit) -> Response {
    let main = main(&visit);
    visit.page(Content::still(Tab::Try, "Try a schedule", main)).await
}

fn main(visit: &Visit) -> Markup {
    let schedule = visit.parameter("schedule").unwrap_or_else(|| "0 9 * * mon-fri".to_owned());
    let timezone = visit.parameter("timezone").unwrap_or_else(|| times::zone_name(&visit.clock.mine));
    html! {
        h1 { "Try a schedule" }
        form.filters {
            label { "Schedule" input name="schedule" value=(schedule) maxlength="1024" spellcheck="false" autocomplete="off"; }
            label { "Time zone" input name="timezone" value=(timezone) maxlength="100"; }
            button type="submit" { "What does it mean?" }
        }
        @match Calendar::parse(&schedule, &timezone, "") {
            Ok(calendar) => {
                p { strong { (calendar.describe()) } " (" (calendar.timezone()) ")" }
                ul.lines { @for next in occurrences::of_calendar(&calendar, visit.now).take(SHOWN) {
                    li { (visit.clock.time_and_relative(Time(next.at), Some(&timezone))) @if let Some(note) = next.note { " " span.attention { (text(&note)) } } }
                } }
            }
            Err(error) => p.alarm.bad { (text(&error.to_string())) },
        }
    }
}
