//! Watches whether the agent server is there, as long as anything depends on it: every call shows it, and if none was made
//! for a moment it is asked. So an outage is noticed within seconds, also one in which nothing is refused and nothing
//! answers, and its end as well.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use super::denials::{Denials, STARTS};
use super::outages::Outages;
use super::runner::BackendBreaker;
use crate::backend::{AgentClient, Denial, Silence};
use crate::clock::Clock;
use crate::domain::backoff;
use crate::domain::bounds::{
    BACKEND_ANSWERS_WITHIN, BACKEND_ASKED_EVERY, BACKEND_AWAY_ASKED_EVERY, BACKEND_HANGS_AFTER,
};
use crate::pulse::Pulse;
use crate::store::StoreError;

/// The wait before a silent server is asked for the first time.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// What the watch needs.
pub struct BackendWatch {
    pub backend: AgentClient,
    pub clock: Clock,
    pub wakes: Wakes,
    pub breaker: Arc<BackendBreaker>,
    pub denials: Denials,
    pub outages: Outages,
}

/// Watches until it is stopped.
pub async fn run(watch: BackendWatch, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    let contact = watch.backend.contact();
    let patience = BACKEND_ANSWERS_WITHIN.min(watch.backend.request_timeout());
    // How often the server was asked in vain: twice, or for a long time.
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
        pulse.busy();
        let silence = contact.silence();
        if silence.is_none() {
            unanswered = 0;
        }
        watch.note(silence.as_ref(), unanswered > 0);
        let wait = match &silence {
            Some(silence) => {
                let wait = backoff::doubling(FIRST_WAIT, BACKEND_AWAY_ASKED_EVERY, unanswered + 1);
                Some(wait.saturating_sub(asked_at.max(silence.since).elapsed()))
            }
            None => contact.quiet_since().map(|since| BACKEND_ASKED_EVERY.saturating_sub(since.elapsed())),
        };
        pulse.idle();
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
        let began = Instant::now();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = watch.backend.ask_whether_it_is_there(patience) => {}
        }
        let took = began.elapsed();
        let is_in_vain = contact.heard_ago().is_none_or(|ago| ago >= took);
        unanswered += u32::from(is_in_vain && (silence.is_some() || took >= BACKEND_HANGS_AFTER));
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
    /// Takes note of whether the server is there, and lets us in. A silence is a suspicion until it `is_confirmed`.
    fn note(&self, silence: Option<&Silence>, is_confirmed: bool) {
        let now = self.clock.now();
        match silence {
            Some(Silence { since, why }) if is_confirmed => {
                let ago = i64::try_from(since.elapsed().as_millis())
                    .map_or(SignedDuration::ZERO, SignedDuration::from_millis);
                self.breaker.away(&format!("agent server unreachable: {why}"));
                self.outages.backend_away(now.saturating_sub(ago).unwrap_or(now), why);
            }
            Some(_) => {}
            None => {
                if self.breaker.back(now) {
                    self.wakes.runner.notify_one();
                }
                self.outages.backend_back(now);
            }
        }
        match self.breaker.denied() {
            Some((since, denial)) => {
                self.denials.record(STARTS, "runs cannot be started", &denial);
                let Denial { code, detail } = denial;
                let why = format!("{code}{detail}; sent with {}", self.backend.sent_with());
                self.outages.access_denied(since, &why);
            }
            None => {
                self.denials.lift(STARTS);
                self.outages.access_granted(now);
            }
        }
    }
}
