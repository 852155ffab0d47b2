//! Requests of other protocols that the agent server speaks, whose bodies have free parts. They are forwarded as they are,
//! unless they name a webhook in the way that their protocol has for it: the agent server would deliver it in our place.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use serde_json::Value;

use super::gateway::Gateway;
use super::held_body::read_body;
use super::proxy;
use super::run_body::may_name_webhook;
use crate::api::error_response::ErrorResponse;

/// A protocol, and how a message in it names a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// Commands on a thread: `params` are those of a run.
    ThreadCommand,
    /// Agent2Agent, JSON-RPC: push notifications, which are set by a method of their own or with a message.
    AgentToAgent,
}

/// Returns the routes; requests with other methods are forwarded.
pub(super) fn router() -> Router<Gateway> {
    Router::new()
        .route("/threads/{thread_id}/commands", checked(Protocol::ThreadCommand))
        .route("/a2a/{assistant_id}", checked(Protocol::AgentToAgent))
        .route("/a2a/{assistant_id}/", checked(Protocol::AgentToAgent))
}

fn checked(protocol: Protocol) -> MethodRouter<Gateway> {
    let handler = async move |State(gateway): State<Gateway>,
                              request: Request|
                -> Result<Response, ErrorResponse> {
        let (parts, body) = request.into_parts();
        let (body, _held) = read_body(&gateway, body).await?;
        if protocol.may_name_webhook(&body) {
            let message = "webhook: send it with a run (`POST /threads/{thread_id}/runs`); in a message of this \
                           protocol it is not supported";
            return Err(ErrorResponse::Invalid(message.to_owned()));
        }
        proxy::forward(State(gateway), Request::from_parts(parts, Body::from(body))).await
    };
    any(proxy::forward).post(handler)
}

impl Protocol {
    /// Whether this body names a webhook, as far as any parser may read it.
    fn may_name_webhook(self, body: &[u8]) -> bool {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Array(messages)) => messages.iter().any(|message| self.names_webhook(message)),
            Ok(message) => self.names_webhook(&message),
            Err(_) => match self {
                Protocol::ThreadCommand => may_name_webhook(body),
                Protocol::AgentToAgent => {
                    may_name_webhook(body) || body.to_ascii_lowercase().windows(4).any(|word| word == b"push")
                }
            },
        }
    }

    fn names_webhook(self, message: &Value) -> bool {
        let is_set = |value: &Value| !value.is_null();
        let params = &message["params"];
        match self {
            Protocol::ThreadCommand => is_set(&params["webhook"]),
            Protocol::AgentToAgent => {
                let method = message["method"].as_str().unwrap_or_default().to_ascii_lowercase();
                let is_push = method.contains("pushnotification");
                let sets = is_push && !["get", "list", "delete"].iter().any(|word| method.contains(word));
                let keys = [
                    "pushNotificationConfig",
                    "push_notification_config",
                    "taskPushNotificationConfig",
                    "task_push_notification_config",
                ];
                sets || keys.iter().any(|key| is_set(&params["configuration"][*key]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_a_webhook_only_in_its_protocols_own_way() {
        for (protocol, body, expected) in [
            (
                Protocol::ThreadCommand,
                r#"{"method":"run.start","params":{"webhook":"https://a.example"}}"#,
                true,
            ),
            (Protocol::ThreadCommand, r#"{"method":"run.start","params":{"\u0077ebhook":"x"}}"#, true),
            (Protocol::ThreadCommand, r#"[{"params":{}},{"params":{"webhook":"x"}}]"#, true),
            (Protocol::ThreadCommand, r#"{"params":{"webhook":"x"}} trailing"#, true),
            (Protocol::ThreadCommand, r#"{"method":"run.start","params":{"webhook":null}}"#, false),
            (Protocol::ThreadCommand, r#"{"method":"run.start","params":{"input":{"webhook":"x"}}}"#, false),
            (Protocol::ThreadCommand, "nonsense", false),
            (Protocol::AgentToAgent, r#"{"method":"tasks/pushNotificationConfig/set","params":{}}"#, true),
            (Protocol::AgentToAgent, r#"{"method":"CreateTaskPushNotificationConfig"}"#, true),
            (Protocol::AgentToAgent, r#"{"method":"tasks/pushNotificationConfig/get"}"#, false),
            (
                Protocol::AgentToAgent,
                r#"{"method":"message/send","params":{"configuration":{"pushNotificationConfig":{"url":"x"}}}}"#,
                true,
            ),
            (
                Protocol::AgentToAgent,
                r#"{"method":"message/send","params":{"message":{"parts":[{"kind":"data","data":{"webhook":"x","pushNotificationConfig":1}}]}}}"#,
                false,
            ),
            (Protocol::AgentToAgent, r#"{"method":"message/send",,"Push"}"#, true),
        ] {
            assert_eq!(protocol.may_name_webhook(body.as_bytes()), expected, "{protocol:?} {body}");
        }
    }
}
