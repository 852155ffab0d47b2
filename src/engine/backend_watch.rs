//! Watches whether the agent server is there, as long as anything depends on it: every call shows it, and if none was made
//! for a moment it is asked. So an outage is noticed within seconds, also one in which nothing is refused and nothing
//! answers, and its end as well.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use super::outages::Outages;
use super::runner::BackendBreaker;
use crate::backend::{AgentClient, Silence};
use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{BACKEND_ANSWERS_WITHIN, BACKEND_ASKED_EVERY, BACKEND_AWAY_ASKED_EVERY};
use crate::store::StoreError;

/// The wait before a silent server is asked for the first time.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// What the watch needs.
pub struct BackendWatch {
    pub backend: AgentClient,
    pub clock: Clock,
    pub wakes: Wakes,
    pub breaker: Arc<BackendBreaker>,
    pub outages: Outages,
}

/// Watches until it is stopped.
pub async fn run(watch: BackendWatch, stop: CancellationToken) -> Result<(), StoreError> {
    let contact = watch.backend.contact();
    // How often a server that was silent already was asked and did not answer.
    let mut unanswered = 0;
    let mut asked_at = Instant::now();
    if watch.outages.is_backend_in_question() {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = watch.backend.ask_whether_it_is_there(BACKEND_ANSWERS_WITHIN) => {}
        }
    }
    loop {
        let silence = contact.silence();
        if silence.is_none() {
            unanswered = 0;
        }
        // After one call without an answer nothing is known.
        if silence.is_none() || unanswered > 0 {
            watch.note(silence.as_ref());
        }
        let wait = match &silence {
            Some(silence) => {
                let wait = backoff::doubling(FIRST_WAIT, BACKEND_AWAY_ASKED_EVERY, unanswered + 1);
                Some(wait.saturating_sub(asked_at.max(silence.since).elapsed()))
            }
            None => contact.quiet_since().map(|since| BACKEND_ASKED_EVERY.saturating_sub(since.elapsed())),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = contact.changed() => continue,
            () = sleep(wait) => {}
        }
        let is_quiet = contact.quiet_since().is_some_and(|since| since.elapsed() >= BACKEND_ASKED_EVERY);
        if silence.is_none() && !is_quiet {
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = watch.backend.ask_whether_it_is_there(BACKEND_ANSWERS_WITHIN) => {}
        }
        unanswered += u32::from(silence.is_some());
        asked_at = Instant::now();
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

impl BackendWatch {
    /// Takes note that the server is away, or that it is there.
    fn note(&self, away: Option<&Silence>) {
        let now = self.clock.now();
        if let Some(Silence { since, why }) = away {
            let ago = i64::try_from(since.elapsed().as_millis())
                .map_or(SignedDuration::ZERO, SignedDuration::from_millis);
            self.breaker.away(&format!("backend unreachable: {why}"));
            return self.outages.backend_away(now.saturating_sub(ago).unwrap_or(now), why);
        }
        if self.breaker.back(now) {
            self.wakes.runner.notify_one();
        }
        match self.breaker.denied() {
            Some((since, why)) => self.outages.backend_away(since, &why),
            None => self.outages.backend_back(now),
        }
    }
}
