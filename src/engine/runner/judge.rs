//! Judges how a run ended by what the agent server reports of it. The function is pure, so that the table in
//! its test can be read as the rule.

use std::time::Duration;

use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::Status;

/// The end of a run, as far as it decides the status.
pub(super) struct BackendEnd<'a> {
    /// The status, as the server names it.
    pub(super) status: &'a str,
    /// Where the graph stopped, if it did.
    pub(super) pause: Option<Pause>,
    /// Whether an error is recorded that says who stopped the run.
    pub(super) is_explained: bool,
    /// How the run ends if the server stopped it because we cancelled it; `None` if we did not.
    pub(super) cancelled: Option<(Status, Reason)>,
    /// The cron's `timeout`, if the run went on for longer.
    pub(super) overran: Option<Duration>,
}

/// Where a graph stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// In a node, which asks a human.
    Question,
    /// Before or after a node, without a question.
    Breakpoint,
}

/// Returns the status that is recorded, and why; no reason is needed for a success in time.
pub(super) fn judge(end: BackendEnd<'_>) -> (Status, Option<Reason>) {
    let overran = end.overran;
    let (status, reason) = judge_status(end);
    match overran {
        Some(timeout) if is_own_end(reason.as_ref()) => {
            let timeout = humantime::format_duration(timeout);
            let late = format!("it ended after its timeout of {timeout}, before it could be cancelled");
            let message = match reason.and_then(|reason| reason.message) {
                Some(message) => format!("{message}; {late}"),
                None => late,
            };
            (status, Some(Reason::new(ReasonCode::AfterTimeout, message)))
        }
        Some(_) | None => (status, reason),
    }
}

/// Whether a run that ended for this reason ended by itself, as far as we are concerned.
fn is_own_end(reason: Option<&Reason>) -> bool {
    reason.is_none_or(|reason| {
        [ReasonCode::GraphError, ReasonCode::HumanInput, ReasonCode::BackendInterrupted]
            .contains(&reason.code)
    })
}

fn judge_status(end: BackendEnd<'_>) -> (Status, Option<Reason>) {
    let (status, reason) = match end.status {
        "success" => {
            let message = match end.pause {
                // It ended before our cancellation reached it.
                None => return (Status::Success, None),
                Some(Pause::Question) => "the graph stopped at an interrupt and waits for a human",
                Some(Pause::Breakpoint) => "the graph stopped at a breakpoint and waits to be resumed",
            };
            (Status::Interrupted, Reason::new(ReasonCode::HumanInput, message))
        }
        "error" => end.cancelled.unwrap_or((Status::Error, Reason::bare(ReasonCode::GraphError))),
        "timeout" => {
            let message = "it ran longer than the agent server allows";
            (Status::Timeout, Reason::new(ReasonCode::BackendTimeout, message))
        }
        "interrupted" => end.cancelled.unwrap_or_else(|| {
            let message = match end.is_explained {
                true => "interrupted on the agent server",
                false => "interrupted on the agent server: cancelled there, or another run took its thread",
            };
            (Status::Interrupted, Reason::new(ReasonCode::BackendInterrupted, message))
        }),
        other => {
            let message =
                format!("the agent server reports the status `{other}`, which agentcron does not know");
            (Status::Error, Reason::new(ReasonCode::Unknown, message))
        }
    };
    (status, Some(reason))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::domain::run::CancelCause;

    #[test]
    fn how_a_run_ended_by_the_servers_status_its_thread_and_our_cancellation() {
        let cancellations = [None, Some(CancelCause::Timeout), Some(CancelCause::Request)];
        let mut table = String::new();
        for status in ["success", "error", "timeout", "interrupted", "paused"] {
            for pause in [None, Some(Pause::Question), Some(Pause::Breakpoint)] {
                for cause in cancellations {
                    let cancelled = cause.map(|cause| (cause.status(), Reason::bare(cause.reason_code())));
                    let overran = (cause == Some(CancelCause::Timeout)).then_some(Duration::from_secs(15));
                    let (judged, reason) =
                        judge(BackendEnd { status, pause, is_explained: false, cancelled, overran });
                    let thread = pause.map_or("-".to_owned(), |pause| format!("{pause:?}"));
                    let cause = cause.map_or("-", CancelCause::as_str);
                    let code = reason.map_or("-", |reason| reason.code.as_str());
                    table.push_str(&format!("{status:11} {thread:10} cancel {cause:7} -> {judged} {code}\n"));
                }
            }
        }
        expect![[r#"
            success     -          cancel -       -> success -
            success     -          cancel timeout -> success after_timeout
            success     -          cancel request -> success -
            success     Question   cancel -       -> interrupted human_input
            success     Question   cancel timeout -> interrupted after_timeout
            success     Question   cancel request -> interrupted human_input
            success     Breakpoint cancel -       -> interrupted human_input
            success     Breakpoint cancel timeout -> interrupted after_timeout
            success     Breakpoint cancel request -> interrupted human_input
            error       -          cancel -       -> error graph_error
            error       -          cancel timeout -> timeout timeout
            error       -          cancel request -> cancelled cancel_request
            error       Question   cancel -       -> error graph_error
            error       Question   cancel timeout -> timeout timeout
            error       Question   cancel request -> cancelled cancel_request
            error       Breakpoint cancel -       -> error graph_error
            error       Breakpoint cancel timeout -> timeout timeout
            error       Breakpoint cancel request -> cancelled cancel_request
            timeout     -          cancel -       -> timeout backend_timeout
            timeout     -          cancel timeout -> timeout backend_timeout
            timeout     -          cancel request -> timeout backend_timeout
            timeout     Question   cancel -       -> timeout backend_timeout
            timeout     Question   cancel timeout -> timeout backend_timeout
            timeout     Question   cancel request -> timeout backend_timeout
            timeout     Breakpoint cancel -       -> timeout backend_timeout
            timeout     Breakpoint cancel timeout -> timeout backend_timeout
            timeout     Breakpoint cancel request -> timeout backend_timeout
            interrupted -          cancel -       -> interrupted backend_interrupted
            interrupted -          cancel timeout -> timeout timeout
            interrupted -          cancel request -> cancelled cancel_request
            interrupted Question   cancel -       -> interrupted backend_interrupted
            interrupted Question   cancel timeout -> timeout timeout
            interrupted Question   cancel request -> cancelled cancel_request
            interrupted Breakpoint cancel -       -> interrupted backend_interrupted
            interrupted Breakpoint cancel timeout -> timeout timeout
            interrupted Breakpoint cancel request -> cancelled cancel_request
            paused      -          cancel -       -> error unknown
            paused      -          cancel timeout -> error unknown
            paused      -          cancel request -> error unknown
            paused      Question   cancel -       -> error unknown
            paused      Question   cancel timeout -> error unknown
            paused      Question   cancel request -> error unknown
            paused      Breakpoint cancel -       -> error unknown
            paused      Breakpoint cancel timeout -> error unknown
            paused      Breakpoint cancel request -> error unknown
        "#]]
        .assert_eq(&table);
    }
}
