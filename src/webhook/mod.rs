//! Webhooks: the body that tells about an ended run, and one attempt to deliver it.

mod answer;
mod body;
mod request;
mod sample;
mod secrets;
mod send;

use crate::domain::ids::RunId;

pub use body::{BodyLimits, Ended, body};
pub use sample::{Sample, sample};
pub use send::{Attempt, Origin, Sender};

/// The receiver's key against doubles: the same at every attempt to tell about this run.
pub fn webhook_id(run_id: RunId) -> String {
    format!("msg_{run_id}")
}

/// A URL as it may be shown: scheme, host and path. The query, or a fragment, may be a token.
pub fn redacted(url: &str) -> String {
    match url.split_once(['?', '#']) {
        Some((address, _)) => format!("{address}?…"),
        None => url.to_owned(),
    }
}
