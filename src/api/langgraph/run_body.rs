//! The body of a request for a run, parsed only as far as its webhook requires. What is forwarded is what the client
//! wrote, byte for byte, except for what we add and leave out.

use std::fmt;

use axum::body::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::backend::RUN_KEY;
use crate::domain::bounds::BATCH_WEBHOOKS_MAX;
use crate::domain::cron::OnRunCompleted;
use crate::domain::ids::RunId;

/// The body of a request for a run with a webhook.
pub(super) struct RunBody {
    pub(super) assistant_id: String,
    pub(super) webhook: String,
    /// What the client wants done with a thread that the server creates for the run.
    pub(super) on_completion: OnRunCompleted,
    entries: Entries,
    metadata: Entries,
}

/// Where the thread of a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadOrigin {
    /// The path of the request names it.
    Path,
    /// The server creates it.
    Server,
}

/// A JSON object whose values are kept as written.
#[derive(Default)]
struct Entries(Vec<(String, Box<RawValue>)>);

/// A mistake in a body that names a webhook, or that another parser than ours might read as naming one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub(super) struct BodyMistake {
    key: &'static str,
    problem: String,
}

/// One run of a batch.
pub(super) enum BatchItem {
    /// It has no webhook and stays as it was written.
    AsWritten(Box<RawValue>),
    WithWebhook(RunId, RunBody),
}

impl RunBody {
    /// Returns `None` if the body is understood to have no webhook; every other mistake in it is the agent server's to report.
    ///
    /// # Errors
    /// A body is refused if it may have a webhook and cannot be understood for certain: a request must not reach the agent
    /// server with a webhook in it.
    pub(super) fn parse(body: &[u8], thread: ThreadOrigin) -> Result<Option<Self>, BodyMistake> {
        if !may_name_webhook(body) {
            return Ok(None);
        }
        match serde_json::from_slice(body) {
            Ok(entries) => Self::of(entries, thread),
            // JSON, but nothing that has keys.
            Err(_) if matches!(serde_json::from_slice(body), Ok(Value::String(_))) => Ok(None),
            Err(error) => Err(mistake("body", error)),
        }
    }

    /// Returns the runs of a batch, or `None` if none of them has a webhook.
    ///
    /// # Errors
    /// As [`RunBody::parse`].
    pub(super) fn parse_batch(
        body: &[u8],
        mut new_run_id: impl FnMut() -> RunId,
    ) -> Result<Option<Vec<BatchItem>>, BodyMistake> {
        if !may_name_webhook(body) {
            return Ok(None);
        }
        let items: Vec<Box<RawValue>> =
            serde_json::from_slice(body).map_err(|error| mistake("body", error))?;
        let items = items
            .into_iter()
            .map(|item| match Self::parse(item.get().as_bytes(), ThreadOrigin::Server)? {
                Some(body) => Ok(BatchItem::WithWebhook(new_run_id(), body)),
                None => Ok(BatchItem::AsWritten(item)),
            })
            .collect::<Result<Vec<_>, BodyMistake>>()?;
        let webhooks = items.iter().filter(|item| matches!(item, BatchItem::WithWebhook(..))).count();
        if webhooks > BATCH_WEBHOOKS_MAX {
            let problem =
                format!("got {webhooks} runs with a webhook, expected {BATCH_WEBHOOKS_MAX} at most");
            return Err(mistake("body", problem));
        }
        Ok((webhooks > 0).then_some(items))
    }

