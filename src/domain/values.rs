//! The values of a graph as they are recorded: whole if they are small, otherwise as a digest.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Returns the values, or, if their JSON is longer than `bytes_max`, its length and SHA-256.
pub fn keep(values: Value, bytes_max: usize) -> Value {
    let text = values.to_string();
    if text.len() <= bytes_max {
        return values;
    }
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "truncated": true, "bytes": text.len(), "sha256": hex })
}
