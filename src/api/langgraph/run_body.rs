//! The body of a request for a run, parsed only as far as its webhook requires. What is forwarded is what the client
//! wrote, byte for byte, except for what we add and leave out.

use std::fmt;

use axum::body::Bytes;
use serde_json::value::RawValue;

use super::raw_json::{Kind, each_entry, each_item};
use crate::backend::run_mark;
use crate::domain::bounds::BATCH_WEBHOOKS_MAX;
use crate::domain::cron::OnRunCompleted;
use crate::domain::ids::{RunId, RunOwner};

/// The body of a request for a run with a webhook.
pub(super) struct RunBody<'b> {
    pub(super) assistant_id: String,
    pub(super) webhook: String,
    /// What the client wants done with a thread that the server creates for the run.
    pub(super) on_completion: OnRunCompleted,
    written: &'b [u8],
    metadata: Option<&'b RawValue>,
}

/// Where the thread of a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadOrigin {
    /// The path of the request names it.
    Path,
    /// The server creates it.
    Server,
}

/// A mistake in a body that names a webhook, or that another parser than ours might read as naming one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub(super) struct BodyMistake {
    key: &'static str,
    problem: String,
}

/// The runs of a batch that have a webhook, each with its place in the batch.
pub(super) struct Batch<'b> {
    pub(super) runs: Vec<(usize, RunId, RunBody<'b>)>,
    written: &'b [u8],
}

impl<'b> RunBody<'b> {
    /// Returns `None` if the body is understood to have no webhook; every other mistake in it is the agent server's to report.
    ///
    /// # Errors
    /// A body is refused if it may have a webhook and cannot be understood for certain: a request must not reach the agent
    /// server with a webhook in it.
    pub(super) fn parse(body: &'b [u8], thread: ThreadOrigin) -> Result<Option<Self>, BodyMistake> {
        if !may_name_webhook(body) {
            return Ok(None);
        }
        let mut fields = Fields::default();
        match each_entry(body, |key, value| fields.keep(key, value)) {
            Ok(()) => Self::of(body, &fields, thread),
            // JSON, but nothing that has keys.
            Err(_) if serde_json::from_slice::<String>(body).is_ok() => Ok(None),
            Err(error) => Err(mistake("body", error)),
        }
    }

    fn of(written: &'b [u8], fields: &Fields<'b>, thread: ThreadOrigin) -> Result<Option<Self>, BodyMistake> {
        if fields.webhooks > 1 {
            return Err(mistake("webhook", "it is given twice, expected one URL"));
        }
        let webhook = match fields.webhook.map(Kind::of) {
            // None of these is a URL to anybody; the agent server says what is wrong with them.
            None | Some(Kind::Null | Kind::NumberOrBoolean) => return Ok(None),
            Some(Kind::Text(webhook)) if webhook.is_empty() => return Ok(None),
            Some(Kind::Text(webhook)) => webhook,
            Some(Kind::UnreadableText | Kind::Collection) => {
                return Err(mistake("webhook", "expected a URL as text"));
            }
        };
        let metadata = fields.metadata.filter(|metadata| Kind::of(metadata) != Kind::Null);
        if let Some(metadata) = metadata {
            each_entry(metadata.get().as_bytes(), |_, _| {}).map_err(|error| mistake("metadata", error))?;
        }
        let on_completion = match (thread, fields.on_completion.map(Kind::of)) {
            (ThreadOrigin::Path, _) => OnRunCompleted::Keep,
            (ThreadOrigin::Server, None | Some(Kind::Null)) => OnRunCompleted::Delete,
            (ThreadOrigin::Server, Some(Kind::Text(word))) => {
                word.parse().map_err(|error| mistake("on_completion", error))?
            }
            (ThreadOrigin::Server, Some(_)) => return Err(mistake("on_completion", "expected text")),
        };
        let Some(Kind::Text(assistant_id)) = fields.assistant_id.map(Kind::of) else {
            return Err(mistake("assistant_id", "expected the name or the id of an assistant"));
        };
        Ok(Some(Self { assistant_id, webhook, on_completion, written, metadata }))
    }