    fn of(entries: Entries, thread: ThreadOrigin) -> Result<Option<Self>, BodyMistake> {
        if entries.0.iter().filter(|(key, _)| key == "webhook").count() > 1 {
            return Err(mistake("webhook", "it is given twice, expected one URL"));
        }
        let webhook = match entries.value("webhook") {
            // None of these is a URL to anybody; the agent server says what is wrong with them.
            None | Some(Value::Null | Value::Bool(_) | Value::Number(_)) => return Ok(None),
            Some(Value::String(webhook)) if webhook.is_empty() => return Ok(None),
            Some(Value::String(webhook)) => webhook,
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(mistake("webhook", "expected a URL as text"));
            }
        };
        let metadata = match entries.raw("metadata").map(RawValue::get) {
            None | Some("null") => Entries::default(),
            Some(text) => serde_json::from_str(text).map_err(|error| mistake("metadata", error))?,
        };
        let on_completion = match (thread, entries.value("on_completion")) {
            (ThreadOrigin::Path, _) => OnRunCompleted::Keep,
            (ThreadOrigin::Server, None | Some(Value::Null)) => OnRunCompleted::Delete,
            (ThreadOrigin::Server, Some(Value::String(word))) => {
                word.parse().map_err(|error| mistake("on_completion", error))?
            }
            (ThreadOrigin::Server, Some(_)) => return Err(mistake("on_completion", "expected text")),
        };
        let Some(Value::String(assistant_id)) = entries.value("assistant_id") else {
            return Err(mistake("assistant_id", "expected the name or the id of an assistant"));
        };
        Ok(Some(Self { assistant_id, webhook, on_completion, entries, metadata }))
    }

    /// Returns the body to forward: without the webhook, and with our id in its metadata, by which the run is found again.
    /// A thread that the server creates is kept until the outcome is recorded.
    pub(super) fn rewritten(&self, run_id: RunId, thread: ThreadOrigin) -> Bytes {
        let mut metadata = ObjectWriter::new();
        for (key, value) in self.metadata.0.iter().filter(|(key, _)| key != RUN_KEY) {
            metadata.push(key, value.get());
        }
        metadata.push(RUN_KEY, &quoted(&run_id.to_string()));
        let mut body = ObjectWriter::new();
        let ours = |key: &str| match key {
            "webhook" | "metadata" => true,
            "on_completion" => thread == ThreadOrigin::Server,
            _ => false,
        };
        for (key, value) in self.entries.0.iter().filter(|(key, _)| !ours(key)) {
            body.push(key, value.get());
        }
        body.push("metadata", &metadata.into_string());
        if thread == ThreadOrigin::Server {
            body.push("on_completion", &quoted(OnRunCompleted::Keep.as_str()));
        }
        Bytes::from(body.into_string())
    }
}

/// Returns the body of a batch to forward, each run with a webhook [rewritten](RunBody::rewritten).
pub(super) fn rewritten_batch(items: &[BatchItem]) -> Bytes {
    let mut body = Vec::from(b"[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        match item {
            BatchItem::WithWebhook(run_id, run) => {
                body.extend_from_slice(&run.rewritten(*run_id, ThreadOrigin::Server));
            }
            BatchItem::AsWritten(written) => body.extend_from_slice(written.get().as_bytes()),
        }
    }
    body.push(b']');
    Bytes::from(body)
}

