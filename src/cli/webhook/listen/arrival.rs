//! One request that has arrived, as text and as JSON.

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::terminal::{Failure, Session, TextStyle, printable};
use crate::domain::printable::blanked;
use crate::domain::run::Status;
use crate::domain::signing::SignatureVerdict;
use crate::present::{Tone, runs, times};
use crate::webhook::redacted;

/// How much of a text within the values is shown.
const TEXT_CHARS: usize = 60;
/// How many entries of an object are shown.
const ENTRIES: usize = 4;
/// How many levels of nested lists and objects are shown.
const LEVELS: usize = 3;
/// How much of a stranger's word, such as the name of a cron, is shown.
const WORD_CHARS: usize = 80;
/// The first characters of a run id that distinguish runs in practice.
const ID_CHARS_SHOWN: usize = 8;

/// How much of the body is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyDetail {
    /// The values in one line.
    Summary,
    Whole,
}

/// A request that has arrived, and what was done about it.
pub(super) struct Arrival {
    /// When all of it was there.
    pub(super) at: Timestamp,
    pub(super) method: String,
    /// Path and query. The query may contain a token.
    pub(super) path: String,
    /// Empty if there is none.
    pub(super) webhook_id: String,
    /// How often this webhook has arrived so far.
    pub(super) number: u32,
    pub(super) signature: SignatureVerdict,
    /// What the receiver does, as a verb phrase.
    pub(super) answer: String,
    pub(super) body: Bytes,
}

/// What the body says, as far as it is the body of a webhook of ours.
struct WebhookFields {
    cron_name: Option<String>,
    status: Option<String>,
    run_id: Option<String>,
    ended_at: Option<Timestamp>,
    error: Option<String>,
    /// Whether it is a sample of `webhook test` or `webhook doctor --send`.
    is_test: bool,
}

impl Arrival {
    pub(super) fn is_repeat(&self) -> bool {
        self.number > 1 && !self.webhook_id.is_empty()
    }

    pub(super) fn print(&self, detail: BodyDetail, session: &mut Session) -> Result<(), Failure> {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let fields = WebhookFields::read(body.as_ref());
        if session.output.is_json() {
            session.output.json(&self.to_json(&fields, body, detail))?;
        } else {
            self.print_lines(&fields, body.as_ref(), detail, session)?;
        }
        Ok(session.output.flush()?)
    }

    fn to_json(&self, fields: &WebhookFields, body: Option<Value>, detail: BodyDetail) -> Value {
        let after_end = fields.ended_at.map(|ended_at| self.at.duration_since(ended_at).as_millis());
        let values = body.as_ref().and_then(|body| body.get("values")).map(summary);
        let mut object = json!({
            "at": self.at.to_string(),
            "method": self.method,
            "path": redacted(&self.path),
            "webhook_id": (!self.webhook_id.is_empty()).then_some(&self.webhook_id),
            "arrivals": self.number,
            "signature": self.signature.as_str(),
            "cron_name": fields.cron_name,
            "status": fields.status,
            "run_id": fields.run_id,
            "ended_at": fields.ended_at.map(|at| at.to_string()),
            "after_end_ms": after_end,
            "error": fields.error,
            "test": fields.is_test,
            "values": values,
            "bytes": self.body.len(),
            "answer": self.answer,
        });
        if detail == BodyDetail::Whole {
            object["body"] = body.unwrap_or_else(|| json!(String::from_utf8_lossy(&self.body)));
        }
        object
    }

    fn print_lines(
        &self,
        fields: &WebhookFields,
        body: Option<&Value>,
        detail: BodyDetail,
        session: &mut Session,
    ) -> Result<(), Failure> {
        let clock = times::time_of_day(self.at, &session.zone);
        let mut parts = vec![session.output.paint(TextStyle::Dim, &clock)];
        match (&fields.status, &fields.cron_name) {
            (None, None) => parts.push(format!("{} bytes, not the webhook of a run", self.body.len())),
            (status, cron_name) => {
                let status = status.as_deref().map(word).unwrap_or_default();
                parts.push(session.output.paint(status_style(&status), &status));
                parts.extend(cron_name.as_deref().map(word));
                parts.extend(fields.is_test.then(|| "(sample)".to_owned()));
            }
        }
        parts.extend(fields.run_id.as_deref().map(|id| format!("run {}", shortened(id, ID_CHARS_SHOWN))));
        parts.extend(fields.ended_at.map(|ended_at| {
            let after = self.at.duration_since(ended_at);
            format!("{} after the run ended", times::took(after))
        }));
        parts.push(session.output.paint(self.signature_style(), &self.signature_text()));
        if self.is_repeat() {
            parts.push(session.output.paint(Tone::Attention, &format!("repeated (×{})", self.number)));
        }
        session.output.line(&parts.join("  "))?;
        let id = if self.webhook_id.is_empty() { "no webhook-id".to_owned() } else { word(&self.webhook_id) };
        let request = format!("{} {}", word(&self.method), word(&redacted(&self.path)));
        session.output.line(&indented(&format!("{id}  {request}  {}", self.answer)))?;
        if let Some(error) = &fields.error {
            let error = session.output.paint(Tone::Bad, &shortened(error, 2 * WORD_CHARS));
            session.output.line(&indented(&format!("error {error}")))?;
        }
        match detail {
            BodyDetail::Whole => {
                let whole = body.and_then(|body| serde_json::to_string_pretty(body).ok());
                let whole = whole.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
                printable(&whole).lines().try_for_each(|line| session.output.line(&indented(line)))?;
            }
            BodyDetail::Summary => {
                let values = body.and_then(|body| body.get("values"));
                values.map_or(Ok(()), |values| {
                    session.output.line(&indented(&format!("values {}", summary(values))))
                })?;
            }
        }
        Ok(())
    }

