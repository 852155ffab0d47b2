//! Reads the pointers to what is never kept.

use super::errors::{Complaint, quoted};
use super::limits::ERRORS_MAX;
use crate::domain::bounds::REDACT_MAX;
use crate::domain::redaction::Pointer;

/// Returns the pointers that these texts are, and reports each text that is none, with its place in the list as a JSON
/// pointer.
pub(super) fn pointers(written: &[String], mut report: impl FnMut(&str, Complaint)) -> Vec<Pointer> {
    if written.len() > REDACT_MAX {
        report("", Complaint::new(format!("got {} pointers, expected at most {REDACT_MAX}", written.len())));
        return Vec::new();
    }
    let mut pointers = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate().take(ERRORS_MAX) {
        match Pointer::parse(text) {
            Ok(pointer) => pointers.push(pointer),
            Err(error) => {
                report(&format!("/{index}"), Complaint::new(format!("got {}: {error}", quoted(text))))
            }
        }
    }
    pointers
}
