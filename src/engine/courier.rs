//! From deliveries to receivers: takes what is due in hand, makes one attempt each, records what came of it.

mod origin_limiter;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::domain::bounds::ATTEMPTS_IN_FLIGHT;
use crate::domain::delivery::{AttemptReport, AttemptResult, Ending, Pace, Verdict, judge};
use crate::domain::delivery_mode::{DeliveryMode, RateLimit};
use crate::domain::run::called;
use crate::store::{ClaimedDelivery, FinishedAttempt, Store, StoreError};
use crate::webhook::{CancelToken, LiveSettings, OutboundWebhook, Sender, redacted, webhook_id};
pub use origin_limiter::OriginLimiter;
use origin_limiter::Permit;

/// What the courier needs.
#[derive(Clone)]
pub struct Courier {
    /// Where deliveries are.
    pub store: Store,
    /// How they are sent.
    pub sender: Sender,
    /// The time.
    pub clock: Clock,
    /// Its nudge.
    pub wakes: Wakes,
    /// Whether anything is sent, and how; the sender follows it.
    pub webhooks: LiveSettings,
    /// How its receivers are.
    pub origins: OriginLimiter,
}

/// What an attempt has to pass before it is made.
#[derive(Default)]
struct SendControl {
    origins: OriginLimiter,
    rate_limit: RateLimit,
    /// Of the attempts that are being made.
    cancel: CancelToken,
}

impl SendControl {
    /// Whatever is not written yet is taken back into the store, and goes by what is in force then.
    fn withdraw_unsent(&mut self) {
        std::mem::take(&mut self.cancel).cancel();
    }

    /// Takes note of how webhooks flow, and how many attempts begin now; answers when the next may, by a rate.
    fn note(&mut self, mode: &DeliveryMode, begun: usize, now: Timestamp) -> Option<Timestamp> {
        match mode {
            DeliveryMode::Free => self.rate_limit = RateLimit::default(),
            DeliveryMode::Held(_) => {
                self.rate_limit = RateLimit::default();
                self.withdraw_unsent();
            }
            DeliveryMode::Released(release) => self.rate_limit = self.rate_limit.begun(begun, *release, now),
        }
        self.rate_limit.next_at().filter(|at| *at > now)
    }
}

type Attempts = JoinSet<Result<(), StoreError>>;

/// Delivers until told to stop, then finishes the attempts in flight.
pub async fn run(mut courier: Courier, stop: CancellationToken) -> Result<(), StoreError> {
    let recovered = courier.store.recover_deliveries(courier.clock.now()).await?;
    if recovered > 0 {
        tracing::info!(deliveries = recovered, "took over deliveries of a former process");
    }
    courier.follow_settings().await?;
    let mut attempts = Attempts::new();
    let mut control = SendControl { origins: courier.origins.clone(), ..SendControl::default() };
    loop {
        let next = pass(&courier, &mut control, &mut attempts).await?;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = attempts.join_next() => reap(done)?,
            () = courier.webhooks.changed() => {
                control.withdraw_unsent();
                courier.follow_settings().await?;
            }
            () = courier.wakes.courier.notified() => {}
            () = courier.clock.sleep_until(next) => {}
        }
        while let Some(done) = attempts.try_join_next() {
            reap(done)?;
        }
    }
    while let Some(done) = attempts.join_next().await {
        reap(done)?;
    }
    Ok(())
}

impl Courier {
    /// Takes up the settings in force: what is sent from now on goes by them.
    async fn follow_settings(&mut self) -> Result<(), StoreError> {
        let settings = self.webhooks.now();
        self.sender = self.sender.with_settings(settings.webhooks.clone());
        if settings.disabled {
            let suppressed = self.store.disable_webhooks(self.clock.now()).await?;
            tracing::warn!(suppressed, "webhooks are disabled (http.disable_webhooks): recorded, not sent");
            return Ok(());
        }
        let Some(suppressed) = self.store.enable_webhooks().await? else { return Ok(()) };
        let how = "`agentcron webhook replay --status suppressed` sends them";
        tracing::info!(suppressed, how, "webhooks are enabled; what was suppressed stays unsent");
        Ok(())
    }
}

