//! Requests of other protocols that the agent server speaks, whose bodies have free parts. They are forwarded as they are,
//! unless they name a webhook in the way that their protocol has for it: the agent server would deliver it in our place.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use serde_json::value::RawValue;

use super::gateway::Gateway;
use super::held_body::read_body;
use super::proxy;
use super::raw_json::{Kind, each_entry, each_item};
use super::run_body::may_name_webhook;
use crate::api::error_response::ErrorResponse;
use crate::api::parsing::parse_beside;
use crate::domain::bounds::HTTP_BODY_BYTES_MAX;

/// A protocol, and how a message in it names a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
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
    let handler = async move |State(gateway): State<Gateway>, request: Request| {
        let advice = "send it with a run (`POST /threads/{thread_id}/runs`); in a message of this protocol it is not \
                      supported";
        forward_without_webhook(gateway, request, move |body| protocol.may_name_webhook(body), advice).await
    };
    any(proxy::forward).post(handler)
}

/// Forwards a request as it is, or refuses it with this advice if its body may name a webhook.
pub(super) async fn forward_without_webhook(
    gateway: Gateway,
    request: Request,
    may_name_webhook: impl FnOnce(&[u8]) -> bool + Send + 'static,
    advice: &str,
) -> Result<Response, ErrorResponse> {
    let (parts, body) = request.into_parts();
    let held = read_body(&gateway.api.held_bodies, body, HTTP_BODY_BYTES_MAX).await?;
    let body = held.bytes.clone();
    if parse_beside(body.len(), move || may_name_webhook(&body)).await? {
        return Err(ErrorResponse::invalid(format!("webhook: {advice}")));
    }
    proxy::forward(State(gateway), Request::from_parts(parts, held.into_body())).await
}

impl Protocol {
    /// Whether this body names a webhook, as far as any parser may read it.
    pub(super) fn may_name_webhook(self, body: &[u8]) -> bool {
        let mut names_it = false;
        let mut look_into = |message: &RawValue| {
            // An unreadable key may be the one.
            names_it |= self.names_webhook(message).unwrap_or(true);
        };
        let understood = match serde_json::from_slice::<&RawValue>(body) {
            Ok(messages) if messages.get().starts_with('[') => each_item(body, look_into),
            other => other.map(&mut look_into),
        };
        match (understood, self) {
            (Ok(()), _) => names_it,
            (Err(_), Protocol::ThreadCommand) => may_name_webhook(body),
            (Err(_), Protocol::AgentToAgent) => {
                may_name_webhook(body) || body.to_ascii_lowercase().windows(4).any(|word| word == b"push")
            }
        }
    }

    fn names_webhook(self, message: &RawValue) -> serde_json::Result<bool> {
        if !message.get().starts_with('{') {
            return Ok(false);
        }
        let mut names_it = false;
        each_entry(message.get().as_bytes(), |key, value| {
            names_it |= match (self, key) {
                (Protocol::ThreadCommand, "params") => any_set(value, |key| key == "webhook"),
                (Protocol::AgentToAgent, "method") => sets_push_notifications(value),
                (Protocol::AgentToAgent, "params") => {
                    any_entry(value, |key, value| key == "configuration" && any_set(value, is_push_key))
                }
                (Protocol::ThreadCommand | Protocol::AgentToAgent, _) => false,
            };
        })?;
        Ok(names_it)
    }
}

fn sets_push_notifications(method: &RawValue) -> bool {
    let method = match Kind::of(method) {
        Kind::Text(method) => method.to_ascii_lowercase(),
        Kind::UnreadableText => return true,
        Kind::Null | Kind::NumberOrBoolean | Kind::Collection => return false,
    };
    method.contains("pushnotification") && !["get", "list", "delete"].iter().any(|word| method.contains(word))
}

fn is_push_key(key: &str) -> bool {
    [
        "pushNotificationConfig",
        "push_notification_config",
        "taskPushNotificationConfig",
        "task_push_notification_config",
    ]
    .contains(&key)
}

/// Whether a key that `is_meant` has a value, in an object.
fn any_set(value: &RawValue, is_meant: impl Fn(&str) -> bool) -> bool {
    any_entry(value, |key, value| is_meant(key) && Kind::of(value) != Kind::Null)
}

/// Whether `holds` for an entry; what is no object has none.
fn any_entry(value: &RawValue, holds: impl Fn(&str, &RawValue) -> bool) -> bool {
    let mut found = false;
    match value.get().starts_with('{') {
        // An unreadable key may be the one.
        true => each_entry(value.get().as_bytes(), |key, value| found |= holds(key, value)).is_err() || found,
        false => false,
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
