//! Compares two recordings of the same calls, except for ids and the present time.
//!
//! Each id of one side must correspond to the same id of the other side wherever it appears.
//! Times within a day of now are equal if they have the same format; other times must be the same.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::support::span::now;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The length of a time in milliseconds as text, as in the ids of events.
const MS_DIGITS: usize = 13;

/// Which id of our side corresponds to each id of the server's side, and back.
#[derive(Default)]
pub(super) struct Pairs {
    ours: HashMap<Uuid, Uuid>,
    direct: HashMap<Uuid, Uuid>,
}

/// One place where the two differ; `None` where that side has nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// A JSON pointer.
    pub(super) place: String,
    pub(super) direct: Option<Value>,
    pub(super) ours: Option<Value>,
}

impl Pairs {
    pub(super) fn compare(&mut self, direct: &Value, ours: &Value) -> Vec<Difference> {
        let mut differences = Vec::new();
        self.walk("", Some(direct), Some(ours), &mut differences);
        differences
    }

    fn walk(
        &mut self,
        place: &str,
        direct: Option<&Value>,
        ours: Option<&Value>,
        differences: &mut Vec<Difference>,
    ) {
        match (direct, ours) {
            (Some(Value::Object(direct)), Some(Value::Object(ours))) => {
                let mut added: Vec<&String> = ours.keys().filter(|key| !direct.contains_key(*key)).collect();
                for (key, value) in direct {
                    let same = ours.get(key).or_else(|| {
                        let twin = added.iter().position(|other| self.same_text(key, other))?;
                        ours.get(added.remove(twin))
                    });
                    self.walk(&format!("{place}/{key}"), Some(value), same, differences);
                }
                for key in added {
                    self.walk(&format!("{place}/{key}"), None, ours.get(key), differences);
                }
            }
            (Some(Value::Array(direct)), Some(Value::Array(ours))) => {
                for index in 0..direct.len().max(ours.len()) {
                    self.walk(&format!("{place}/{index}"), direct.get(index), ours.get(index), differences);
                }
            }
            (direct, ours) if self.alike(direct, ours) => {}
            (direct, ours) => {
                let place = place.to_owned();
                differences.push(Difference { place, direct: direct.cloned(), ours: ours.cloned() });
            }
        }
    }

    fn alike(&mut self, direct: Option<&Value>, ours: Option<&Value>) -> bool {
        match (direct, ours) {
            (Some(Value::String(direct)), Some(Value::String(ours))) => self.same_text(direct, ours),
            (Some(Value::Number(direct)), Some(Value::Number(ours))) => {
                let present = |number: &serde_json::Number| number.as_i64().is_some_and(is_present);
                direct == ours || (present(direct) && present(ours))
            }
            (direct, ours) => direct == ours,
        }
    }

    fn same_text(&mut self, direct: &str, ours: &str) -> bool {
        let (direct, ours) = (Parts::of(direct), Parts::of(ours));
        direct.text == ours.text
            && direct.ids.len() == ours.ids.len()
            && direct.ids.into_iter().zip(ours.ids).all(|(direct, ours)| self.pair(direct, ours))
    }

    fn pair(&mut self, direct: Uuid, ours: Uuid) -> bool {
        *self.ours.entry(direct).or_insert(ours) == ours
            && *self.direct.entry(ours).or_insert(direct) == direct
    }
}

/// A string without what varies: ids are removed, and the digits of the present time are replaced.
struct Parts {
    text: String,
    ids: Vec<Uuid>,
}

impl Parts {
    fn of(whole: &str) -> Self {
        let (mut text, mut ids, mut rest) = (String::new(), Vec::new(), whole);
        if whole.parse().is_ok_and(|time: jiff::Timestamp| is_present(time.as_millisecond())) {
            text = whole.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
            return Self { text, ids };
        }
        while let Some(char) = rest.chars().next() {
            let taken = if let Some((id, length)) = id_at(rest) {
                text.push(char::REPLACEMENT_CHARACTER);
                ids.push(id);
                length
            } else if rest.get(..MS_DIGITS).and_then(|ms| ms.parse().ok()).is_some_and(is_present) {
                text.push_str(&"0".repeat(MS_DIGITS));
                MS_DIGITS
            } else {
                text.push(char);
                char.len_utf8()
            };
            rest = &rest[taken..];
        }
        Self { text, ids }
    }
}

/// A UUID with hyphens, or a digest of as many bits without them, as the ids of interrupts are.
fn id_at(text: &str) -> Option<(Uuid, usize)> {
    let id = |length| Some((Uuid::try_parse(text.get(..length)?).ok()?, length));
    id(36).or_else(|| id(32))
}

fn is_present(ms: i64) -> bool {
    (ms - now().as_millisecond()).abs() < DAY_MS
}

#[test]
fn an_id_corresponds_to_one_id_of_the_other_side() {
    use serde_json::json;
    let [a, b, c] = [1, 2, 3].map(|id| Uuid::from_u128(id).to_string());
    let mut pairs = Pairs::default();
    let compared = pairs.compare(&json!([a, format!("/runs/{a}")]), &json!([b, format!("/runs/{b}")]));
    assert_eq!(compared, []);
    assert_eq!(pairs.compare(&json!({format!("x-{a}"): 1}), &json!({format!("x-{b}"): 1})), []);
    for (direct, ours) in [(&a, &c), (&c, &b)] {
        let expected = Difference {
            place: "/run_id".to_owned(),
            direct: Some(direct.as_str().into()),
            ours: Some(ours.as_str().into()),
        };
        assert_eq!(pairs.compare(&json!({"run_id": direct}), &json!({"run_id": ours})), [expected]);
    }
}

#[test]
fn only_the_present_may_differ_and_only_in_its_digits() {
    use serde_json::json;
    let now_text = now().strftime("%Y-%m-%dT%H:%M:%S.123456+00:00").to_string();
    let differ = |direct: Value, ours: Value| !Pairs::default().compare(&direct, &ours).is_empty();
    assert!(!differ(json!(now_text), json!(now_text.replace("123456", "654321"))));
    assert!(differ(json!(now_text), json!(now_text.replace("123456", "123"))));
    assert!(differ(json!(now_text), json!(now_text.replace("+00:00", "Z"))));
    let ms = now().as_millisecond();
    assert!(!differ(json!(ms), json!(ms + 5000)));
    assert!(!differ(json!(format!("{ms}-1")), json!(format!("{}-1", ms + 1))));
    assert!(differ(json!(format!("{ms}-1")), json!(format!("{ms}-2"))));
    assert!(differ(json!(1), json!(2)));
    assert!(differ(json!("2100-01-01T00:00:00Z"), json!("2100-01-02T00:00:00Z")));
    assert!(differ(json!({"a": null}), json!({})));
    assert!(differ(json!({}), json!({"a": null})));
    assert!(differ(json!([1]), json!([1, 2])));
}
