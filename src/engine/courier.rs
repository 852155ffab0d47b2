//! Sends deliveries to their receivers: claims what is due, makes one attempt for each, and records the
//! result.

mod origin_limiter;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Wakes;
use super::lacking::Lacking;
use super::outages::{Outages, ReceiverFailure};
use crate::clock::{Clock, StepWatch};
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::bounds::{
    ATTEMPTS_IN_FLIGHT, IDLE_RECEIVERS_CHECKED_EVERY, LEFT_TO_OWNER, NOTIFICATION_WITHOUT_TARGET,
};
use crate::domain::breaker::Scope;
use crate::domain::cron::CronSource;
use crate::domain::delivery::{AttemptReport, AttemptResult, Ending, Fault, Shown, Verdict, judge};
use crate::domain::delivery_mode::{DeliveryMode, RateLimit};
use crate::domain::members::Members;
use crate::domain::ping::{self, TOO_LATE, attempts_max};
use crate::domain::run::called;
use crate::domain::trace::TraceParent;
use crate::domain::url_policy;
use crate::pulse::Pulse;
use crate::store::{
    Admission, Claimable, ClaimedDelivery, FinishedAttempt, ReceiverAway, SenderOf, Store, StoreError,
};
use crate::webhook::{LiveSettings, Origin, OutboundWebhook, Sender, receiver, redacted, webhook_id};
pub use origin_limiter::OriginLimiter;
use origin_limiter::{Change, Changes, Lane, Permit};

/// The name of what one of the daemons that share a store does: to send webhooks at a rate.
const RELEASE: &str = "release of webhooks at a rate";

/// What the courier needs.
#[derive(Clone)]
pub struct Courier {
    pub store: Store,
    pub sender: Sender,
    pub clock: Clock,
    pub wakes: Wakes,
    /// The settings in force; the sender is replaced when they change.
    pub webhooks: LiveSettings,
    pub origins: OriginLimiter,
    pub outages: Outages,
    /// The values that this daemon lacks, and that others have.
    pub lacking: Lacking,
}

/// What limits the attempts.
#[derive(Default)]
struct SendControl {
    origins: OriginLimiter,
    rate_limit: RateLimit,
    /// Withdraws the attempts in flight.
    cancel: CancellationToken,
    /// When it was checked last whether anything waits for the receivers that are away.
    checked_at: Timestamp,
    /// Who shared the store then.
    members: Option<Members>,
    /// The latest webhook for another daemon's receiver that this one has told of.
    told_of: Option<i64>,
}

impl SendControl {
    /// Withdraws the attempts that have not been written yet; they are claimed again under the settings in
    /// force then.
    fn withdraw_unsent(&mut self) {
        std::mem::take(&mut self.cancel).cancel();
    }

    /// Records the delivery mode and how many attempts begin now, and returns when the rate allows the next
    /// one; `None` if it may begin now.
    fn record(&mut self, mode: &DeliveryMode, begun: usize, now: Timestamp) -> Option<Timestamp> {
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

type Attempts = JoinSet<FinishedAttempt>;

/// Delivers until it is stopped, then finishes the attempts in flight.
pub async fn run(mut courier: Courier, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    courier.follow_settings().await?;
    // Those that ended while a pass was committed are recorded together, in the commit of the next pass.
    let (mut attempts, mut ended) = (Attempts::new(), Vec::new());
    let mut control = SendControl { origins: courier.origins.clone(), ..SendControl::default() };
    let mut steps = StepWatch::begin(&courier.clock);
    loop {
        pulse.busy();
        if steps.check(&courier.clock).is_some_and(|step| step.is_negative()) {
            // A probe may be further away than it was meant to be.
            control.origins.hurry(courier.clock.now());
        }
        let (recorded, next) = tokio::join!(
            record(&courier, std::mem::take(&mut ended)),
            pass(&courier, &mut control, &mut attempts)
        );
        recorded?;
        let next = next?;
        pulse.idle();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = attempts.join_next() => ended.push(done),
            () = courier.webhooks.changed() => {
                control.withdraw_unsent();
                courier.follow_settings().await?;
            }
            () = courier.wakes.courier.notified() => {}
            () = courier.clock.sleep_until(next) => {}
        }
        ended.extend(std::iter::from_fn(|| attempts.try_join_next()));
    }
    record(&courier, ended).await?;
    while let Some(done) = attempts.join_next().await {
        let others = std::iter::from_fn(|| attempts.try_join_next());
        record(&courier, std::iter::once(done).chain(others).collect()).await?;
    }
    Ok(())
}

impl Courier {
    /// Applies the settings in force to everything that is sent from now on.
    async fn follow_settings(&mut self) -> Result<(), StoreError> {
        let settings = self.webhooks.now();
        let targets = Arc::new(settings.notify.clone());
        self.sender = self.sender.with_settings(settings.webhooks.clone()).with_targets(targets);
        if !settings.sends {
            tracing::warn!(
                "webhooks left to other daemons; the files or the environment of this one turn them off, or may do so"
            );
        }
        if settings.disabled {
            let suppressed = self.store.disable_webhooks(self.clock.now()).await?;
            tracing::warn!(
                suppressed,
                "webhooks disabled (http.disable_webhooks); they are recorded, not sent"
            );
            return Ok(());
        }
        let Some(suppressed) = self.store.enable_webhooks().await? else { return Ok(()) };
        let hint = "`agentcron webhook replay --status suppressed` sends them";
        tracing::info!(suppressed, hint, "webhooks enabled; suppressed ones stay unsent");
        Ok(())
    }

