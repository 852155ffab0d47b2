//! Pings of a dead man's switch: a service that is told when an occurrence starts, works or fails, and that raises the alarm if it
//! hears nothing. The form is that of healthchecks.io, <https://healthchecks.io/docs/http_api/>, which others have as well.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::backoff;
use super::cron_state::CronHealth;
use super::delivery::{DeliveryStatus, NewDelivery};
use super::ids::{DeliveryId, FIRST_RUN, RunId};
use super::run::{Outcome, Run};
use super::words::words;

words!(
    /// What a ping says.
    PingSignal {
        /// The first run of an occurrence has started.
        Start = "start",
        /// An occurrence has ended as it should.
        Success = "success",
        /// An occurrence has failed, and gets no further run.
        Fail = "fail",
    }
);

/// What tells pings from webhooks in the store and in what people see.
const PING: &str = "ping+";
/// The end of the path of a ping that something starts.
const START: &str = "/start";

/// Attempts at a ping: what comes later than that says nothing about now. That something has started is told once, because it must not
/// come after its end.
const ATTEMPTS_MAX: u32 = 4;
/// Whoever hears of it later would take it for something that is so now.
const STALE_AFTER: Duration = Duration::from_secs(600);
/// Why a ping is not sent again.
pub const TOO_LATE: &str = "later it would say nothing about now";

/// Returns the ping of an occurrence whose first run has started.
pub fn of_start(base: &str, run: &Run) -> NewDelivery {
    ping(base, PingSignal::Start, run, None)
}

/// Returns the ping of an end, or `None` if that says nothing about its cron. Then the service hears nothing, and raises the alarm.
pub fn of_end(base: &str, run: &Run, outcome: &Outcome) -> Option<NewDelivery> {
    match CronHealth::shown_by(outcome) {
        CronHealth::Works => Some(ping(base, PingSignal::Success, run, None)),
        CronHealth::Fails => Some(ping(base, PingSignal::Fail, run, Some(outcome))),
        CronHealth::Unknown => None,
    }
}

fn ping(base: &str, signal: PingSignal, run: &Run, outcome: Option<&Outcome>) -> NewDelivery {
    // Runs of one occurrence are one thing to the service.
    let of_cron = |cron_id| RunId::of_occurrence(cron_id, run.scheduled_for, FIRST_RUN);
    let occurrence = run.cron_id().map_or(run.run_id, of_cron);
    let error = outcome.and_then(|outcome| outcome.error.as_ref());
    let body = json!({
        "cron": run.cron_name(),
        "scheduled_for": run.scheduled_for.to_string(),
        "run_id": run.run_id.to_string(),
        "signal": signal.as_str(),
        "status": outcome.map(|outcome| outcome.status.as_str()),
        "error": error.map(|error| &error.error),
        "message": error.map(|error| &error.message),
    });
    NewDelivery {
        delivery_id: DeliveryId::of_ping(run.run_id, signal.as_str()),
        // No run has it as its webhook.
        run_id: None,
        url: url_of_ping(base, signal, occurrence),
        body: body.to_string().into_bytes(),
        // What it says of a run must not stay longer than the run.
        keeps_body: false,
        status: DeliveryStatus::Pending,
    }
}

/// Returns where a ping goes, with a mark that it is one.
fn url_of_ping(base: &str, signal: PingSignal, occurrence: RunId) -> String {
    let end = match signal {
        PingSignal::Start => START,
        PingSignal::Success => "",
        PingSignal::Fail => "/fail",
    };
    let (path, query) = base.split_once('?').unwrap_or((base, ""));
    let also = if query.is_empty() { "" } else { "&" };
    format!("{PING}{}{end}?{query}{also}rid={occurrence}", path.trim_end_matches('/'))
}

/// Returns the URL of a ping without its mark; `None` if it is the URL of a webhook.
pub fn target_of_ping(url: &str) -> Option<&str> {
    url.strip_prefix(PING)
}

/// Returns whether it is too late for a ping that was recorded then.
pub fn is_stale(url: &str, recorded_at: Timestamp, now: Timestamp) -> bool {
    target_of_ping(url).is_some() && backoff::after(recorded_at, STALE_AFTER) < now
}

/// Returns how many attempts a delivery to this URL may have, if that is not for its retry schedule to say.
pub fn attempts_max(url: &str) -> Option<u32> {
    let path = target_of_ping(url)?.split('?').next().unwrap_or_default();
    Some(if path.ends_with(START) { 1 } else { ATTEMPTS_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_is_the_end_of_the_path_and_the_occurrence_is_in_the_query() {
        let occurrence = RunId(uuid::Uuid::nil());
        let id = occurrence.to_string();
        for (base, signal, expected) in [
            ("https://hc-ping.com/u", PingSignal::Start, "ping+https://hc-ping.com/u/start?rid="),
            ("https://hc-ping.com/u/", PingSignal::Success, "ping+https://hc-ping.com/u?rid="),
            (
                "https://hc-ping.com/k/s?create=1",
                PingSignal::Fail,
                "ping+https://hc-ping.com/k/s/fail?create=1&rid=",
            ),
            ("${{ env.PING }}", PingSignal::Start, "ping+${{ env.PING }}/start?rid="),
        ] {
            let url = url_of_ping(base, signal, occurrence);
            assert_eq!(url, format!("{expected}{id}"));
            let attempts = if signal == PingSignal::Start { 1 } else { ATTEMPTS_MAX };
            assert_eq!(attempts_max(&url), Some(attempts), "{url}");
        }
        assert_eq!(attempts_max("https://a.example/start?rid=1"), None);
    }
}
