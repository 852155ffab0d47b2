//! One gate before the backend: when it is down, or refuses our key, one run asks whether it is back, and the others
//! wait in the store, untouched and in order. What is not sent cannot be in doubt.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff;

/// Between two probes of a backend that cannot be reached.
const UNREACHABLE_FIRST: Duration = Duration::from_millis(250);
const UNREACHABLE_MOST: Duration = Duration::from_secs(5);
/// Between two probes of a backend that refuses our key: hammering would lock the key out.
const DENIED_FIRST: Duration = Duration::from_secs(5);
const DENIED_MOST: Duration = Duration::from_secs(60);
/// The most patience a backend may ask of us.
const ASKED_MOST: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Default)]
pub struct BackendBreaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    probe_at: Option<Timestamp>,
    trouble: Option<String>,
    /// The last trouble that is over, and when it was.
    past: Option<(Timestamp, String)>,
}

/// Why the gate closes.
pub(super) enum Trouble {
    /// It cannot be reached, or asked us to wait.
    Unreachable {
        /// How long it asked us to wait.
        asked: Option<Duration>,
    },
    /// It refused our key.
    Denied,
}

impl BackendBreaker {
    /// What keeps the backend from taking runs right now.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// How many starts may be claimed now.
    pub(super) fn starts_allowed(&self, now: Timestamp, in_flight: usize, most: usize) -> usize {
        let state = self.lock();
        match state.probe_at {
            None => most.saturating_sub(in_flight),
            // Longer waits are not made here: the clock was set back.
            Some(at) if at > now && backoff::between(now, at) <= ASKED_MOST => 0,
            Some(_) => 1_usize.saturating_sub(in_flight),
        }
    }

    /// When a closed gate lets one probe through.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        self.lock().probe_at
    }

    /// What is wrong with the backend, or was at some time since then.
    pub(super) fn trouble_since(&self, then: Timestamp) -> Option<String> {
        let state = self.lock();
        let past = state.past.as_ref().filter(|(over_at, _)| *over_at >= then);
        state.trouble.clone().or_else(|| past.map(|(_, trouble)| trouble.clone()))
    }

    /// The backend took a request: all may pass.
    pub(super) fn record_success(&self, now: Timestamp) {
        let mut state = self.lock();
        if state.failures > 0 {
            tracing::info!("the backend takes runs again");
        }
        // Those that waited meanwhile are late because of it.
        let past = state.trouble.take().map(|trouble| (now, trouble)).or(state.past.take());
        *state = State { past, ..State::default() };
    }

    /// The backend did not take a request; answers when to ask again. Said once, not once per run.
    pub(super) fn record_failure(&self, now: Timestamp, trouble: &Trouble, detail: &str) -> Timestamp {
        let mut state = self.lock();
        if state.failures == 0 {
            tracing::error!(detail, "the backend takes no runs; they wait until their start deadline");
        }
        // Starts that were in flight together fail together: that is one failure.
        if state.probe_at.is_none_or(|at| at <= now) {
            state.failures = state.failures.saturating_add(1);
        }
        let wait = match trouble {
            Trouble::Unreachable { asked } => {
                let own = backoff::doubling(UNREACHABLE_FIRST, UNREACHABLE_MOST, state.failures);
                own.max(asked.unwrap_or(Duration::ZERO).min(ASKED_MOST))
            }
            Trouble::Denied => backoff::doubling(DENIED_FIRST, DENIED_MOST, state.failures),
        };
        let probe_at = backoff::after(now, wait);
        state.probe_at = Some(probe_at);
        state.trouble = Some(detail.to_owned());
        probe_at
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