    /// Returns the body to forward: without the webhook, and with our ids in its metadata, by which the run is found again.
    /// A thread that the server creates is kept until the outcome is recorded.
    pub(super) fn rewritten(
        &self,
        run_id: RunId,
        owner: RunOwner,
        thread: ThreadOrigin,
    ) -> Result<Bytes, BodyMistake> {
        let mut body = String::with_capacity(self.written.len() + ADDED_BYTES);
        self.rewrite(run_id, owner, thread, &mut body)?;
        Ok(Bytes::from(body))
    }

    fn rewrite(
        &self,
        run_id: RunId,
        owner: RunOwner,
        thread: ThreadOrigin,
        to: &mut String,
    ) -> Result<(), BodyMistake> {
        let mark = run_mark(run_id, owner);
        let ours = |key: &str| match key {
            "webhook" | "metadata" => true,
            "on_completion" => thread == ThreadOrigin::Server,
            _ => false,
        };
        let mut body = ObjectWriter::begin(to);
        each_entry(self.written, |key, value| {
            if !ours(key) {
                body.push(key, value.get());
            }
        })
        .map_err(|error| mistake("body", error))?;
        let mut metadata = ObjectWriter::begin(body.key("metadata"));
        if let Some(written) = self.metadata {
            each_entry(written.get().as_bytes(), |key, value| {
                if mark.iter().all(|(ours, _)| *ours != key) {
                    metadata.push(key, value.get());
                }
            })
            .map_err(|error| mistake("metadata", error))?;
        }
        mark.iter().for_each(|(key, id)| metadata.push(key, &quoted(id)));
        metadata.end();
        if thread == ThreadOrigin::Server {
            body.push("on_completion", &quoted(OnRunCompleted::Keep.as_str()));
        }
        body.end();
        Ok(())
    }
}

impl<'b> Batch<'b> {
    /// Returns the runs of a batch, or `None` if none of them has a webhook.
    ///
    /// # Errors
    /// As [`RunBody::parse`].
    pub(super) fn parse(
        body: &'b [u8],
        mut new_run_id: impl FnMut() -> RunId,
    ) -> Result<Option<Self>, BodyMistake> {
        if !may_name_webhook(body) {
            return Ok(None);
        }
        let (mut runs, mut first_mistake, mut webhooks, mut index) = (Vec::new(), None, 0, 0);
        each_item(body, |item| {
            if first_mistake.is_none() {
                match RunBody::parse(item.get().as_bytes(), ThreadOrigin::Server) {
                    Ok(None) => {}
                    Ok(Some(run)) => {
                        webhooks += 1;
                        if webhooks <= BATCH_WEBHOOKS_MAX {
                            runs.push((index, new_run_id(), run));
                        }
                    }
                    Err(mistake) => first_mistake = Some(mistake),
                }
            }
            index += 1;
        })
        .map_err(|error| mistake("body", error))?;
        if let Some(mistake) = first_mistake {
            return Err(mistake);
        }
        if webhooks > BATCH_WEBHOOKS_MAX {
            let problem =
                format!("got {webhooks} runs with a webhook, expected {BATCH_WEBHOOKS_MAX} at most");
            return Err(mistake("body", problem));
        }
        Ok((webhooks > 0).then_some(Self { runs, written: body }))
    }

    /// Returns the body to forward, each run with a webhook [rewritten](RunBody::rewritten).
    pub(super) fn rewritten(&self, owner: RunOwner) -> Result<Bytes, BodyMistake> {
        let mut body = String::with_capacity(self.written.len() + ADDED_BYTES * self.runs.len());
        body.push('[');
        let (mut runs, mut index, mut rewritten) = (self.runs.iter().peekable(), 0, Ok(()));
        each_item(self.written, |item| {
            if index > 0 {
                body.push(',');
            }
            match runs.next_if(|(place, ..)| *place == index) {
                Some((_, run_id, run)) => {
                    let result = run.rewrite(*run_id, owner, ThreadOrigin::Server, &mut body);
                    rewritten = std::mem::replace(&mut rewritten, Ok(())).and(result);
                }
                None => body.push_str(item.get()),
            }
            index += 1;
        })
        .map_err(|error| mistake("body", error))?;
        body.push(']');
        rewritten.map(|()| Bytes::from(body))
    }
}

/// The fields of a run's body that concern us. Of repeated keys the last one counts, as for every parser.
#[derive(Default)]
struct Fields<'b> {
    webhook: Option<&'b RawValue>,
    webhooks: usize,
    metadata: Option<&'b RawValue>,
    on_completion: Option<&'b RawValue>,
    assistant_id: Option<&'b RawValue>,
}

