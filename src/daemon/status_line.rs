//! Tells the service manager in one line what the daemon does and what is wrong, whenever that changes.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::bounds::{STATUS_LINE_CRONS, STATUS_LINE_EVERY};
use crate::domain::outage::Outage;
use crate::engine::Health;
use crate::present::{counted, times};
use crate::pulse::Pulse;
use crate::store::{CronsAtAGlance, Store, StoreError};

/// Shows the line until it is stopped. Everything in it changes with a commit.
pub(super) async fn run(
    store: Store,
    clock: Clock,
    health: Health,
    show: fn(&str),
    pulse: Pulse,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut shown = String::new();
    let updates = async {
        loop {
            pulse.idle();
            tokio::time::sleep(STATUS_LINE_EVERY).await;
            pulse.busy();
            let next = health.next_wake.next_cron();
            let next = next.as_ref().map(|(at, name)| (*at, name.as_str()));
            let away: Vec<String> = health.outages.lasting().iter().map(Outage::called).collect();
            let glance = store.crons_at_a_glance().await?;
            let text = status_line(&glance, next, &away, clock.now(), &TimeZone::system());
            if text != shown {
                show(&text);
                shown = text;
            }
            pulse.idle();
            store.next_commit().await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        failed = updates => failed,
    }
}

/// Returns `5 crons, next inbox 11:40, failing: health-check`. `next` is the next instant with the name of its cron.
fn status_line(
    glance: &CronsAtAGlance,
    next: Option<(Timestamp, &str)>,
    away: &[String],
    now: Timestamp,
    zone: &TimeZone,
) -> String {
    let mut line = counted(glance.crons, "cron");
    if let Some((at, name)) = next {
        line += &format!(", next {} {}", name, times::short(at, now, zone));
    }
    if let Some(first) = away.first() {
        let more = if away.len() > 1 { format!(" and {} more", away.len() - 1) } else { String::new() };
        line += &format!(", away: {first}{more}");
    }
    if glance.mistakes > 0 {
        line += &format!(", {} in the configuration", counted(glance.mistakes, "mistake"));
    }
    if glance.failing > 0 {
        line += &format!(", failing: {}", glance.worst);
    }
    let more = glance.failing.saturating_sub(STATUS_LINE_CRONS);
    if more > 0 { format!("{line} and {more} more") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_comes_and_what_is_wrong() {
        let now: Timestamp = "2026-11-26T09:00:00Z".parse().unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let line = |glance: &CronsAtAGlance, next: Option<(&str, &str)>, away: &[String]| {
            let next = next.map(|(at, name)| (at.parse().unwrap(), name));
            status_line(glance, next, away, now, &berlin)
        };
        let well = CronsAtAGlance { crons: 5, failing: 0, worst: String::new(), mistakes: 0 };
        assert_eq!(line(&well, Some(("2026-11-26T10:40:00Z", "inbox")), &[]), "5 crons, next inbox 11:40");
        assert_eq!(
            line(&well, Some(("2026-11-26T23:00:00Z", "inbox")), &[]),
            "5 crons, next inbox Fri 2026-11-27 00:00"
        );
        let worst = "health-check, b, c".to_owned();
        let ill = CronsAtAGlance { crons: 1, failing: 5, worst, mistakes: 2 };
        assert_eq!(
            line(
                &ill,
                Some(("2026-11-26T10:40:05Z", "inbox")),
                &["agent server".to_owned(), "receiver https://a.example".to_owned()]
            ),
            "1 cron, next inbox 11:40:05, away: agent server and 1 more, 2 mistakes in the configuration, failing: \
             health-check, b, c and 2 more"
        );
    }
}
