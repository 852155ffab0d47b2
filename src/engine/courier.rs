//! From deliveries to receivers: takes what is due in hand, makes one attempt each, records what came of it.

mod origins;

use std::collections::HashMap;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::Clock;
use crate::crash::crash_point;
use crate::domain::bounds::ATTEMPTS_IN_FLIGHT;
use crate::domain::delivery::{Verdict, judge};
use crate::store::{ClaimedDelivery, FinishedAttempt, Store, StoreError};
use crate::webhook::{Attempt, Sender, redacted, webhook_id};
use origins::{Origins, Place};

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
    /// Nothing is sent: what waits is recorded as suppressed.
    pub disable_webhooks: bool,
}

type Attempts = JoinSet<Result<(), StoreError>>;

/// Delivers until told to stop, then finishes the attempts in flight.
pub async fn run(courier: Courier, stop: CancellationToken) -> Result<(), StoreError> {
    let taken_over = courier.store.take_over_deliveries(courier.clock.now()).await?;
    if taken_over > 0 {
        tracing::info!(deliveries = taken_over, "took over deliveries of a former process");
    }
    if courier.disable_webhooks {
        let suppressed = courier.store.suppress_deliveries(courier.clock.now()).await?;
        tracing::warn!(suppressed, "webhooks are disabled (http.disable_webhooks): recorded, not sent");
    }
    let mut attempts = Attempts::new();
    let origins = Origins::default();
    loop {
        let next = pass(&courier, &origins, &mut attempts).await?;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = attempts.join_next() => reap(done)?,
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

async fn pass(
    courier: &Courier,
    origins: &Origins,
    attempts: &mut Attempts,
) -> Result<Option<Timestamp>, StoreError> {
    let free = ATTEMPTS_IN_FLIGHT.saturating_sub(attempts.len());
    if free == 0 {
        return Ok(None);
    }
    let now = courier.clock.now();
    let claim = courier.store.claim_deliveries(now, free, admission(courier, origins, now)).await?;
    for (delivery, place) in claim.deliveries {
        let courier = courier.clone();
        attempts.spawn(async move { attempt(&courier, delivery, place).await });
    }
    // A place that becomes free is seen when its attempt is reaped.
    Ok(claim.next_due_at.into_iter().chain(origins.next_opening(now)).min())
}

/// Places at the origins of URLs, whose placeholders are filled once in a pass.
fn admission(
    courier: &Courier,
    origins: &Origins,
    now: Timestamp,
) -> impl FnMut(&str) -> Option<Place> + Send + use<> {
    let (sender, origins, mut known) = (courier.sender.clone(), origins.clone(), HashMap::new());
    move |url| {
        if !known.contains_key(url) {
            known.insert(url.to_owned(), sender.origin(url));
        }
        origins.admit(known.get(url)?.clone(), now)
    }
}

async fn attempt(courier: &Courier, delivery: ClaimedDelivery, place: Place) -> Result<(), StoreError> {
    let ClaimedDelivery { delivery_id, run_id, attempt, .. } = delivery;
    crash_point("attempt_committed").await;
    let send = Attempt { webhook_id: webhook_id(run_id), url: delivery.url.clone(), body: delivery.body };
    let report = courier.sender.send(send).await;
    crash_point("attempt_answered").await;
    let at = courier.clock.now();
    let verdict = judge(delivery_id, attempt, &report.result, at);
    let opened = place.judge(&report.result, at);
    drop(place);
    if let Some(detail) = report.result.detail() {
        let then = match &verdict {
            Verdict::Again(at) => format!("next attempt at {at}"),
            Verdict::Ended(..) | Verdict::Delivered => "no further attempt".to_owned(),
        };
        let url = redacted(&delivery.url);
        tracing::warn!(cron = delivery.cron_name, %run_id, url, attempt, detail, then, "webhook not delivered");
    }
    if let Some(opened) = opened {
        let url = redacted(&delivery.url);
        tracing::warn!(url, probe_at = %opened.until, "its receiver is left alone: failure after failure");
    }
    courier.store.finish_attempt(FinishedAttempt { delivery_id, attempt, at, report, verdict }).await?;
    crash_point("attempt_recorded").await;
    Ok(())
}

fn reap(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), StoreError> {
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(StoreError::Refused(problem))) => {
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