impl<'b> Fields<'b> {
    fn keep(&mut self, key: &str, value: &'b RawValue) {
        match key {
            "webhook" => {
                self.webhook = Some(value);
                self.webhooks += 1;
            }
            "metadata" => self.metadata = Some(value),
            "on_completion" => self.on_completion = Some(value),
            "assistant_id" => self.assistant_id = Some(value),
            _ => {}
        }
    }
}

/// About what a run's body grows by when it is rewritten.
const ADDED_BYTES: usize = 256;

/// Writes a JSON object at the end of a text.
struct ObjectWriter<'t> {
    text: &'t mut String,
    is_empty: bool,
}

impl<'t> ObjectWriter<'t> {
    fn begin(text: &'t mut String) -> Self {
        text.push('{');
        Self { text, is_empty: true }
    }

    /// Writes a key and returns where its value goes.
    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.text.push(',');
        }
        self.text.push_str(&quoted(key));
        self.text.push(':');
        self.text
    }

    fn push(&mut self, key: &str, value: &str) {
        self.key(key).push_str(value);
    }

    fn end(self) {
        self.text.push('}');
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
                let forwarded =
                    String::from_utf8(run_body.rewritten(id, RunOwner::default(), thread).unwrap().to_vec())
                        .unwrap();
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
                {"assistant_id":"agent","input":{"n":1e400,"big":123456789012345678901234567890, "s":"\u00e9"},"on_completion":"keep","metadata":{"agentcron_run_id":"0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0","agentcron_installation_id":"00000000-0000-0000-0000-000000000000","agentcron_daemon_id":"00000000-0000-0000-0000-000000000000"}}"#]],
        );
        check(
            r#"{"assistant_id":"a","metadata":{"b":[1, 2],"agentcron_run_id":"mine"},"\u0077ebhook":"https://${{ env.HOME }}.example"}"#,
            ThreadOrigin::Server,
            expect![[r#"
                a -> https://${{ env.HOME }}.example (delete)
                {"assistant_id":"a","metadata":{"b":[1, 2],"agentcron_run_id":"0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0","agentcron_installation_id":"00000000-0000-0000-0000-000000000000","agentcron_daemon_id":"00000000-0000-0000-0000-000000000000"},"on_completion":"keep"}"#]],
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
            br#"{"assistant_id":"agent","webhook":"https://a.example/\ud800"}"#,
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
            assert!(Batch::parse(&batch, RunId::default).is_err(), "{shown}");
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
                {"assistant_id":"a","metadata":{"agentcron_run_id":"0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0","agentcron_installation_id":"00000000-0000-0000-0000-000000000000","agentcron_daemon_id":"00000000-0000-0000-0000-000000000000"},"on_completion":"keep"}"#]],
        );
    }

    #[test]
    fn each_run_of_a_batch_loses_its_own_webhook() {
        let body = br#"[{"assistant_id":"a","webhook":"https://a.example"}, {"assistant_id":"b","input":{"webhook": 1}},{"assistant_id":"c","webhook":"https://c.example","on_completion":"keep"}]"#;
        let mut ids = (1..).map(|number: u128| RunId(uuid::Uuid::from_u128(number)));
        let batch = Batch::parse(body, || ids.next().unwrap()).unwrap().unwrap();
        expect![[r#"[{"assistant_id":"a","metadata":{"agentcron_run_id":"00000000-0000-0000-0000-000000000001","agentcron_installation_id":"00000000-0000-0000-0000-000000000000","agentcron_daemon_id":"00000000-0000-0000-0000-000000000000"},"on_completion":"keep"},{"assistant_id":"b","input":{"webhook": 1}},{"assistant_id":"c","metadata":{"agentcron_run_id":"00000000-0000-0000-0000-000000000002","agentcron_installation_id":"00000000-0000-0000-0000-000000000000","agentcron_daemon_id":"00000000-0000-0000-0000-000000000000"},"on_completion":"keep"}]"#]]
        .assert_eq(std::str::from_utf8(&batch.rewritten(RunOwner::default()).unwrap()).unwrap());
        assert!(Batch::parse(br#"[{"assistant_id":"a","webhook":null}]"#, RunId::default).unwrap().is_none());
        assert!(
            Batch::parse(br#"{"assistant_id":"a","webhook":"https://a.example"}"#, RunId::default).is_err()
        );
    }
}
