//! `agentcron webhook release`: what was held goes out.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::ask::ask;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::domain::bounds::RELEASE_RATE_MAX;

/// End a hold.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook release
  agentcron webhook release --rate 5/s                     spares a receiver that has just come back
  agentcron webhook release --discard-older-than 2h        old news is not sent

With --rate, what has piled up goes out slowly: until nothing is left that was due at the
release, all webhooks together keep to the rate, the oldest first and new ones behind them. What
fails has had its turn and is tried again as always. Releasing again without --rate lifts the
rate.")]
pub(super) struct Release {
    /// At most so many attempts a second, such as 5/s, until what had piled up has gone
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    rate: Option<u32>,
    /// What was recorded longer ago than this and waits is suppressed, not sent
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
    let (waiting, discarded) = (&answer["waiting"], &answer["discarded"]);
    let before = if answer["before"]["state"] == "held" { "" } else { " (they were not held)" };
    let rate = match answer["now"]["per_second"].as_u64() {
        Some(rate) => format!(", at most {rate} a second until what had piled up has gone"),
        None => String::new(),
    };
    session.output.line(&format!("webhooks are released{before}: {waiting} wait{rate}"))?;
    if discarded != 0 {
        let how = "`agentcron webhook replay --status suppressed` would send them";
        session.output.line(&format!("{discarded} older ones were suppressed; {how}"))?;
    }
    Ok(())
}

fn parse_rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    let rate = number.parse::<u32>().ok().filter(|rate| (1..=RELEASE_RATE_MAX).contains(rate));
    rate.ok_or_else(|| format!("expected webhooks a second, such as 5/s (1 to {RELEASE_RATE_MAX})"))
}

fn parse_age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected a duration such as 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_a_second() {
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