impl Entries {
    /// Of repeated keys the last one counts, as for every parser.
    fn raw(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    fn value(&self, key: &str) -> Option<Value> {
        serde_json::from_str(self.raw(key)?.get()).ok()
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// Writes a JSON object.
struct ObjectWriter(String);

impl ObjectWriter {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn push(&mut self, key: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn into_string(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether any parser could find the key in this body: by its letters, by an escape of one of them, or in an encoding of
/// Unicode that is not ours.
pub(super) fn may_name_webhook(body: &[u8]) -> bool {
    contains(body, b"webhook")
        || contains(body, b"\\u")
        || body.contains(&0)
        || std::str::from_utf8(body).is_err()
}

fn mistake(key: &'static str, problem: impl fmt::Display) -> BodyMistake {
    BodyMistake { key, problem: problem.to_string() }
}

fn contains(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(body: &str, thread: ThreadOrigin, expected: Expect) {
        let id: RunId = "0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0".parse().unwrap();
        let shown = match RunBody::parse(body.as_bytes(), thread) {
            Ok(Some(run_body)) => {
                let forwarded = String::from_utf8(run_body.rewritten(id, thread).to_vec()).unwrap();
                format!(
                    "{} -> {} ({})\n{forwarded}",
                    run_body.assistant_id, run_body.webhook, run_body.on_completion
                )
            }
            Ok(None) => "no webhook".to_owned(),
            Err(mistake) => mistake.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn the_webhook_is_removed_and_everything_else_stays_as_written() {
        check(
            r#"{"assistant_id":"agent", "webhook":"https://a.example/x","input":{"n":1e400,"big":123456789012345678901234567890, "s":"\u00e9"},"on_completion":"keep"}"#,
            ThreadOrigin::Path,
            expect![[r#"
                agent -> https://a.example/x (keep)
                {"assistant_id":"agent","input":{"n":1e400,"big":123456789012345678901234567890, "s":"\u00e9"},"on_completion":"keep","metadata":{"agentcron_run_id":"0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0"}}"#]],
        );
        check(
            r#"{"assistant_id":"a","metadata":{"b":[1, 2],"agentcron_run_id":"mine"},"\u0077ebhook":"https://${{ env.HOME }}.example"}"#,
            ThreadOrigin::Server,
            expect![[r#"
                a -> https://${{ env.HOME }}.example (delete)
                {"assistant_id":"a","metadata":{"b":[1, 2],"agentcron_run_id":"0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0"},"on_completion":"keep"}"#]],
        );
    }

    #[test]
    fn a_body_that_is_understood_to_have_no_webhook_is_left_to_the_server() {
        for body in [
            "",
            "nonsense",
            r#"{"assistant_id":"agent"}"#,
            r#"{"assistant_id":5,"metadata":[]}"#,
            r#"{"assistant_id":"agent","input":{"webhook":"https://a.example"}}"#,
            r#"{"assistant_id":"agent","input":{"\u0077ebhook":"https://a.example"}}"#,
            r#"{"assistant_id":"agent","webhook":null}"#,
            r#"{"assistant_id":"agent","webhook":""}"#,
            r#"{"assistant_id":"agent","webhook":5}"#,
            r#""webhook""#,
            r#"{"assistant_id":"agent","Webhook":"https://a.example"}"#,
        ] {
            check(body, ThreadOrigin::Path, expect!["no webhook"]);
            check(body, ThreadOrigin::Server, expect!["no webhook"]);
        }
    }

    #[test]
    fn a_body_that_may_have_a_webhook_and_is_not_understood_is_refused() {
        let utf16: Vec<u8> =
            r#"{"webhook":"https://a.example"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut bom = vec![0xef, 0xbb, 0xbf];
        bom.extend_from_slice(br#"{"assistant_id":"agent","webhook":"https://a.example"}"#);
        for body in [
            b"nonsense with a webhook".as_slice(),
            b"[\"webhook\"]",
            br#"{"assistant_id":"agent","webhook":["https://a.example"]}"#,
            br#"{"assistant_id":"agent","webhook":{"url":"https://a.example"}}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example","webhook":null}"#,
            br#"{"assistant_id":"agent","webhook":null,"\u0077ebhook":"https://a.example"}"#,
            br#"{"assistant_id":5,"webhook":"https://a.example"}"#,
            br#"{"webhook":"https://a.example"}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example","metadata":[]}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example","on_completion":"burn"}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example","on_completion":7}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example"} {}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example",}"#,
            br#"{"assistant_id":"agent","webhook":"https://a.example","input":NaN}"#,
            br#"{"assistant_id":"agent","\ud800":1,"webhook":"https://a.example"}"#,
            b"{\"assistant_id\":\"agent\",\"x\":\"\xff\",\"webhook\":\"https://a.example\"}",
            &utf16,
            &bom,
        ] {
            let shown = String::from_utf8_lossy(body);
            assert!(RunBody::parse(body, ThreadOrigin::Server).is_err(), "{shown}");
            let batch = [b"[{\"assistant_id\":\"agent\"},".as_slice(), body, b"]"].concat();
            assert!(RunBody::parse_batch(&batch, RunId::default).is_err(), "{shown}");
        }
    }

    #[test]
    fn what_only_runs_without_a_thread_know_is_not_asked_of_the_others() {
        for word in ["null", "\"x\"", "7"] {
            let body =
                format!(r#"{{"assistant_id":"a","webhook":"https://a.example","on_completion":{word}}}"#);
            assert!(RunBody::parse(body.as_bytes(), ThreadOrigin::Path).unwrap().is_some(), "{word}");
        }
        check(
            r#"{"assistant_id":"a","webhook":"https://a.example","on_completion":null,"metadata":null}"#,
            ThreadOrigin::Server,
            expect![[r#"
                a -> https://a.example (delete)
                {"assistant_id":"a","metadata":{"agentcron_run_id":"0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0"},"on_completion":"keep"}"#]],
        );
    }

    #[test]
    fn each_run_of_a_batch_loses_its_own_webhook() {
        let body = br#"[{"assistant_id":"a","webhook":"https://a.example"}, {"assistant_id":"b","input":{"webhook": 1}},{"assistant_id":"c","webhook":"https://c.example","on_completion":"keep"}]"#;
        let mut ids = (1..).map(|number: u128| RunId(uuid::Uuid::from_u128(number)));
        let items = RunBody::parse_batch(body, || ids.next().unwrap()).unwrap().unwrap();
        expect![[r#"[{"assistant_id":"a","metadata":{"agentcron_run_id":"00000000-0000-0000-0000-000000000001"},"on_completion":"keep"},{"assistant_id":"b","input":{"webhook": 1}},{"assistant_id":"c","metadata":{"agentcron_run_id":"00000000-0000-0000-0000-000000000002"},"on_completion":"keep"}]"#]]
        .assert_eq(std::str::from_utf8(&rewritten_batch(&items)).unwrap());
        assert!(
            RunBody::parse_batch(br#"[{"assistant_id":"a","webhook":null}]"#, RunId::default)
                .unwrap()
                .is_none()
        );
        assert!(
            RunBody::parse_batch(br#"{"assistant_id":"a","webhook":"https://a.example"}"#, RunId::default)
                .is_err()
        );
    }
}
