//! Judges how a run ended by what the agent server reports of it. The function is pure, so that the table in
//! its test can be read as the rule.

use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::run::Status;

/// The end of a run, as far as it decides the status.
pub(super) struct BackendEnd<'a> {
    /// The status, as the server names it.
    pub(super) status: &'a str,
    /// Whether the thread shows that the graph stopped at an interrupt.
    pub(super) interrupted: bool,
    /// How the run ends if the server stopped it because we cancelled it; `None` if we did not.
    pub(super) cancelled: Option<(Status, Reason)>,
}

/// Returns the status that is recorded, and why; no reason is needed for a success.
pub(super) fn judge(end: BackendEnd<'_>) -> (Status, Option<Reason>) {
    let (status, reason) = match end.status {
        "success" if end.interrupted => {
            let message = "the graph stopped at an interrupt and waits for a human";
            (Status::Interrupted, Reason::new(ReasonCode::HumanInput, message))
        }
        // It ended before our cancellation reached it.
        "success" => return (Status::Success, None),
        "error" => end.cancelled.unwrap_or((Status::Error, Reason::bare(ReasonCode::GraphError))),
        "timeout" => {
            let message = "it ran longer than the agent server allows";
            (Status::Timeout, Reason::new(ReasonCode::BackendTimeout, message))
        }
        "interrupted" => end.cancelled.unwrap_or_else(|| {
            let message = "interrupted on the agent server: cancelled there, or another run took its thread";
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
            for interrupted in [false, true] {
                for cause in cancellations {
                    let cancelled = cause.map(|cause| (cause.status(), Reason::bare(cause.reason_code())));
                    let (judged, reason) = judge(BackendEnd { status, interrupted, cancelled });
                    let thread = if interrupted { "interrupt" } else { "-" };
                    let cause = cause.map_or("-", CancelCause::as_str);
                    let code = reason.map_or("-", |reason| reason.code.as_str());
                    table.push_str(&format!("{status:11} {thread:9} cancel {cause:7} -> {judged} {code}\n"));
                }
            }
        }
        expect![[r#"
            success     -         cancel -       -> success -
            success     -         cancel timeout -> success -
            success     -         cancel request -> success -
            success     interrupt cancel -       -> interrupted human_input
            success     interrupt cancel timeout -> interrupted human_input
            success     interrupt cancel request -> interrupted human_input
            error       -         cancel -       -> error graph_error
            error       -         cancel timeout -> timeout timeout
            error       -         cancel request -> cancelled cancel_request
            error       interrupt cancel -       -> error graph_error
            error       interrupt cancel timeout -> timeout timeout
            error       interrupt cancel request -> cancelled cancel_request
            timeout     -         cancel -       -> timeout backend_timeout
            timeout     -         cancel timeout -> timeout backend_timeout
            timeout     -         cancel request -> timeout backend_timeout
            timeout     interrupt cancel -       -> timeout backend_timeout
            timeout     interrupt cancel timeout -> timeout backend_timeout
            timeout     interrupt cancel request -> timeout backend_timeout
            interrupted -         cancel -       -> interrupted backend_interrupted
            interrupted -         cancel timeout -> timeout timeout
            interrupted -         cancel request -> cancelled cancel_request
            interrupted interrupt cancel -       -> interrupted backend_interrupted
            interrupted interrupt cancel timeout -> timeout timeout
            interrupted interrupt cancel request -> cancelled cancel_request
            paused      -         cancel -       -> error unknown
            paused      -         cancel timeout -> error unknown
            paused      -         cancel request -> error unknown
            paused      interrupt cancel -       -> error unknown
            paused      interrupt cancel timeout -> error unknown
            paused      interrupt cancel request -> error unknown
        "#]]
        .assert_eq(&table);
    }
}
