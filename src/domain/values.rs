//! What a graph returned, as far as we keep it: whole if it is small, else a digest that says what it was.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The value itself, or, if its JSON is longer than `bytes_max`, its length and SHA-256.
pub fn keep(values: Value, bytes_max: usize) -> Value {
    let text = values.to_string();
    if text.len() <= bytes_max {
        return values;
    }
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "truncated": true, "bytes": text.len(), "sha256": hex })
}
