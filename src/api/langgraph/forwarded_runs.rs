//! Runs with a webhook whose request is on its way to the agent server: one run, or a batch.

use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use tokio::sync::oneshot;

use super::agent_server::AgentServer;
use super::client_run_records::ClientRunRecords;
use super::gateway::Gateway;
use super::proxy;
use super::tee::{CopyUntil, data_of, first_event, tee};
use crate::api::error_response::ErrorResponse;
use crate::backend::{AgentClient, RunMark, located_run, located_thread};
use crate::crash::crash_point;
use crate::domain::cron::Mode;
use crate::domain::ids::{BackendRunId, RunId, ThreadId};
use crate::domain::run_spec::ClientRunSpec;
use crate::store::HeldRun;
use crate::transport::RelayError;

pub(super) struct ForwardedRuns {
    pub(super) gateway: Gateway,
    pub(super) kind: RequestKind,
    /// `None` if the agent server creates the threads.
    pub(super) thread_id: Option<ThreadId>,
    /// The runs to record.
    pub(super) runs: Vec<(RunId, ClientRunSpec)>,
    /// The request to forward.
    pub(super) outbound: Request,
}

/// What a request asks for, and so what its response looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Run(Mode),
    Batch,
}

/// Sends the response to the client's connection, which may be gone.
pub(super) type ResponseSender = oneshot::Sender<Result<Response, ErrorResponse>>;

/// What a response says about its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RunIds {
    run: Option<BackendRunId>,
    thread: Option<ThreadId>,
}

impl ForwardedRuns {
    /// Records the runs, sends the request, passes the response to the client, and records the result.
    pub(super) async fn forward(self, mut sender: ResponseSender) {
        let Self { gateway, kind, thread_id, runs, outbound } = self;
        let Ok(server) = gateway.agent_server().cloned() else { return };
        let api = &gateway.api;
        let runs = match api.store.insert_client_runs(api.clock.now(), runs).await {
            Ok(runs) => runs,
            Err(error) => {
                let _ = sender.send(Err(error.into()));
                return;
            }
        };
        let records = ClientRunRecords::new(api, &runs);
        crash_point("client_run_committed").await;
        let head = tokio::select! {
            head = server.send(outbound) => head,
            () = head_timeout(kind, gateway.request_timeout, &mut sender) => {
                let message = format!("the agent server did not respond within {:?}", gateway.request_timeout);
                let _ = sender.send(Err(ErrorResponse::gateway_timeout(message.clone())));
                return records.all_unconfirmed(&message).await;
            }
        };
        crash_point("client_run_answered").await;
        match head {
            Err(error) => on_no_response(&server, &records, &error, sender).await,
            Ok(response) if response.status().is_success() => match (kind, runs.as_slice()) {
                (RequestKind::Run(mode), [run]) => {
                    on_run(&server, &records, *run, mode, thread_id, response, sender).await;
                }
                (RequestKind::Run(_) | RequestKind::Batch, _) => {
                    on_batch(&records, &runs, response, sender).await;
                }
            },
            Ok(response) => on_error_status(&api.backend, &records, response, sender).await,
        }
    }
}

/// Returns once the agent server has taken too long for the head of its response. Some servers respond to `wait` only when
/// the run has ended, so there the timeout starts when the client leaves.
async fn head_timeout(kind: RequestKind, timeout: Duration, sender: &mut ResponseSender) {
    match kind {
        RequestKind::Run(Mode::Wait) => sender.closed().await,
        RequestKind::Run(Mode::Background | Mode::Stream) | RequestKind::Batch => {}
    }
    tokio::time::sleep(timeout).await;
}

async fn on_no_response(
    server: &AgentServer,
    records: &ClientRunRecords<'_>,
    error: &RelayError,
    sender: ResponseSender,
) {
    let response = server.error_response(error);
    let message = response.detail.clone();
    let _ = sender.send(Err(response));
    match error {
        RelayError::NotSent(_) => records.all_rejected(&message).await,
        RelayError::Broken(_) => records.all_unconfirmed(&message).await,
    }
}

/// Handles an error status: the agent server refused the request, or failed without saying what it has done.
async fn on_error_status(
    backend: &AgentClient,
    records: &ClientRunRecords<'_>,
    response: Response,
    sender: ResponseSender,
) {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let (body, copy) = tee(body, CopyUntil::End);
    let _ = sender.send(proxy::client_response(Response::from_parts(parts, body)));
    let error_text = backend.error_text(&copy.await.unwrap_or_default());
    let message = format!("the agent server answered {}{error_text}", status.as_u16());
    // A proxy that gave up waiting (408) may have forwarded the request.
    match status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        true => records.all_rejected(&message).await,
        false => records.all_unconfirmed(&message).await,
    }
}

