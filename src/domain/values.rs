//! The values of a graph as they are recorded: whole if they are small, otherwise as a digest.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Values as they are recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptValues {
    Whole(Value),
    /// Their JSON was longer than allowed: its length and its SHA-256.
    Digest {
        bytes: usize,
        digest: Value,
    },
}

/// Returns the values, or a digest if their JSON is longer than `bytes_max`.
pub fn keep(values: Value, bytes_max: usize) -> KeptValues {
    let text = values.to_string();
    let bytes = text.len();
    if bytes <= bytes_max {
        return KeptValues::Whole(values);
    }
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    KeptValues::Digest { bytes, digest: json!({ "truncated": true, "bytes": bytes, "sha256": hex }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_up_to_the_limit() {
        let values = json!({ "answer": 42 });
        let bytes = values.to_string().len();
        assert_eq!(keep(values.clone(), bytes), KeptValues::Whole(values.clone()));
        let KeptValues::Digest { bytes: dropped, digest } = keep(values, bytes - 1) else {
            panic!("kept whole")
        };
        assert_eq!((dropped, &digest["truncated"], &digest["bytes"]), (bytes, &json!(true), &json!(bytes)));
        assert_eq!(digest["sha256"].as_str().map(str::len), Some(64));
    }
}