    /// Ends the outages of receivers for which nothing waits any more, and of those that belong to another daemon now, since
    /// nothing shows any more whether they are back.
    /// Returns when to check again, if it was checked a moment ago.
    async fn forget_idle_receivers(
        &self,
        control: &mut SendControl,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let members = self.store.members();
        if control.members.as_ref().is_some_and(|known| *known != members) {
            for (scope, last) in control.origins.of_others(&members) {
                control.origins.forget(scope, last);
                self.outages.receiver_of_another(scope, last, now);
            }
        }
        control.members = Some(members);
        let receivers = self.outages.receivers();
        if receivers.is_empty() {
            return Ok(None);
        }
        let next = backoff::after(control.checked_at, IDLE_RECEIVERS_CHECKED_EVERY);
        if control.checked_at <= now && now < next {
            return Ok(Some(next));
        }
        control.checked_at = now;
        for (scope, last) in self.store.receivers_without_deliveries(receivers).await? {
            control.origins.forget(scope, last);
            self.outages.receiver_without_deliveries(scope, last, now);
        }
        Ok(None)
    }

    /// Takes note of what an attempt has shown about its receiver, and returns the receivers that are back.
    fn take_note(
        &self,
        delivery: &ClaimedDelivery,
        Changes(changes): Changes,
        at: Timestamp,
        why: &str,
    ) -> Vec<ReceiverAway> {
        let (mut back, delivery_id) = (Vec::new(), delivery.delivery_id);
        for (scope, change) in changes {
            let name = || match scope {
                Scope::Origin => receiver(&delivery.url),
                Scope::Url => redacted(&delivery.url),
            };
            match change {
                Change::None => {}
                Change::Away(absence, asked_at) => {
                    let failure = ReceiverFailure { scope, absence, asked_at, why: why.to_owned() };
                    self.outages.receiver_failed(&name(), delivery.source, failure, at);
                }
                Change::Back(absence) => {
                    self.outages.receiver_well(&name(), at);
                    back.push(ReceiverAway { scope, delivery_id, since: absence.since });
                }
            }
        }
        back
    }
}

async fn pass(
    courier: &Courier,
    control: &mut SendControl,
    attempts: &mut Attempts,
) -> Result<Option<Timestamp>, StoreError> {
    let now = courier.clock.now();
    let settings = courier.webhooks.now();
    if settings.disabled {
        // A run that ended while webhooks were being disabled may have inserted a delivery.
        courier.store.disable_webhooks(now).await?;
    }
    let next_check = courier.forget_idle_receivers(control, now).await?;
    if settings.disabled || !settings.sends {
        return Ok(next_check);
    }
    let members = courier.store.members();
    // Even when nothing more can be sent, a hold must be noticed.
    let free = ATTEMPTS_IN_FLIGHT.saturating_sub(control.origins.in_flight());
    control.rate_limit = control.rate_limit.kept_here(members.owns(RELEASE));
    let admit = admission(courier, &control.origins, members, now);
    let away = if free > 0 { control.origins.early(now) } else { Vec::new() };
    let claim = courier.store.claim_deliveries(now, free, control.rate_limit, away, admit).await?;
    let next_by_rate = control.record(&claim.mode, claim.deliveries.len(), now);
    if claim.of_another > control.told_of {
        control.told_of = claim.of_another;
        courier.store.leave_webhooks();
    }
    let shared = Arc::new(courier.clone());
    for (delivery, permit) in claim.deliveries {
        let (courier, cancel) = (Arc::clone(&shared), control.cancel.clone());
        attempts.spawn(async move { attempt(&courier, delivery, permit, &cancel).await });
    }
    // Every attempt that ends leads to a pass.
    if free == 0 {
        return Ok(next_check);
    }
    let next_opening = control.origins.next_opening(now);
    Ok([claim.next_due_at, next_opening, next_by_rate, next_check].into_iter().flatten().min())
}

/// Returns a function that gives out permits by URL. The placeholders of each URL are filled once in a pass. Where several
/// daemons share the store, each receiver belongs to one of them, so that its limits and its breakers are in one place. The
/// others send there what that one has left, one webhook at a time.
fn admission(
    courier: &Courier,
    origins: &OriginLimiter,
    members: Members,
    now: Timestamp,
) -> impl FnMut(Claimable<'_>) -> Admission<Permit> + Send + use<> {
    let (sender, origins, mut known) = (courier.sender.clone(), origins.clone(), HashMap::new());
    let lacking = courier.lacking.clone();
    move |Claimable { url, source, due_at, sender: sender_of }| {
        // Whoever has the value of its URL, or its target in the files, sends it.
        let is_unknown = !sender.knows(url) && now < backoff::after(due_at, NOTIFICATION_WITHOUT_TARGET);
        if lacking.leaves(url) || is_unknown {
            return Admission::UrlWaits;
        }
        let (origin, is_ours): &(Origin, bool) = known.entry(url.to_owned()).or_insert_with(|| {
            let origin = sender.origin(url);
            let is_ours = origin.belongs_to_us(&members) || lacking.is_lacked_elsewhere(url);
            (origin, is_ours)
        });
        let lane = Lane { origin: origin.clone(), source };
        match sender_of {
            SenderOf::Owner if !is_ours => Admission::OfAnother(backoff::after(due_at, LEFT_TO_OWNER)),
            SenderOf::Anybody if origins.is_in_flight_at(&lane) => Admission::ReceiverWaits,
            SenderOf::Owner | SenderOf::Anybody | SenderOf::Us => origins.admit(&lane, url, now),
        }
    }
}

async fn attempt(
    courier: &Courier,
    mut delivery: ClaimedDelivery,
    permit: Permit,
    cancel: &CancellationToken,
) -> FinishedAttempt {
    let (delivery_id, run_id, turn) = (delivery.delivery_id, delivery.run_id, delivery.turn());
    crash_point("attempt_committed").await;
    let send = OutboundWebhook {
        webhook_id: webhook_id(run_id, delivery_id),
        url: delivery.url.clone(),
        body: std::mem::take(&mut delivery.body),
        trace: run_id.map(|run_id| TraceParent::of_webhook(run_id, delivery_id)),
    };
    // A bug concerns this attempt only: its delivery must not stay claimed until somebody restarts the
    // daemon.
    let sending = AssertUnwindSafe(courier.sender.send_unless_cancelled(send, cancel));
    let is_stale = ping::is_stale(&delivery.url, delivery.recorded_at(), courier.clock.now());
    let mut report = match courier.store.may_act() {
        true if is_stale => AttemptReport::unanswered(AttemptResult::Final {
            ending: Ending::Failed,
            code: None,
            detail: format!("not sent: {TOO_LATE}"),
        }),
        true => sending.catch_unwind().await.unwrap_or_else(|_| AttemptReport::unanswered(broken())),
        // Others may hold it by now.
        false => AttemptReport::unanswered(AttemptResult::Withdrawn),
    };
    // Clients can read what is kept. What only this machine can reach must not become readable by naming it.
    if delivery.source == CronSource::Api && !report.address.as_deref().is_some_and(is_public) {
        report.answer = None;
    }
    crash_point("attempt_answered").await;
    let at = courier.clock.now();
    let verdict = match judge(delivery_id, turn, &report.result, at) {
        Verdict::Again(_) if attempts_max(&delivery.url).is_some_and(|max| delivery.attempt >= max) => {
            let detail = report.result.detail().unwrap_or_default();
            Verdict::Ended(Ending::Failed, format!("{TOO_LATE}; the last attempt: {detail}"))
        }
        verdict => verdict,
    };
    let changes = permit.judge(delivery_id, &report.result, report.phases.head, at);
    drop(permit);
    let why = report.result.detail().unwrap_or_default();
    if report.result.shown() == Shown::Well {
        courier.outages.url_well(&delivery.url);
    }
    let back = courier.take_note(&delivery, changes, at, why);
    let finished = FinishedAttempt { delivery, at, report, verdict, back };
    log_failure(&finished);
    finished
}

/// Returns whether an address with its port belongs to the internet.
fn is_public(address: &str) -> bool {
    address.parse().is_ok_and(|address: SocketAddr| url_policy::is_public(address.ip()))
}

fn log_failure(
    FinishedAttempt { delivery, report: AttemptReport { result, .. }, verdict, .. }: &FinishedAttempt,
) {
    let Some(detail) = result.detail() else { return };
    let ClaimedDelivery { run_id, attempt, .. } = delivery;
    let cron = run_id.map(|_| called(delivery.cron_name.as_deref()));
    let (url, run_id) = (redacted(&delivery.url), run_id.map(tracing::field::display));
    // One receiver that fails in one way fails for all webhooks.
    let hourly = format!("{url} {:?}", result.code());
    match verdict {
        // It is looked up again and again, and the delivery has the reason.
        _ if matches!(result, AttemptResult::NoValue { .. }) => {}
        // The outage of the receiver is the warning.
        Verdict::Again(next_attempt) if matches!(result.shown(), Shown::UrlIll | Shown::OriginIll) => {
            tracing::info!(cron, run_id, url, attempt, detail, %next_attempt, hourly, "webhook delivery failed");
        }
        Verdict::Again(next_attempt) => {
            tracing::warn!(cron, run_id, url, attempt, detail, %next_attempt, hourly, "webhook delivery failed");
        }
        Verdict::Ended(Ending::Gone, _) => {
            let hint = "its URL is suspended; `agentcron webhook resume` ends that";
            tracing::warn!(
                cron,
                run_id,
                url,
                attempt,
                detail,
                hint,
                hourly,
                "webhook delivery failed for good"
            );
        }
        Verdict::Ended(Ending::Failed | Ending::Aborted | Ending::Blocked, _) | Verdict::Delivered => {
            tracing::warn!(cron, run_id, url, attempt, detail, hourly, "webhook delivery failed for good");
        }
    }
}

/// Returns the result of an attempt that panicked.
fn broken() -> AttemptResult {
    let detail = "a bug in agentcron interrupted this attempt; please report it".to_owned();
    AttemptResult::Refused { code: None, detail, retry_after: None, fault: Fault::Ours }
}

/// Records what attempts came to, in one transaction. If that fails because of one of them, each gets its own.
async fn record(courier: &Courier, ended: Vec<Result<FinishedAttempt, JoinError>>) -> Result<(), StoreError> {
    let finished = ended.into_iter().filter_map(|ended| match ended {
        Ok(finished) => Some(finished),
        Err(panic) => {
            tracing::error!(%panic, "attempt task panicked; this is a bug, and the attempt is made again after a restart");
            None
        }
    });
    let finished: Arc<Vec<FinishedAttempt>> = Arc::new(finished.collect());
    if finished.is_empty() {
        return Ok(());
    }
    match courier.store.finish_attempts(Arc::clone(&finished)).await {
        Ok(()) => crash_point("attempt_recorded").await,
        Err(problem) if !problem.concerns_one_operation() => return Err(problem),
        Err(problem) if finished.len() == 1 => {
            tracing::error!(%problem, "attempt not recorded; it is made again after a restart");
        }
        Err(_) => {
            for attempt in finished.iter() {
                Box::pin(record(courier, vec![Ok(attempt.clone())])).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
