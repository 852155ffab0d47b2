//! What is asked before all webhooks are held or released: what waits, and what becomes of it.

use jiff::SignedDuration;
use maud::{Markup, html};

use super::{Question, note};
use crate::api::error_response::ErrorResponse;
use crate::api::page::act::fields::Fields;
use crate::api::page::shown::quoted;
use crate::api::page::visit::Visit;
use crate::api::wire::Time;
use crate::domain::bounds::{RELEASE_RATE_MAX, WAITING_COUNTED_MAX};
use crate::present::{counted, times};
use crate::store::WaitingWebhooks;

pub(super) async fn hold(visit: &Visit, fields: &Fields) -> Result<Question, ErrorResponse> {
    let waiting = waiting(visit, SignedDuration::ZERO).await?;
    let command = match fields.get("note") {
        Some(note) => format!("agentcron webhook hold --note {}", quoted(note)),
        None => "agentcron webhook hold".to_owned(),
    };
    Ok(Question {
        title: "Hold all webhooks".to_owned(),
        consequence: html! {
            p { "From now on webhooks are recorded and not sent, until somebody releases them. Runs go on." }
            ul.named {
                li { (all(&waiting)) (if waiting.count == 1 { " waits" } else { " wait" }) " now and will stay" @if waiting.receivers > 0 { ", for " (counted(waiting.receivers, "receiver")) } "." }
                li { @if waiting.sending > 0 { (counted(waiting.sending, "attempt")) " in flight will finish." } @else { "No attempt is in flight." } }
            }
        },
        more: note(),
        command,
        button: "Hold",
        is_possible: true,
    })
}

pub(super) async fn release(visit: &Visit, fields: &Fields) -> Result<Question, ErrorResponse> {
    let rate: Option<u32> = fields.number("per_second")?;
    let hours: Option<u32> = fields.number("discard_older_than_hours")?;
    let age = hours.map(|hours| SignedDuration::from_hours(i64::from(hours)));
    let waiting = waiting(visit, age.unwrap_or(SignedDuration::MAX)).await?;
    let mut command = "agentcron webhook release".to_owned();
    if let Some(rate) = rate {
        command.push_str(&format!(" --rate {rate}/s"));
    }
    if let Some(hours) = hours {
        command.push_str(&format!(" --discard-older-than {hours}h"));
    }
    Ok(Question {
        title: format!("Release {}", all(&waiting)),
        consequence: consequence(visit, &waiting, rate, hours),
        more: html! {
            label { "Attempts per second (empty: all at once)" input type="number" name="per_second" min="1" max=(RELEASE_RATE_MAX) value=[rate]; }
            label { "Give up those that are older, in hours (empty: none)" input type="number" name="discard_older_than_hours" min="0" value=[hours]; }
            p { button type="submit" formmethod="get" formaction={ (visit.up) "act" } { "Look again with these" } }
        },
        command,
        button: "Release",
        is_possible: true,
    })
}

fn consequence(visit: &Visit, waiting: &WaitingWebhooks, rate: Option<u32>, hours: Option<u32>) -> Markup {
    let left = waiting.count.saturating_sub(if hours.is_some() { waiting.older } else { 0 });
    html! {
        @if waiting.count == 0 { p { "None waits. Later ones are sent as they fall due." } }
        @else {
            ul.named {
                @if let Some(oldest) = waiting.oldest { li { "The oldest was recorded " (visit.clock.time_and_relative(Time(oldest), None)) "; they are for " (counted(waiting.receivers, "receiver")) "." } }
                @if let Some(hours) = hours { li { b { (waiting.older) } " are older than " (hours) " h: they are given up, and stay on record as suppressed." } }
                @if left == 0 { li { "None is left to send." } }
                @else { li {
                    b { (left) } @match rate {
                        Some(rate) => { " are sent at " (rate) " per second, which takes about " (times::took(lasts(left, rate))) " if all are due." }
                        None => " are sent as they fall due, at once if they are due already.",
                    }
                } }
            }
        }
    }
}

fn lasts(count: u64, rate: u32) -> SignedDuration {
    let seconds = count.div_ceil(u64::from(rate.max(1)));
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn all(waiting: &WaitingWebhooks) -> String {
    match waiting.count >= u64::from(WAITING_COUNTED_MAX) {
        true => format!("at least {}", counted(waiting.count, "webhook")),
        false => counted(waiting.count, "webhook"),
    }
}

async fn waiting(visit: &Visit, age: SignedDuration) -> Result<WaitingWebhooks, ErrorResponse> {
    let now = visit.now;
    Ok(visit.api.store.read(move |reader| reader.waiting_webhooks(age, now)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_long_a_release_takes_and_whether_all_were_counted() {
        assert_eq!(lasts(41, 5), SignedDuration::from_secs(9));
        assert_eq!(lasts(0, 5), SignedDuration::ZERO);
        let of = |count| all(&WaitingWebhooks { count, ..WaitingWebhooks::default() });
        assert_eq!(of(1), "1 webhook");
        assert_eq!(of(u64::from(WAITING_COUNTED_MAX)), "at least 200000 webhooks");
    }
}
