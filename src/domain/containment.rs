//! Containment of JSON values as in PostgreSQL's `jsonb @>`, by which the agent server filters metadata.

use serde_json::Value;

/// Returns whether `whole` contains everything in `part`: every key of an object, every item of a list in any
/// order, and an equal value for a scalar.
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| contains(whole, part)))
        }
        // 1 and 1.0 are the same number.
        (Value::Number(whole), Value::Number(part)) => whole == part || whole.as_f64() == part.as_f64(),
        (
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_contained() {
        let whole = json!({"team": "ops", "n": {"a": 1, "b": [1, {"c": 2, "d": 3}]}, "none": null});
        let contained = [
            json!({}),
            json!({"team": "ops"}),
            json!({"n": {}}),
            json!({"n": {"a": 1.0}}),
            json!({"n": {"b": [{"c": 2}]}}),
            json!({"n": {"b": []}}),
            json!({"none": null}),
        ];
        for part in contained {
            assert!(contains(&whole, &part), "{part}");
        }
        let not_contained = [
            json!({"team": "dev"}),
            json!({"team": null}),
            json!({"absent": null}),
            json!({"n": {"b": 1}}),
            json!({"n": {"b": [4]}}),
            json!({"n": []}),
            json!({"n": {"a": "1"}}),
        ];
        for part in not_contained {
            assert!(!contains(&whole, &part), "{part}");
        }
    }
}
