//! Secrets that were sent in a request and must be redacted where the answer quotes them: servers like to
//! echo.

use std::fmt;

use serde_json::Value;

/// Shorter texts occur by chance in every answer, and are no secrets.
const SECRET_BYTES_MIN: usize = 4;
/// Names of tenants and stages are shorter than this, and keys are longer.
const LONG_SECRET_BYTES_MIN: usize = 12;

/// The secrets of a request, in the forms that an echo may have. Debug output hides them.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secrets {
    /// Adds a secret, also in the form that it has inside a JSON text.
    pub fn add(&mut self, secret: impl Into<String>) {
        let secret = secret.into();
        if secret.len() < SECRET_BYTES_MIN {
            return;
        }
        // Few secrets look different there, and a few are added for each webhook.
        if secret.bytes().any(|byte| matches!(byte, b'"' | b'\\') || byte.is_ascii_control()) {
            let in_json = Value::String(secret.clone()).to_string();
            self.0.push(in_json[1..in_json.len() - 1].to_owned());
        }
        self.0.push(secret);
    }

    /// Returns these secrets together with those of another request.
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Returns those that are too long to be a word by chance, for texts that must not be changed in vain.
    pub fn long(&self) -> Self {
        Self(self.0.iter().filter(|secret| secret.len() >= LONG_SECRET_BYTES_MIN).cloned().collect())
    }

    /// Returns the text with each secret replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        let mut longest_first: Vec<&str> = self.0.iter().map(String::as_str).collect();
        longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        longest_first.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    /// Redacts every text in a value. Keys of objects stay as they are.
    pub fn redact_in(&self, value: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_in(item)),
            Value::Object(entries) => entries.values_mut().for_each(|item| self.redact_in(item)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_redacted_in_every_text_of_a_value_and_when_quoted() {
        let mut secrets = Secrets::default();
        for secret in ["s3cret", "s3cret-and-more", "a\"b\\c", "abc"] {
            secrets.add(secret);
        }
        assert_eq!(secrets.redact("s3cret-and-more, s3cret, abc"), "***, ***, abc");
        assert_eq!(secrets.redact(&json!({ "echo": "a\"b\\c" }).to_string()), r#"{"echo":"***"}"#);
        let mut value = json!([{ "s3cret": ["Bearer s3cret", 1] }]);
        secrets.redact_in(&mut value);
        assert_eq!(value, json!([{ "s3cret": ["Bearer ***", 1] }]));
        assert_eq!(format!("{secrets:?}"), "***");
    }
}
