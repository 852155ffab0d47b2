//! Every way in which an answer of ours may differ from the server's, each with its reason. Nothing else is overlooked,
//! and a difference that no longer occurs has to leave the list.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pairs::{Difference, Pairs};
use super::recording::Recording;

struct Documented {
    why: &'static str,
    covers: fn(&Found) -> bool,
}

/// A difference, and the call or the webhook in which it was found.
struct Found<'f> {
    what: &'f str,
    /// Method and path of what was sent first; empty for a webhook.
    request: &'f str,
    difference: &'f Difference,
}

const DOCUMENTED: &[Documented] = &[
    Documented {
        why: "what we answer ourselves does not say that it comes from the server's HTTP library",
        covers: |found| found.is_own_answer() && found.ends("/headers/server") && found.ours().is_null(),
    },
    Documented {
        why: "what we answer ourselves is the same whatever page asks: pages of other sites are not let in at all",
        covers: |found| found.is_own_answer() && found.ends("/headers/vary") && found.ours().is_null(),
    },
    Documented {
        why: "where the server says that something is wrong, we say so in its words and then, in parentheses, why",
        covers: |found| {
            // Where the SDK shows an error's body as it came, the words are followed by the end of JSON.
            let words = found.direct().as_str().unwrap_or_default().trim_end_matches("\"}");
            let ours = found.ours().as_str().unwrap_or_default();
            found.is_error() && ours.starts_with(&format!("{words} ("))
        },
    },
    Documented {
        why: "the server is not told of the webhook, or it would call it as well",
        covers: |found| found.ends("/kwargs/webhook") && found.ours().is_null() && !found.is_webhook(),
    },
    Documented {
        why: "a stateless run is kept until we know its outcome; then we delete its thread, if the client does not keep it",
        covers: |found| found.ends("/kwargs/temporary") && *found.direct() == true && *found.ours() == false,
    },
    Documented {
        why: "a run bears the names by which we find it, whatever becomes of our connection, and states inherit them",
        covers: |found| {
            let added = ["agentcron_run_id", "cron_name", "scheduled_for", "cron_id"];
            found.direct().is_null() && added.iter().any(|key| found.ends(&format!("/metadata/{key}")))
        },
    },
    Documented {
        why: "a webhook says what only we know of a run",
        covers: |found| {
            let added =
                ["agentcron_trigger", "agentcron_status", "agentcron_reason", "agentcron_reason_code"];
            found.is_webhook() && added.iter().any(|key| found.ends(&format!("/body/metadata/{key}")))
        },
    },
    Documented {
        why: "the server's own crons start runs from inside it, ours by a request",
        covers: |found| {
            let of_requests = ["langgraph_auth_user", "langgraph_request_id", "__request_start_time_ms__"];
            found.is_about_crons() && of_requests.iter().any(|key| found.ends(&format!("/{key}")))
        },
    },
    Documented {
        why: "two runs of one stateless occurrence cannot be on its thread: that is how none is started twice",
        covers: |found| found.what == "webhook /cron" && found.ends("/body/multitask_strategy"),
    },
    Documented {
        why: "the server's webhook of a stateless run comes without values: its thread is gone by then; ours has them",
        covers: |found| {
            let stateless = ["create-stateless", "wait-stateless", "stream-stateless", "cron"];
            let is_stateless = stateless.iter().any(|name| found.what == format!("webhook /{name}"));
            let answer = found.ours().pointer("/messages/1/content").and_then(Value::as_str);
            let is_answered = answer.is_some_and(|answer| ["echo: hi", "one two three"].contains(&answer));
            is_stateless && found.ends("/body/values") && found.direct().is_null() && is_answered
        },
    },
    Documented {
        why: "the words in which the server ends a cancelled run are not to be had from it; we say that it was cancelled there",
        covers: |found| {
            found.what == "webhook /cancelled" && found.ends("/body/error") && found.ours().is_null()
        },
    },
    Documented {
        why: "a graph that waits for a human is interrupted to us, and a success to the server",
        covers: |found| {
            let statuses = (found.direct().as_str(), found.ours().as_str());
            found.is_webhook() && found.ends("/status") && statuses == (Some("success"), Some("interrupted"))
        },
    },
];

impl Found<'_> {
    fn ends(&self, place: &str) -> bool {
        self.difference.place.ends_with(place)
    }

    /// Not passed on to the server.
    fn is_own_answer(&self) -> bool {
        self.request.contains("/runs/crons") || self.what.contains("with a webhook of")
    }

    fn is_about_crons(&self) -> bool {
        self.request.contains("/runs/crons") || self.what.contains("cron")
    }

    fn is_error(&self) -> bool {
        self.difference.place.starts_with("/error/")
    }

    fn is_webhook(&self) -> bool {
        self.what.starts_with("webhook ")
    }

    /// Null where the server has nothing.
    fn direct(&self) -> &Value {
        self.difference.direct.as_ref().unwrap_or(&Value::Null)
    }

    /// Null where we have nothing.
    fn ours(&self) -> &Value {
        self.difference.ours.as_ref().unwrap_or(&Value::Null)
    }
}

/// Two recordings beside each other, call by call and webhook by webhook.
#[derive(Default)]
pub(super) struct Comparison {
    pairs: Pairs,
    undocumented: Vec<String>,
    occurred: BTreeSet<&'static str>,
}

impl Comparison {
    pub(super) fn calls(&mut self, direct: &Recording, ours: &Recording) {
        let names =
            |recording: &Recording| recording.calls.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(direct), names(ours), "the two sides made other calls");
        for ((name, from_server), (_, from_us)) in direct.calls.iter().zip(&ours.calls) {
            self.judge(name, &direct.plain(from_server), &ours.plain(from_us));
        }
    }

    pub(super) fn webhook(&mut self, path: &str, direct: &Value, ours: &Value) {
        self.judge(&format!("webhook {path}"), direct, ours);
    }

    fn judge(&mut self, what: &str, direct: &Value, ours: &Value) {
        let request = direct.pointer("/exchanges/0/request").and_then(Value::as_str).unwrap_or_default();
        for difference in self.pairs.compare(direct, ours) {
            let found = Found { what, request, difference: &difference };
            match DOCUMENTED.iter().find(|documented| (documented.covers)(&found)) {
                Some(documented) => {
                    self.occurred.insert(documented.why);
                }
                None => self.undocumented.push(in_words(what, &difference)),
            }
        }
    }

    pub(super) fn assert_same(&self) {
        let (count, list) = (self.undocumented.len(), self.undocumented.join("\n"));
        assert!(self.undocumented.is_empty(), "{count} differences:\n{list}");
    }

    /// For the recording that has calls of every kind.
    pub(super) fn assert_each_documented_one_occurred(&self) {
        for documented in DOCUMENTED {
            assert!(
                self.occurred.contains(documented.why),
                "this does not occur any more: {}",
                documented.why
            );
        }
    }
}

fn in_words(what: &str, difference: &Difference) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    let (direct, ours) = (shown(&difference.direct), shown(&difference.ours));
    format!("{what}, at {}:\n    the server: {direct}\n    ours:       {ours}", difference.place)
}
