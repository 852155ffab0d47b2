//! Notifications in the forms that Slack, PagerDuty and ntfy read, and as e-mail.

use std::time::Duration;

use jiff::Timestamp;
use lettre::message::{Mailbox, MessageBuilder};
use serde_json::{Value, json};

use super::request::{MessageRequest, OutboundWebhook};
use super::smtp::Mail;
use crate::config::{Destination, EmailDestination, Secret};
use crate::domain::delivery::{AttemptResult, Ending};
use crate::domain::notification::{Notification, NotificationData};
use crate::domain::template;

/// The most characters of the texts of a header and of a section in Slack:
/// <https://docs.slack.dev/reference/block-kit/blocks/header-block> and `section-block`.
const SLACK_HEADER_CHARS_MAX: usize = 150;
const SLACK_SECTION_CHARS_MAX: usize = 3000;
/// The most characters of a summary, <https://developer.pagerduty.com/api-reference/368ae3d938c9e-send-an-event-to-pager-duty>.
const PAGERDUTY_SUMMARY_CHARS_MAX: usize = 1024;
/// A longer message of ntfy becomes an attachment, <https://docs.ntfy.sh/config/#message-limits>.
const NTFY_BYTES_MAX: usize = 4096;

/// A notification as it is sent.
pub(super) enum Message {
    /// By Standard Webhooks.
    Webhook(OutboundWebhook),
    Request(MessageRequest),
    Mail(Box<Mail>),
}

/// Returns what is sent there of a notification that was recorded.
pub(super) fn message(to: &Destination, recorded: OutboundWebhook) -> Result<Message, AttemptResult> {
    if let Destination::Ping { url, .. } = to {
        let body = recorded.body;
        return Ok(Message::Request(MessageRequest {
            url: url.clone(),
            body,
            token: None,
            secrets: Vec::new(),
        }));
    }
    let Some(notification) = Notification::of_json(&recorded.body) else {
        let detail =
            "another version of agentcron recorded it in a form that this one does not know".to_owned();
        return Err(AttemptResult::Final { ending: Ending::Blocked, code: None, detail });
    };
    let request = |url: &Secret, body: Value, secrets: &[&Secret]| {
        let secrets = secrets.iter().map(|secret| (*secret).clone()).collect();
        Message::Request(MessageRequest {
            url: url.clone(),
            body: body.to_string().into_bytes(),
            token: None,
            secrets,
        })
    };
    Ok(match to {
        Destination::Webhook { url } | Destination::Ping { url, .. } => {
            Message::Webhook(OutboundWebhook { url: template::escaped(url.expose()), ..recorded })
        }
        Destination::Slack { url } => request(url, slack(&notification.data), &[]),
        Destination::PagerDuty { url, routing_key } => {
            request(url, pagerduty(&notification, routing_key.expose()), &[routing_key])
        }
        Destination::Ntfy { url, topic, token } => {
            let message = request(url, ntfy(&notification.data, topic.expose()), &[topic]);
            match message {
                Message::Request(request) => {
                    let secrets = request.secrets.into_iter().chain(token.clone()).collect();
                    Message::Request(MessageRequest { token: token.clone(), secrets, ..request })
                }
                other => other,
            }
        }
        Destination::Email(email) => {
            Message::Mail(Box::new(mail(&notification, email, &recorded.webhook_id)?))
        }
    })
}

/// Returns a message with what <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> demands: `text`.
fn slack(data: &NotificationData) -> Value {
    let plain = |text: &str, max: usize| json!({ "type": "plain_text", "text": slack_text(text, max), "emoji": true });
    let title = format!("{} {}", mark(data), data.title);
    json!({
        "text": slack_text(&title, SLACK_SECTION_CHARS_MAX),
        "blocks": [
            { "type": "header", "text": plain(&title, SLACK_HEADER_CHARS_MAX) },
            { "type": "section", "text": plain(&lines(data), SLACK_SECTION_CHARS_MAX) },
        ],
    })
}

