//! What the agent server refuses us. Each cause is logged once, however many runs it concerns and however often they
//! are tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::backend::Denial;

/// What is refused now, by id, with the HTTP status: the server's message may differ from one answer to the next.
#[derive(Debug)]
pub struct Denials<Id>(Mutex<HashMap<Id, u16>>);

impl<Id> Default for Denials<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Hash + Eq> Denials<Id> {
    /// Records a denial, and returns whether it is new for this id. `effect` says in the log what cannot be done.
    pub(super) fn record(&self, id: Id, effect: &str, denial: &Denial) -> bool {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !denied.values().any(|code| *code == denial.code) {
            tracing::error!(
                effect,
                detail = %denial,
                "access denied; backend.api_key and backend.headers do not let us see everything"
            );
        }
        denied.insert(id, denial.code) != Some(denial.code)
    }

    /// Records that the server does what it had refused.
    pub(super) fn lift(&self, id: &Id) {
        if self.forget(id) {
            tracing::info!("access granted again");
        }
    }

    /// Forgets what is no longer wanted, and returns whether it was the last that was refused.
    pub(super) fn forget(&self, id: &Id) -> bool {
        let mut denied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        denied.remove(id).is_some() && denied.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_new_once_for_each_id_and_status() {
        let denials = Denials::default();
        let record = |id: &'static str, code: u16, detail: &str| {
            denials.record(id, "runs cannot be followed", &Denial { code, detail: detail.to_owned() })
        };
        assert!(record("a", 401, ": request 1"));
        assert!(!record("a", 401, ": request 2"));
        assert!(record("b", 401, ""));
        assert!(record("a", 403, ""));
        assert!(!denials.forget(&"a"), "another is refused still");
        assert!(denials.forget(&"b"));
        assert!(!denials.forget(&"b"));
        assert!(record("a", 403, ""));
    }
}
