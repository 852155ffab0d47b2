//! The input that `trigger` and `retry` give a run.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::terminal::Failure;
use crate::config::read_regular;
use crate::domain::bounds::API_BODY_BYTES_MAX;

/// Reads the file of `--input`, or standard input for `-`.
pub(super) fn read_input(path: &Path) -> Result<Value, Failure> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().take(API_BODY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(|_| bytes),
        false => read_regular(path, API_BODY_BYTES_MAX as u64),
    };
    let bytes = read.map_err(|error| Failure::Usage(format!("--input: cannot read {shown}: {error}")))?;
    let input: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Usage(format!("--input: {shown} is not JSON: {error}")))?;
    // The daemon would take it for no input at all.
    if input.is_null() {
        return Err(Failure::Usage(format!("--input: {shown} holds null, expected an input")));
    }
    Ok(input)
}
