//! One request that has arrived, as people read it and as programs do.

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::run_line::time;
use crate::cli::session::Session;
use crate::cli::times;
use crate::domain::run::Status;
use crate::domain::signing::SignatureVerdict;
use crate::webhook::redacted;

/// Of a text within the values, this much is shown.
const TEXT_CHARS: usize = 60;
/// Of a list or an object, so many entries.
const ENTRIES: usize = 4;
/// Of lists and objects within each other, so many levels.
const LEVELS: usize = 3;
/// A word of a stranger, such as the name of a cron, is not longer in a line for people.
const WORD_CHARS: usize = 80;
/// Characters of a run's id that tell runs apart.
const ID_SHOWN: usize = 8;

/// How much of the body is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Its values in a line.
    Summary,
    /// All of it.
    Whole,
}

/// What has arrived, and what was done about it.
pub(super) struct Arrival {
    /// When all of it was there.
    pub(super) at: Timestamp,
    pub(super) method: String,
    /// Path and query; the query may hold a token.
    pub(super) path: String,
    /// Empty if there is none.
    pub(super) webhook_id: String,
    /// How often this webhook has arrived by now.
    pub(super) number: u32,
    pub(super) signature: SignatureVerdict,
    /// In words.
    pub(super) answer: String,
    pub(super) body: Bytes,
}

/// What the body says, as far as it is one of ours.
struct Told {
    cron_name: Option<String>,
    status: Option<String>,
    run_id: Option<String>,
    ended_at: Option<Timestamp>,
    error: Option<String>,
    /// Of `webhook test` or `doctor --send`.
    is_test: bool,
}

impl Arrival {
    /// Whether it has arrived before.
    pub(super) fn is_again(&self) -> bool {
        self.number > 1 && !self.webhook_id.is_empty()
    }

    pub(super) fn print(&self, shown: Shown, session: &mut Session) -> Result<(), Failure> {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let told = Told::by(body.as_ref());
        if session.output.is_json() {
            session.output.json(&self.to_json(&told, body, shown))?;
        } else {
            self.print_lines(&told, body.as_ref(), shown, session)?;
        }
        Ok(session.output.flush()?)
    }

    fn to_json(&self, told: &Told, body: Option<Value>, shown: Shown) -> Value {
        let after_end = told.ended_at.map(|ended_at| self.at.duration_since(ended_at).as_millis());
        let values = body.as_ref().and_then(|body| body.get("values")).map(summary);
        let mut object = json!({
            "at": time(Some(self.at)),
            "method": self.method,
            "path": redacted(&self.path),
            "webhook_id": (!self.webhook_id.is_empty()).then_some(&self.webhook_id),
            "arrivals": self.number,
            "signature": self.signature.as_str(),
            "cron_name": told.cron_name,
            "status": told.status,
            "run_id": told.run_id,
            "ended_at": time(told.ended_at),
            "after_end_ms": after_end,
            "error": told.error,
            "test": told.is_test,
            "values": values,
            "bytes": self.body.len(),
            "answer": self.answer,
        });
        if shown == Shown::Whole {
            object["body"] = body.unwrap_or_else(|| json!(String::from_utf8_lossy(&self.body)));
        }
        object
    }

    fn print_lines(
        &self,
        told: &Told,
        body: Option<&Value>,
        shown: Shown,
        session: &mut Session,
    ) -> Result<(), Failure> {
        let clock = times::time_of_day(self.at, &session.zone);
        let mut facts = vec![session.output.paint(Style::Dim, &clock)];
        match (&told.status, &told.cron_name) {
            (None, None) => facts.push(format!("{} bytes that are no webhook of a run", self.body.len())),
            (status, cron_name) => {
                let status = status.as_deref().map(word).unwrap_or_default();
                facts.push(session.output.paint(style_of(&status), &status));
                facts.extend(cron_name.as_deref().map(word));
                facts.extend(told.is_test.then(|| "(a test)".to_owned()));
            }
        }
        facts.extend(told.run_id.as_deref().map(|id| format!("run {}", shortened(id, ID_SHOWN))));
        facts.extend(told.ended_at.map(|ended_at| {
            let after = self.at.duration_since(ended_at);
            format!("{} after its end", times::took(after))
        }));
        facts.push(session.output.paint(self.signature_style(), &self.signature_text()));
        if self.is_again() {
            facts.push(session.output.paint(Style::Odd, &format!("again (×{})", self.number)));
        }
        session.output.line(&facts.join("  "))?;
        let id = if self.webhook_id.is_empty() { "no webhook-id".to_owned() } else { word(&self.webhook_id) };
        let request = format!("{} {}", word(&self.method), word(&redacted(&self.path)));
        session.output.line(&indented(&format!("{id}  {request}  {}", self.answer)))?;
        if let Some(error) = &told.error {
            let error = session.output.paint(Style::Bad, &shortened(error, 2 * WORD_CHARS));
            session.output.line(&indented(&format!("error {error}")))?;
        }
        match shown {
            Shown::Whole => {
                let whole = body.and_then(|body| serde_json::to_string_pretty(body).ok());
                let whole = whole.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
                printable(&whole).lines().try_for_each(|line| session.output.line(&indented(line)))?;
            }
            Shown::Summary => {
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

    fn signature_style(&self) -> Style {
        match self.signature {
            SignatureVerdict::Good => Style::Good,
            SignatureVerdict::Wrong => Style::Bad,
            SignatureVerdict::Stale | SignatureVerdict::Missing => Style::Odd,
            SignatureVerdict::Unchecked => Style::Dim,
        }
    }
}

impl Told {
    fn by(body: Option<&Value>) -> Self {
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

fn style_of(status: &str) -> Style {
    match status.parse() {
        Ok(Status::Success) => Style::Good,
        Ok(Status::Error | Status::Timeout) => Style::Bad,
        Ok(Status::Interrupted | Status::Cancelled | Status::Skipped | Status::Missed) => Style::Odd,
        Err(_) => Style::Plain,
    }
}

fn indented(text: &str) -> String {
    format!("              {text}")
}

/// A stranger's text in one short line.
fn word(text: &str) -> String {
    shortened(text, WORD_CHARS)
}

fn shortened(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    let mut kept: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() && chars_max > ID_SHOWN {
        kept.push('…');
    }
    kept
}

/// A value in a line: what it is made of, long texts cut.
fn summary(value: &Value) -> String {
    brief(value, LEVELS)
}

fn brief(value: &Value, levels: usize) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => json!(shortened(text, TEXT_CHARS)).to_string(),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) if levels == 0 => format!("[{} items]", items.len()),
        // Of a conversation the end is the news.
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
    fn values_are_told_in_a_line_with_the_end_of_a_conversation() {
        let real = include_str!("../../../../tests/fixtures/langgraph/webhook_success.json");
        let real: Value = serde_json::from_str(real).unwrap();
        let odd = json!({
            "a": [], "b": {}, "c": {"d": {"e": [1, 2, {"f": 1}]}}, "text": "x".repeat(100), "more": 1, "yet": 2
        });
        let told = [summary(&real["body"]["values"]), summary(&odd), summary(&json!("a\u{1b}[2J\nb"))];
        expect![[r#"
            {messages: [1 before, {role: "assistant", content: "echo: hi"}]}
            {a: [], b: {}, c: {d: {e: [3 items]}}, text: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…", 2 more}
            "a [2J b""#]]
        .assert_eq(&told.join("\n"));
    }
}