    fn signature_text(&self) -> String {
        match self.signature {
            SignatureVerdict::Missing => "not signed".to_owned(),
            SignatureVerdict::Good
            | SignatureVerdict::Wrong
            | SignatureVerdict::Stale
            | SignatureVerdict::Unchecked => format!("signature {}", self.signature),
        }
    }

    fn signature_style(&self) -> TextStyle {
        match self.signature {
            SignatureVerdict::Good => Tone::Good.into(),
            SignatureVerdict::Wrong => Tone::Bad.into(),
            SignatureVerdict::Stale | SignatureVerdict::Missing => Tone::Attention.into(),
            SignatureVerdict::Unchecked => TextStyle::Dim,
        }
    }
}

impl WebhookFields {
    fn read(body: Option<&Value>) -> Self {
        let text = |pointer: &str| {
            body.and_then(|body| body.pointer(pointer)).and_then(Value::as_str).map(str::to_owned)
        };
        let error = match (text("/error/error"), text("/error/message")) {
            (Some(error), Some(message)) => Some(format!("{error}: {message}")),
            (one, other) => one.or(other),
        };
        Self {
            cron_name: text("/metadata/cron_name"),
            status: text("/metadata/agentcron_status").or_else(|| text("/status")),
            run_id: text("/metadata/agentcron_run_id").or_else(|| text("/run_id")),
            ended_at: text("/run_ended_at").and_then(|at| at.parse().ok()),
            error,
            is_test: body.and_then(|body| body.pointer("/metadata/agentcron_test")) == Some(&json!(true)),
        }
    }
}

fn status_style(status: &str) -> TextStyle {
    match status.parse::<Status>() {
        Ok(status) => runs::status_tone(status).into(),
        Err(_) => TextStyle::Plain,
    }
}

fn indented(text: &str) -> String {
    format!("              {text}")
}

/// Returns a stranger's text on one short line.
fn word(text: &str) -> String {
    shortened(text, WORD_CHARS)
}

fn shortened(text: &str, chars_max: usize) -> String {
    let blanked = blanked(text);
    let mut chars = blanked.chars();
    let mut kept: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() && chars_max > ID_CHARS_SHOWN {
        kept.push('…');
    }
    kept
}

/// Returns a value on one line, with long texts cut.
fn summary(value: &Value) -> String {
    brief(value, LEVELS)
}

fn brief(value: &Value, levels: usize) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => json!(shortened(text, TEXT_CHARS)).to_string(),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) if levels == 0 => format!("[{} items]", items.len()),
        // The end of a conversation is what is new.
        Value::Array(items) => {
            let last = items.last().map(|last| brief(last, levels - 1)).unwrap_or_default();
            match items.len() - 1 {
                0 => format!("[{last}]"),
                before => format!("[{before} before, {last}]"),
            }
        }
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) if levels == 0 => format!("{{{} keys}}", entries.len()),
        Value::Object(entries) => {
            let shown = entries.iter().take(ENTRIES);
            let mut shown: Vec<_> = shown
                .map(|(key, value)| format!("{}: {}", shortened(key, TEXT_CHARS), brief(value, levels - 1)))
                .collect();
            if entries.len() > ENTRIES {
                shown.push(format!("{} more", entries.len() - ENTRIES));
            }
            format!("{{{}}}", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn values_are_summarised_on_a_line_with_the_end_of_a_conversation() {
        let real = include_str!("../../../../tests/fixtures/langgraph/webhook_success.json");
        let real: Value = serde_json::from_str(real).unwrap();
        let odd = json!({
            "a": [], "b": {}, "c": {"d": {"e": [1, 2, {"f": 1}]}}, "text": "x".repeat(100), "more": 1, "yet": 2
        });
        let summaries = [summary(&real["body"]["values"]), summary(&odd), summary(&json!("a\u{1b}[2J\nb"))];
        expect![[r#"
            {messages: [1 before, {role: "assistant", content: "echo: hi"}]}
            {a: [], b: {}, c: {d: {e: [3 items]}}, text: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…", 2 more}
            "a [2J b""#]]
        .assert_eq(&summaries.join("\n"));
    }
}
