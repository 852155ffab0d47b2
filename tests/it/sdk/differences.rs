//! Every way in which an answer of ours may differ from the server's, each with its reason. Nothing else is overlooked,
//! and a difference that no longer occurs has to leave the list.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pairs::{Difference, Pairs};
use super::recording::Recording;

struct Documented {
    why: &'static str,
    /// Given the call or the webhook, and the difference there.
    covers: fn(&str, &Difference) -> bool,
}

const DOCUMENTED: &[Documented] = &[];

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
        for difference in self.pairs.compare(direct, ours) {
            match DOCUMENTED.iter().find(|documented| (documented.covers)(what, &difference)) {
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
