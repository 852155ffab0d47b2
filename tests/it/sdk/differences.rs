//! Every way in which a response of ours may differ from the server's, each with its reason. Any other difference fails the
//! test, and so does an entry that no longer occurs.

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
    /// Method and path of the first request; empty for a webhook.
    request: &'f str,
    difference: &'f Difference,
}

const DOCUMENTED: &[Documented] = &[
    Documented {
        why: "our own responses do not name the server's HTTP library",
        covers: |found| found.is_own_response() && found.ends("/headers/server") && found.ours().is_null(),
    },
    Documented {
        why: "our own responses do not depend on the origin, since requests from pages of other sites are refused",
        covers: |found| found.is_own_response() && found.ends("/headers/vary") && found.ours().is_null(),
    },
    Documented {
        why: "our error messages are the server's, followed by the cause in parentheses",
        covers: |found| {
            // Where the SDK shows the raw body of an error, the message is followed by the end of the JSON.
            let message = found.direct().as_str().unwrap_or_default().trim_end_matches("\"}");
            let ours = found.ours().as_str().unwrap_or_default();
            found.is_error() && ours.starts_with(&format!("{message} ("))
        },
    },
    Documented {
        why: "the webhook is not forwarded to the server, or the server would call it as well",
        covers: |found| found.ends("/kwargs/webhook") && found.ours().is_null() && !found.is_webhook(),
    },
    Documented {
        why: "a stateless run is kept until we know its outcome; then we delete its thread unless the client keeps it",
        covers: |found| found.ends("/kwargs/temporary") && *found.direct() == true && *found.ours() == false,
    },
    Documented {
        why: "a run has metadata by which we find it after a lost connection and its graph finds its cron; its states inherit them",
        covers: |found| {
            let added = [
                "agentcron_run_id",
                "agentcron_retry",
                "agentcron_installation_id",
                "agentcron_daemon_id",
                "cron_name",
                "scheduled_for",
                "cron_id",
                "agentcron_cron_id",
            ];
            let is_added = added.iter().any(|key| found.ends(&format!("/metadata/{key}")));
            let configured = ["/configurable/agentcron_cron_id", "/kwargs/context/agentcron_cron_id"];
            found.direct().is_null() && (is_added || configured.iter().any(|place| found.ends(place)))
        },
    },
    Documented {
        why: "our webhook has metadata that only we know",
        covers: |found| {
            let added =
                ["agentcron_trigger", "agentcron_status", "agentcron_reason", "agentcron_reason_code"];
            found.is_webhook() && added.iter().any(|key| found.ends(&format!("/body/metadata/{key}")))
        },
    },
    Documented {
        why: "the server's own crons start runs internally, ours by a request",
        covers: |found| {
            let of_requests = ["langgraph_auth_user", "langgraph_request_id", "__request_start_time_ms__"];
            found.is_about_crons() && of_requests.iter().any(|key| found.ends(&format!("/{key}")))
        },
    },
    Documented {
        why: "a stateless occurrence is started with `reject`, so that it cannot be started twice on its thread",
        covers: |found| found.what == "webhook /cron" && found.ends("/body/multitask_strategy"),
    },
    Documented {
        why: "the server's webhook of a stateless run has no values, because its thread is gone by then; ours has them",
        covers: |found| {
            let stateless = ["create-stateless", "wait-stateless", "stream-stateless", "cron"];
            let is_stateless = stateless.iter().any(|name| found.what == format!("webhook /{name}"));
            let message = found.ours().pointer("/messages/1/content").and_then(Value::as_str);
            let has_values = message.is_some_and(|message| ["echo: hi", "one two three"].contains(&message));
            is_stateless && found.ends("/body/values") && found.direct().is_null() && has_values
        },
    },
    Documented {
        why: "a graph that waits for a human is `interrupted` in our webhook, with its questions, not `success`",
        covers: |found| {
            let statuses = (found.direct().as_str(), found.ours().as_str());
            let is_status = found.ends("/status") && statuses == (Some("success"), Some("interrupted"));
            let is_question = found.ends("/body/interrupts") && found.direct().is_null();
            found.is_webhook() && (is_status || is_question)
        },
    },
];

impl Found<'_> {
    fn ends(&self, place: &str) -> bool {
        self.difference.place.ends_with(place)
    }

    /// Returns whether we respond without forwarding the request.
    fn is_own_response(&self) -> bool {
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

    /// Returns null where the server has nothing.
    fn direct(&self) -> &Value {
        self.difference.direct.as_ref().unwrap_or(&Value::Null)
    }

    /// Returns null where we have nothing.
    fn ours(&self) -> &Value {
        self.difference.ours.as_ref().unwrap_or(&Value::Null)
    }
}

/// Compares two recordings, call by call and webhook by webhook.
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
        assert_eq!(names(direct), names(ours), "the two sides made different calls");
        for ((name, from_server), (_, from_us)) in direct.calls.iter().zip(&ours.calls) {
            self.compare(name, &direct.plain(from_server), &ours.plain(from_us));
        }
    }

    pub(super) fn webhook(&mut self, path: &str, direct: &Value, ours: &Value) {
        self.compare(&format!("webhook {path}"), direct, ours);
    }

    fn compare(&mut self, what: &str, direct: &Value, ours: &Value) {
        let request = direct.pointer("/exchanges/0/request").and_then(Value::as_str).unwrap_or_default();
        for difference in self.pairs.compare(direct, ours) {
            let found = Found { what, request, difference: &difference };
            match DOCUMENTED.iter().find(|documented| (documented.covers)(&found)) {
                Some(documented) => {
                    self.occurred.insert(documented.why);
                }
                None => self.undocumented.push(described(what, &difference)),
            }
        }
    }

    pub(super) fn assert_same(&self) {
        let (count, list) = (self.undocumented.len(), self.undocumented.join("\n"));
        assert!(self.undocumented.is_empty(), "{count} differences:\n{list}");
    }

    /// Checks that every documented difference occurred, which the recording with calls of every kind must show.
    pub(super) fn assert_each_documented_one_occurred(&self) {
        for documented in DOCUMENTED {
            assert!(self.occurred.contains(documented.why), "this no longer occurs: {}", documented.why);
        }
    }
}

fn described(what: &str, difference: &Difference) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    let (direct, ours) = (shown(&difference.direct), shown(&difference.ours));
    format!("{what}, at {}:\n    the server: {direct}\n    ours:       {ours}", difference.place)
}
