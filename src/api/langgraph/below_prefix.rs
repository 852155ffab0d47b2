//! Requests at paths that are none of ours. An agent server may have its routes below a prefix (`http.mount_prefix`) that
//! `backend.url` does not have: a run with a webhook that is asked for there is refused, since the agent server would deliver
//! the webhook in our place.

use axum::extract::{Request, State};
use axum::response::Response;

use super::free_form::{Protocol, forward_without_webhook};
use super::gateway::Gateway;
use super::proxy;
use super::run_body::{Batch, RunBody, ThreadOrigin};
use crate::api::admission::intent_of;
use crate::api::error_response::ErrorResponse;
use crate::domain::access::Intent;
use crate::domain::ids::RunId;

/// Returns whether a body may name a webhook, as one route reads it.
type MayNameWebhook = fn(&[u8]) -> bool;

/// Forwards a request, unless a route of ours ends its path and reads a webhook in its body.
pub(super) async fn forward(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let routes = routes_at_end(request.uri().path());
    if routes.is_empty() || intent_of(request.method()) == Intent::See {
        return proxy::forward(State(gateway), request).await;
    }
    let advice = "at this path it would not be ours to deliver; if the agent server has a prefix (http.mount_prefix), end \
                  backend.url with that prefix and leave it out of the paths of requests";
    let may_name_webhook = move |body: &[u8]| routes.iter().any(|route| route(body));
    forward_without_webhook(gateway, request, may_name_webhook, advice).await
}

/// Returns the routes of ours that the end of a path may be, below whatever comes before.
fn routes_at_end(path: &str) -> Vec<MayNameWebhook> {
    // The agent server unescapes slashes before it routes.
    let path = path.replace("%2F", "/").replace("%2f", "/");
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let run: MayNameWebhook = |body| !matches!(RunBody::parse(body, ThreadOrigin::Path), Ok(None));
    let batch: MayNameWebhook = |body| !matches!(Batch::parse(body, RunId::default), Ok(None));
    let mut routes = Vec::new();
    match segments.as_slice() {
        [.., "runs"] | [.., "runs", "stream" | "wait"] => routes.push(run),
        [.., "runs", "batch"] => routes.push(batch),
        [.., "threads", _, "commands"] => routes.push(|body| Protocol::ThreadCommand.may_name_webhook(body)),
        _ if segments.windows(2).any(|two| two == ["runs", "crons"]) => routes.push(run),
        _ => {}
    }
    // The name of an assistant may be any word.
    if let [.., "a2a", _] = segments.as_slice() {
        routes.push(|body| Protocol::AgentToAgent.may_name_webhook(body));
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_found_at_every_route_of_ours_below_a_prefix() {
        let run = r#"{"assistant_id":"agent","webhook":"https://a.example"}"#;
        let command = r#"{"method":"run.start","params":{"webhook":"https://a.example"}}"#;
        let push = r#"{"method":"tasks/pushNotificationConfig/set","params":{}}"#;
        let batch = format!("[{run}]");
        for (path, body, is_found) in [
            ("/api/runs", run, true),
            ("/api/runs/", run, true),
            ("/a/b/runs/wait", run, true),
            ("/api%2Fruns%2fstream", run, true),
            ("/api/runs/batch", &batch, true),
            ("/api/runs/crons", run, true),
            ("/api/runs/crons/x", run, true),
            ("/api/threads/t/runs", run, true),
            ("/api/threads/t/runs/wait", run, true),
            ("/api/threads/t/runs/crons", run, true),
            ("/api/threads/t/commands", command, true),
            ("/api/a2a/agent", push, true),
            ("/api/a2a/agent/", push, true),
            ("/api/a2a/runs", push, true),
            ("/api/a2a/runs", run, true),
            ("/api/runs", r#"{"runs":[],"input":{"webhook":"x"}}"#, false),
            ("/api/runs", "name=a&value=b", false),
            ("/api/runs/batch", "[{}]", false),
            ("/api/threads/t/commands", run, false),
            ("/api/a2a/agent", run, false),
            ("/api/dry-runs", run, false),
            ("/api/runs/7/cancel", run, false),
            ("/webhooks", run, false),
            ("/", run, false),
        ] {
            let found = routes_at_end(path).iter().any(|route| route(body.as_bytes()));
            assert_eq!(found, is_found, "{path} {body}");
        }
    }
}
