//! `agentcron webhook release`: ends a hold.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::terminal::{Failure, Session, ask, printable};
use crate::domain::bounds::RELEASE_RATE_MAX;
use crate::present::counted;

/// Release held webhooks, at once or at a limited rate
#[derive(Args, Debug)]
#[command(after_help = "\
With --rate, the backlog is sent slowly: until everything that was due at the
release has been attempted, all webhooks together keep to the rate, oldest first
and new ones last. A failed attempt is retried on the normal schedule.

Releasing again without --rate lifts the limit.

Examples:
  agentcron webhook release
  agentcron webhook release --rate 5/s       for a receiver that just recovered
  agentcron webhook release --discard-older-than 2h")]
pub(super) struct Release {
    /// At most this many attempts per second, such as 5/s, until the backlog is sent
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    rate: Option<u32>,
    /// Suppress waiting webhooks that were recorded longer ago than this, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    discard_older_than: Option<Duration>,
}

pub(super) fn release(release: &Release, session: &mut Session) -> Result<(), Failure> {
    let body = json!({
        "per_second": release.rate,
        "discard_older_than_seconds": release.discard_older_than.map(|age| age.as_secs()),
    });
    let answer = ask(session, &["webhooks", "release"], &body)?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let released = if answer["before"]["state"] == "held" { "are released" } else { "were not held" };
    let rate = match answer["now"]["per_second"].as_u64() {
        Some(rate) => format!(", at most {rate} per second until the backlog is sent"),
        None => String::new(),
    };
    session.output.line(&format!("webhooks {released}: {} waiting{rate}", answer["waiting"]))?;
    if answer["now"]["state"] == "held" {
        session.output.warn(&format!(
            "webhooks stay held: {}",
            printable(answer["now"]["note"].as_str().unwrap_or_default())
        ))?;
    }
    let discarded = answer["discarded"].as_u64().unwrap_or(0);
    if discarded > 0 {
        let discarded = counted(discarded, "older webhook");
        let how = "`agentcron webhook replay --status suppressed` sends them";
        session.output.line(&format!("{discarded} suppressed; {how}"))?;
    }
    Ok(())
}

fn parse_rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    let rate = number.parse::<u32>().ok().filter(|rate| (1..=RELEASE_RATE_MAX).contains(rate));
    rate.ok_or_else(|| format!("expected webhooks per second, such as 5/s (1 to {RELEASE_RATE_MAX})"))
}

fn parse_age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected a duration such as 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_per_second() {
        for (text, rate) in [
            ("5/s", Some(5)),
            ("5", Some(5)),
            ("1000/s", Some(1000)),
            ("0/s", None),
            ("1001/s", None),
            ("5/m", None),
        ] {
            assert_eq!(parse_rate(text).ok(), rate, "{text}");
        }
    }
}