/// Handles a success status: the agent server has the run. The client's first byte does not wait for our record of it.
async fn on_run(
    server: &AgentServer,
    records: &ClientRunRecords<'_>,
    run: HeldRun,
    mode: Mode,
    thread_id: Option<ThreadId>,
    response: Response,
    sender: ResponseSender,
) {
    let (parts, body) = response.into_parts();
    let mut ids = RunIds {
        run: located_run(&parts.headers),
        thread: thread_id.or_else(|| located_thread(&parts.headers)),
    };
    let until = match mode {
        Mode::Background => CopyUntil::End,
        Mode::Stream | Mode::Wait => CopyUntil::FirstEvent,
    };
    let is_in_body = match mode {
        Mode::Background => ids.run.is_none() || ids.thread.is_none(),
        Mode::Stream => ids.run.is_none(),
        Mode::Wait => false,
    };
    if is_in_body {
        let (body, copy) = tee(body, until);
        let _ = sender.send(proxy::client_response(Response::from_parts(parts, body)));
        ids = ids.or(RunIds::from_body(mode, &copy.await.unwrap_or_default()));
    } else {
        let _ = sender.send(proxy::client_response(Response::from_parts(parts, body)));
    }
    if ids.run.is_some() && ids.thread.is_none() {
        ids.thread = server.thread_of(run.run_id, records.installation_id()).await;
    }
    record(records, run, ids).await;
}

/// Handles the success of a batch: its response lists the runs, and each bears our ids in its metadata.
async fn on_batch(
    records: &ClientRunRecords<'_>,
    runs: &[HeldRun],
    response: Response,
    sender: ResponseSender,
) {
    let (parts, body) = response.into_parts();
    let (body, copy) = tee(body, CopyUntil::End);
    let _ = sender.send(proxy::client_response(Response::from_parts(parts, body)));
    let listed = listed_runs(&copy.await.unwrap_or_default());
    for run in runs {
        let is_it = |mark: &RunMark| mark.is(run.run_id, records.installation_id());
        let ids = listed.iter().find(|(mark, _)| is_it(mark)).map(|(_, ids)| *ids);
        record(records, *run, ids.unwrap_or_default()).await;
    }
}

async fn record(records: &ClientRunRecords<'_>, run: HeldRun, ids: RunIds) {
    match (ids.run, ids.thread) {
        (Some(backend_run_id), Some(thread)) => records.accepted(run, thread, backend_run_id).await,
        (Some(_), None) => {
            records.unconfirmed(run, "the response does not name its thread".to_owned()).await;
        }
        (None, _) => records.unconfirmed(run, "the response does not name its run".to_owned()).await,
    }
}

/// Returns the runs in the response to a batch, by what they bear. One that is too long to be read as a whole lists none.
fn listed_runs(body: &[u8]) -> Vec<(RunMark, RunIds)> {
    let runs: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    runs.iter().map(|run| (RunMark::of(&run["metadata"]), RunIds::of(run))).collect()
}

impl RunIds {
    /// Parses the run itself, or the `metadata` event, which is the first of a stream.
    fn from_body(mode: Mode, body: &[u8]) -> Self {
        let json: Option<Value> = match mode {
            Mode::Background => serde_json::from_slice(body).ok(),
            Mode::Stream => first_event(body).and_then(|event| serde_json::from_slice(&data_of(event)).ok()),
            Mode::Wait => None,
        };
        json.as_ref().map(Self::of).unwrap_or_default()
    }

    fn of(run: &Value) -> Self {
        Self {
            run: run["run_id"].as_str().and_then(|id| id.parse().ok()),
            thread: run["thread_id"].as_str().and_then(|id| id.parse().ok()),
        }
    }

    fn or(self, other: Self) -> Self {
        Self { run: self.run.or(other.run), thread: self.thread.or(other.thread) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_names_its_run() {
        let (run, thread) = ("0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0", "3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11");
        let both = RunIds { run: run.parse().ok(), thread: thread.parse().ok() };
        let only_run = RunIds { thread: None, ..both };
        let json = format!(r#"{{"run_id":"{run}","thread_id":"{thread}","kwargs":{{}}}}"#);
        let event =
            |end: &str| format!("event: metadata{end}data: {{\"run_id\":\"{run}\"}}{end}{end}event: values");
        for (mode, body, expected) in [
            (Mode::Background, json.as_str(), both),
            (Mode::Background, &json[..40], RunIds::default()),
            (Mode::Stream, &event("\n"), only_run),
            (Mode::Stream, &event("\r\n"), only_run),
            (Mode::Stream, ": heartbeat\n\n", RunIds::default()),
            (Mode::Stream, "event: metadata\ndata: {\"run", RunIds::default()),
            (Mode::Wait, json.as_str(), RunIds::default()),
        ] {
            assert_eq!(RunIds::from_body(mode, body.as_bytes()), expected, "{mode:?} {body}");
        }
    }
}
