//! What the agent server refuses us. Each cause is logged once, however many runs it concerns and however often they
//! are tried again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::backend::{AgentClient, Denial};

/// Stands for every run that is to be started, among the ids of runs and threads.
pub(super) const STARTS: Uuid = Uuid::nil();

/// What is refused now. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Denials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// By the id of the run or the thread, with the HTTP status: the server's message may differ from one answer to the next.
    denied: Mutex<HashMap<Uuid, u16>>,
    /// The names of the headers that were to let us in.
    sent_with: String,
}

impl Denials {
    pub fn of(backend: &AgentClient) -> Self {
        Self(Arc::new(Shared { denied: Mutex::default(), sent_with: backend.sent_with() }))
    }

    /// Records a denial, and returns whether it is new for this id. `effect` says in the log what cannot be done.
    pub(super) fn record(&self, id: Uuid, effect: &str, denial: &Denial) -> bool {
        let mut denied = self.0.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if !denied.values().any(|code| *code == denial.code) {
            tracing::error!(
                effect,
                detail = %denial,
                sent_with = self.0.sent_with,
                "access denied; correct backend.api_key or backend.headers"
            );
        }
        denied.insert(id, denial.code) != Some(denial.code)
    }

    /// Records that the server does what it had refused.
    pub(super) fn lift(&self, id: Uuid) {
        if self.forget(id) {
            tracing::info!("access granted again");
        }
    }

    /// Forgets what is no longer wanted, and returns whether it was the last that was refused.
    pub(super) fn forget(&self, id: Uuid) -> bool {
        let mut denied = self.0.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.remove(&id).is_some() && denied.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_new_once_for_each_id_and_status() {
        let shared = Shared { denied: Mutex::default(), sent_with: "x-api-key".to_owned() };
        let denials = Denials(Arc::new(shared));
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let record = |id: Uuid, code: u16, detail: &str| {
            denials.record(id, "runs cannot be followed", &Denial { code, detail: detail.to_owned() })
        };
        assert!(record(a, 401, ": request 1"));
        assert!(!record(a, 401, ": request 2"));
        assert!(record(b, 401, ""));
        assert!(record(a, 403, ""));
        assert!(!denials.forget(a), "another is refused still");
        assert!(denials.forget(b));
        assert!(!denials.forget(b));
        assert!(record(a, 403, ""));
    }
}
