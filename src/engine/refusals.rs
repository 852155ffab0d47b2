//! What the agent server refuses us. Each cause is logged once, however many runs it concerns and however often they
//! are tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::backend::Refusal;

/// What is refused now, by id, with the HTTP status: the server's message may differ from one answer to the next.
#[derive(Debug)]
pub struct Refusals<Id>(Mutex<HashMap<Id, u16>>);

impl<Id> Default for Refusals<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Hash + Eq> Refusals<Id> {
    /// Records a refusal, and returns whether it is new for this id. `effect` says in the log what cannot be done.
    pub(super) fn record(&self, id: Id, effect: &str, refusal: &Refusal) -> bool {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !refused.values().any(|code| *code == refusal.code) {
            tracing::error!(
                effect,
                detail = %refusal,
                "access refused; backend.api_key and backend.headers do not let us see everything"
            );
        }
        refused.insert(id, refusal.code) != Some(refusal.code)
    }

    /// Records that the server does what it had refused.
    pub(super) fn lift(&self, id: &Id) {
        if self.forget(id) {
            tracing::info!("access granted again");
        }
    }

    /// Forgets what is no longer wanted, and returns whether it was the last that was refused.
    pub(super) fn forget(&self, id: &Id) -> bool {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.remove(id).is_some() && refused.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_new_once_for_each_id_and_status() {
        let refusals = Refusals::default();
        let record = |id: &'static str, code: u16, detail: &str| {
            refusals.record(id, "runs cannot be followed", &Refusal { code, detail: detail.to_owned() })
        };
        assert!(record("a", 401, ": request 1"));
        assert!(!record("a", 401, ": request 2"));
        assert!(record("b", 401, ""));
        assert!(record("a", 403, ""));
        assert!(!refusals.forget(&"a"), "another is refused still");
        assert!(refusals.forget(&"b"));
        assert!(!refusals.forget(&"b"));
        assert!(record("a", 403, ""));
    }
}