async fn pass(
    courier: &Courier,
    control: &mut SendControl,
    attempts: &mut Attempts,
) -> Result<Option<Timestamp>, StoreError> {
    let now = courier.clock.now();
    if courier.webhooks.now().disabled {
        // A run that ended while they were being disabled may have left some.
        courier.store.disable_webhooks(now).await?;
        return Ok(None);
    }
    // Even with no place left a hold is to be seen.
    let free = ATTEMPTS_IN_FLIGHT.saturating_sub(control.origins.in_flight());
    let admit = admission(courier, &control.origins, now);
    let claim = courier.store.claim_deliveries(now, free, control.rate_limit, admit).await?;
    let next_by_rate = control.note(&claim.mode, claim.deliveries.len(), now);
    for (delivery, permit) in claim.deliveries {
        let (courier, cancel) = (courier.clone(), control.cancel.clone());
        attempts.spawn(async move { attempt(&courier, delivery, permit, &cancel).await });
    }
    // Whoever gives its place back nudges us.
    if free == 0 {
        return Ok(None);
    }
    let next_opening = control.origins.next_opening(now);
    Ok(claim.next_due_at.into_iter().chain(next_opening).chain(next_by_rate).min())
}

/// Places at the origins of URLs, whose placeholders are filled once in a pass.
fn admission(
    courier: &Courier,
    origins: &OriginLimiter,
    now: Timestamp,
) -> impl FnMut(&str) -> Option<Permit> + Send + use<> {
    let (sender, origins, mut known) = (courier.sender.clone(), origins.clone(), HashMap::new());
    move |url| {
        if !known.contains_key(url) {
            known.insert(url.to_owned(), sender.origin(url));
        }
        origins.admit(known.get(url)?.clone(), now)
    }
}

async fn attempt(
    courier: &Courier,
    delivery: ClaimedDelivery,
    permit: Permit,
    cancel: &CancelToken,
) -> Result<(), StoreError> {
    let ClaimedDelivery { delivery_id, run_id, attempt, .. } = delivery;
    let step = delivery.step();
    crash_point("attempt_committed").await;
    let send =
        OutboundWebhook { webhook_id: webhook_id(run_id), url: delivery.url.clone(), body: delivery.body };
    // A bug concerns this attempt only: its delivery must not stay in hand until somebody restarts the daemon.
    let sending = AssertUnwindSafe(courier.sender.send_unless_cancelled(send, cancel));
    let report = sending.catch_unwind().await.unwrap_or_else(|_| AttemptReport::unanswered(broken()));
    crash_point("attempt_answered").await;
    let at = courier.clock.now();
    let verdict = judge(delivery_id, step, &report.result, at);
    let opened = permit.judge(&report.result, at);
    drop(permit);
    // What takes its place can be claimed by the commit that records this one.
    courier.wakes.courier.notify_one();
    if let Some(detail) = report.result.detail() {
        let then = match &verdict {
            Verdict::Again(at) => format!("next attempt at {at}"),
            Verdict::Ended(Ending::Gone, _) => "its URL is suspended (`agentcron webhook resume`)".to_owned(),
            Verdict::Ended(..) | Verdict::Delivered => "no further attempt".to_owned(),
        };
        let url = redacted(&delivery.url);
        tracing::warn!(cron = called(delivery.cron_name.as_deref()), %run_id, url, attempt, detail, then, "webhook not delivered");
    }
    if let Some(opened) = opened {
        let url = redacted(&delivery.url);
        tracing::warn!(url, probe_at = %opened.until, "its receiver is left alone: failure after failure");
    }
    courier.store.finish_attempt(FinishedAttempt { delivery_id, attempt, at, report, verdict }).await?;
    crash_point("attempt_recorded").await;
    Ok(())
}

/// What came of an attempt that panicked.
fn broken() -> AttemptResult {
    let detail = "internal: a bug in agentcron broke this attempt off; please report it".to_owned();
    AttemptResult::Refused { code: None, detail, retry_after: None, pace: Pace::Slow }
}

fn reap(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), StoreError> {
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) if problem.concerns_one_operation() => {
            tracing::error!(%problem, "what came of an attempt was refused; it is made again after a restart");
            Ok(())
        }
        Ok(Err(lost)) => Err(lost),
        Err(panic) => {
            tracing::error!(%panic, "a bug: an attempt panicked; it is made again after a restart");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
