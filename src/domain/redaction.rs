//! The parts of values that are never kept, named by JSON Pointers (RFC 6901) in which `*` stands for every element of an
//! array and every member of an object.

use std::fmt;

use serde_json::Value;

/// What is written in the place of a part that is not kept.
pub const REDACTED: &str = "[redacted]";

/// The parts of a value that a pointer names.
#[derive(Clone, PartialEq, Eq)]
pub struct Pointer {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The member of this name, or the element of this number.
    Named(String),
    Every,
}

/// Why a text is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPointer {
    #[error("expected a JSON Pointer, which begins with `/`, such as \"/messages/*/content\"")]
    NoSlash,
    #[error("got a `~` that is neither `~0` nor `~1`; `~` itself is written `~0`")]
    BadEscape,
}

impl Pointer {
    /// Parses a pointer. The empty one names the whole value.
    pub fn parse(text: &str) -> Result<Self, InvalidPointer> {
        let steps = match text.split_once('/') {
            None if text.is_empty() => Vec::new(),
            Some(("", steps)) => steps.split('/').map(step).collect::<Result<_, _>>()?,
            Some(_) | None => return Err(InvalidPointer::NoSlash),
        };
        Ok(Self { steps })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| match step {
            Step::Named(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Every => f.write_str("/*"),
        })
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.steps).finish()
    }
}

fn step(written: &str) -> Result<Step, InvalidPointer> {
    if written == "*" {
        return Ok(Step::Every);
    }
    let mut parts = written.split('~');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match part.split_at_checked(1) {
            Some(("0", rest)) => ('~', rest),
            Some(("1", rest)) => ('/', rest),
            Some(_) | None => return Err(InvalidPointer::BadEscape),
        };
        name.push(character);
        name.push_str(rest);
    }
    Ok(Step::Named(name))
}

/// Replaces every part of the value that one of the pointers names.
pub fn redact(pointers: &[Pointer], value: &mut Value) {
    pointers.iter().for_each(|pointer| redact_at(&pointer.steps, value));
}

/// Does the same in the value of each question at which a graph stopped, whichever way the questions are listed: a question
/// mostly shows a part of the state, or all of it.
pub fn redact_questions(pointers: &[Pointer], questions: &mut Value) {
    redact(pointers, questions);
    match questions {
        Value::Array(items) => items.iter_mut().for_each(|item| redact_questions(pointers, item)),
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "value" => redact(pointers, member),
                    _ => redact_questions(pointers, member),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn redact_at(steps: &[Step], value: &mut Value) {
    let Some((first, rest)) = steps.split_first() else {
        *value = Value::String(REDACTED.to_owned());
        return;
    };
    match (first, value) {
        (Step::Every, Value::Array(items)) => items.iter_mut().for_each(|item| redact_at(rest, item)),
        (Step::Every, Value::Object(members)) => {
            members.values_mut().for_each(|member| redact_at(rest, member));
        }
        (Step::Named(name), Value::Object(members)) => {
            if let Some(member) = members.get_mut(name) {
                redact_at(rest, member);
            }
        }
        (Step::Named(name), Value::Array(items)) => {
            if let Some(item) = index(name).and_then(|index| items.get_mut(index)) {
                redact_at(rest, item);
            }
        }
        (
            Step::Every | Step::Named(_),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_),
        ) => {}
    }
}

/// Returns the number of an element, which has no leading zero.
fn index(name: &str) -> Option<usize> {
    let is_plain = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn redacted(pointer: &str, mut value: Value) -> Value {
        redact(&[Pointer::parse(pointer).unwrap()], &mut value);
        value
    }

    #[test]
    fn a_pointer_names_parts() {
        let gone = || json!(REDACTED);
        let values = || json!({ "messages": [{ "content": "s", "id": 1 }, { "content": ["t"] }, 3], "a/b": { "~": 1 }, "": 0 });
        for (pointer, expected) in [
            ("", gone()),
            (
                "/messages/*/content",
                json!({ "messages": [{ "content": gone(), "id": 1 }, { "content": gone() }, 3], "a/b": { "~": 1 }, "": 0 }),
            ),
            (
                "/messages/1",
                json!({ "messages": [{ "content": "s", "id": 1 }, gone(), 3], "a/b": { "~": 1 }, "": 0 }),
            ),
            (
                "/a~1b/~0",
                json!({ "messages": [{ "content": "s", "id": 1 }, { "content": ["t"] }, 3], "a/b": { "~": gone() }, "": 0 }),
            ),
            ("/*", json!({ "messages": gone(), "a/b": gone(), "": gone() })),
            (
                "/",
                json!({ "messages": [{ "content": "s", "id": 1 }, { "content": ["t"] }, 3], "a/b": { "~": 1 }, "": gone() }),
            ),
            ("/messages/01", values()),
            ("/messages/-", values()),
            ("/absent/*/x", values()),
            ("/messages/content", values()),
        ] {
            assert_eq!(redacted(pointer, values()), expected, "{pointer}");
        }
    }

    #[test]
    fn questions_are_redacted_by_themselves_and_by_their_value() {
        let pointers = [Pointer::parse("/text").unwrap(), Pointer::parse("/messages/*/content").unwrap()];
        for questions in [
            json!([{ "value": { "text": "s" }, "id": "1" }]),
            json!({ "task": [{ "value": { "text": "s" } }] }),
            json!([{ "value": { "messages": [{ "content": "s" }] } }]),
            json!({ "text": "s" }),
        ] {
            let mut shown = questions.clone();
            redact_questions(&pointers, &mut shown);
            assert!(!shown.to_string().contains("\"s\""), "{shown}");
            assert!(shown.to_string().contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for (text, expected) in [
            ("messages", InvalidPointer::NoSlash),
            ("messages/0", InvalidPointer::NoSlash),
            ("*", InvalidPointer::NoSlash),
            ("/a~", InvalidPointer::BadEscape),
            ("/a~2b", InvalidPointer::BadEscape),
            ("/~é", InvalidPointer::BadEscape),
        ] {
            assert_eq!(Pointer::parse(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pointer_or_refused(text in "\\PC*") {
            let _ = Pointer::parse(&text);
        }

        #[test]
        fn a_name_survives_its_escapes(name in "[a-z~/*]{1,8}") {
            prop_assume!(name != "*");
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            prop_assert_eq!(redacted(&pointer, json!({ name.clone(): 1 })), json!({ name: REDACTED }));
        }
    }
}
