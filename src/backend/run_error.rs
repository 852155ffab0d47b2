//! The error of a run, as servers report it: as an object, as a text, or as an object written into a text.

use serde_json::Value;

use crate::domain::bounds::RUN_ERROR_CHARS_MAX;
use crate::domain::run::RunError;

/// How often an error may be written into the message of another one. The JavaScript server does it once.
const WRAPPED_MAX: usize = 2;

/// Returns the error in `{"error", "message"}`, as far as these fields are present.
pub(super) fn run_error(error: &Value) -> RunError {
    let mut found = one_error(error);
    for _ in 0..WRAPPED_MAX {
        match serde_json::from_str(&found.message) {
            Ok(Value::Object(inner)) if inner.contains_key("message") => found = one_error(&inner.into()),
            Ok(_) | Err(_) => break,
        }
    }
    if found.message.trim().is_empty() {
        "the agent server gave no message".clone_into(&mut found.message);
    }
    if let Some((end, _)) = found.message.char_indices().nth(RUN_ERROR_CHARS_MAX) {
        found.message.truncate(end);
        found.message.push('…');
    }
    found
}

fn one_error(error: &Value) -> RunError {
    let text = |key: &str| error[key].as_str().map(str::to_owned);
    let kind = "Error".to_owned();
    match error {
        Value::Object(_) => {
            RunError { error: text("error").unwrap_or(kind), message: text("message").unwrap_or_default() }
        }
        Value::String(message) => RunError { error: kind, message: message.clone() },
        other => RunError { error: kind, message: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_in_a_text_is_unwrapped_and_an_empty_one_says_so() {
        let boom = json!({ "error": "Error", "message": "boom" });
        let wrapped = json!({ "error": "Error", "message": boom.to_string() });
        let twice = json!({ "error": "Outer", "message": wrapped.to_string() });
        let cases = [
            json!({ "error": "ValueError", "message": "boom" }),
            wrapped.clone(),
            twice.clone(),
            json!({ "error": "Outermost", "message": twice.to_string() }),
            json!(boom.to_string()),
            json!({ "error": "ValueError", "message": "{\"code\": 7}" }),
            json!({ "error": "ValueError", "message": "" }),
            json!({ "message": null }),
            json!("a text"),
            json!(7),
        ];
        let mut table = String::new();
        for case in cases {
            let RunError { error, message } = run_error(&case);
            table.push_str(&format!("{error}: {message}\n"));
        }
        expect![[r#"
            ValueError: boom
            Error: boom
            Error: boom
            Error: {"error":"Error","message":"boom"}
            Error: boom
            ValueError: {"code": 7}
            ValueError: the agent server gave no message
            Error: the agent server gave no message
            Error: a text
            Error: 7
        "#]]
        .assert_eq(&table);
        let long = run_error(&json!({ "message": "é".repeat(RUN_ERROR_CHARS_MAX + 1) }));
        assert_eq!(long.message.chars().count(), RUN_ERROR_CHARS_MAX + 1);
    }
}
