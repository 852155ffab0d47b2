//! The body of a request for a run, parsed only as far as its webhook requires. What is forwarded is what the client
//! wrote, byte for byte, except for what we add and leave out.

use std::fmt;

use axum::body::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::backend::RUN_KEY;
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

impl RunBody {
    /// Returns `None` if the body has no webhook, or if it has a mistake, which the agent server reports better than we can.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        // A body that contains neither the key nor an escape has no webhook, so it need not be parsed.
        let may_have_key = contains(body, b"webhook") || contains(body, b"\\u");
        let entries: Entries = may_have_key.then(|| serde_json::from_slice(body).ok())??;
        let webhook: String = entries.get("webhook").filter(|webhook: &String| !webhook.is_empty())?;
        let metadata = match entries.raw("metadata") {
            None => Entries::default(),
            Some(metadata) => serde_json::from_str(metadata.get()).ok()?,
        };
        let on_completion = match entries.raw("on_completion") {
            None => OnRunCompleted::Delete,
            Some(word) => serde_json::from_str::<String>(word.get()).ok()?.parse().ok()?,
        };
        Some(Self { assistant_id: entries.get("assistant_id")?, webhook, on_completion, entries, metadata })
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

impl Entries {
    /// Of repeated keys the last one counts, as for every parser.
    fn raw(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    fn get(&self, key: &str) -> Option<String> {
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

fn contains(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(body: &str, thread: ThreadOrigin, expected: Expect) {
        let run_body = RunBody::parse(body.as_bytes());
        let id: RunId = "0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0".parse().unwrap();
        let shown = run_body.map(|run_body| {
            let forwarded = String::from_utf8(run_body.rewritten(id, thread).to_vec()).unwrap();
            format!(
                "{} -> {} ({})\n{forwarded}",
                run_body.assistant_id, run_body.webhook, run_body.on_completion
            )
        });
        expected.assert_eq(&shown.unwrap_or_else(|| "untouched".to_owned()));
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
    fn a_body_without_a_webhook_or_with_a_mistake_is_left_to_the_server() {
        for body in [
            "",
            "nonsense with a webhook",
            "[\"webhook\"]",
            r#"{"assistant_id":"agent"}"#,
            r#"{"assistant_id":"agent","input":{"webhook":"https://a.example"}}"#,
            r#"{"assistant_id":"agent","webhook":null}"#,
            r#"{"assistant_id":"agent","webhook":""}"#,
            r#"{"assistant_id":"agent","webhook":5}"#,
            r#"{"assistant_id":"agent","webhook":["https://a.example"]}"#,
            r#"{"assistant_id":5,"webhook":"https://a.example"}"#,
            r#"{"webhook":"https://a.example"}"#,
            r#"{"assistant_id":"agent","webhook":"https://a.example","metadata":[]}"#,
            r#"{"assistant_id":"agent","webhook":"https://a.example","on_completion":"burn"}"#,
            r#"{"assistant_id":"agent","webhook":"https://a.example"} {}"#,
        ] {
            check(body, ThreadOrigin::Path, expect!["untouched"]);
        }
    }
}