/// Escapes what Slack interprets, <https://docs.slack.dev/messaging/formatting-message-text#escaping>: no name may mention a
/// channel or show a link as another one.
fn slack_text(text: &str, chars_max: usize) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        let next = match char {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            other => other.to_string(),
        };
        if escaped.chars().count() + next.len() >= chars_max {
            escaped.push('…');
            break;
        }
        escaped.push_str(&next);
    }
    escaped
}

/// Returns an event of PagerDuty's Events API v2: `routing_key`, `event_action`, `dedup_key` and, of a trigger, `payload` with
/// `summary`, `source` and `severity`.
fn pagerduty(notification: &Notification, routing_key: &str) -> Value {
    let data = &notification.data;
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": if data.ended { "resolve" } else { "trigger" },
        "dedup_key": format!("agentcron/{}", data.incident),
    });
    if !data.ended {
        event["client"] = json!("agentcron");
        event["payload"] = json!({
            "summary": cut(&data.title, PAGERDUTY_SUMMARY_CHARS_MAX),
            "source": if data.host.is_empty() { "agentcron" } else { &data.host },
            "severity": data.severity,
            "timestamp": notification.timestamp,
            "component": "agentcron",
            "class": data.kind,
            "custom_details": { "text": lines(data), "items": data.items, "more": data.more },
        });
    }
    event
}

/// Returns a message of ntfy as JSON, which needs `topic`: <https://docs.ntfy.sh/publish/#publish-as-json>.
fn ntfy(data: &NotificationData, topic: &str) -> Value {
    let (priority, tag) = match data.severity.as_str() {
        "critical" => (5, "rotating_light"),
        "error" => (4, "x"),
        "warning" => (3, "warning"),
        _ => (3, "white_check_mark"),
    };
    let mut message = lines(data);
    while message.len() > NTFY_BYTES_MAX - "…".len() {
        message.pop();
    }
    json!({
        "topic": topic,
        "title": data.title,
        "message": message,
        "priority": priority,
        "tags": [tag],
    })
}

/// Returns an e-mail. Its Message-ID is that of the notification, so that a double is known as one, and what ends refers to what
/// began, so that both are in one thread.
fn mail(
    notification: &Notification,
    email: &EmailDestination,
    webhook_id: &str,
) -> Result<Mail, AttemptResult> {
    let data = &notification.data;
    let unusable = |detail: String| AttemptResult::Final { ending: Ending::Blocked, code: None, detail };
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| unusable(error.to_string()));
    let at: Timestamp = notification.timestamp.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let since_epoch: Duration = at.duration_since(Timestamp::UNIX_EPOCH).try_into().unwrap_or_default();
    let mut builder = MessageBuilder::new()
        .from(mailbox(&email.from)?)
        .subject(format!("[agentcron] {}", data.title))
        .message_id(Some(format!("<{webhook_id}@agentcron.invalid>")))
        .references(format!("<{}@agentcron.invalid>", data.incident))
        .date(std::time::SystemTime::UNIX_EPOCH + since_epoch);
    for to in &email.to {
        builder = builder.to(mailbox(to)?);
    }
    let text = format!("{}\n\n{}\n\n-- \nagentcron on {}\n", data.title, lines(data), data.host);
    let message = builder.body(text).map_err(|error| unusable(error.to_string()))?;
    Ok(Mail { message, to: email.clone() })
}

/// Returns a line for each thing.
fn lines(data: &NotificationData) -> String {
    let mut lines: Vec<String> =
        data.items.iter().map(|item| format!("{}: {}", item.name, item.text)).collect();
    lines.extend((data.more > 0).then(|| format!("and {} more", data.more)));
    if lines.is_empty() {
        lines.push(data.title.clone());
    }
    lines.join("\n")
}

fn mark(data: &NotificationData) -> &'static str {
    match data.severity.as_str() {
        "critical" => ":rotating_light:",
        "error" => ":x:",
        "warning" => ":warning:",
        _ => ":white_check_mark:",
    }
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
