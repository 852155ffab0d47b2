//! The mode of all webhooks: sent at once, held, released at a rate, or disabled. A delivery that a mode
//! takes out of the queue is suppressed, and can be replayed.

use jiff::Timestamp;

use super::counts::{Counted, Tx};
use super::delivery_body::BODY_AT_END;
use super::rows::{millis, time_option};
use super::sql::{Row, Transaction, named_params};
use super::{Sharing, Store, StoreError, acts, webhook_switch};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::bounds::SUPPRESSED_PER_COMMIT;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::delivery_mode::{DeliveryMode, Hold, HoldCause, Release};
use crate::domain::reason::{DeliveryReasonCode, Reason};

/// Why deliveries are suppressed while webhooks are disabled.
pub(super) const DISABLED: &str = "webhooks are disabled (http.disable_webhooks)";

/// The mode around a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryModeChange {
    pub before: DeliveryMode,
    pub after: DeliveryMode,
    /// How many deliveries wait, whenever they are due.
    pub waiting: u64,
    pub in_flight: u64,
}

/// Which waiting deliveries are given up.
#[derive(Clone, Debug)]
pub struct Discard {
    /// Those that were recorded before this instant.
    pub before: Timestamp,
    pub reason: Reason<DeliveryReasonCode>,
}

/// The mode that deliveries are claimed under.
pub(super) struct CurrentMode {
    pub(super) mode: DeliveryMode,
    /// The release that just ended, because its backlog is gone.
    pub(super) release_ended: Option<Release>,
}

impl Store {
    /// Holds all deliveries from now on. If they are held already, the note is replaced and the hold keeps
    /// its beginning.
    pub async fn hold_webhooks(
        &self,
        now: Timestamp,
        by: Actor,
        note: Option<String>,
    ) -> Result<DeliveryModeChange, StoreError> {
        self.write(move |tx| {
            let before = mode(tx)?;
            let cause = HoldCause::Request;
            let since = match &before {
                DeliveryMode::Held(hold) if hold.cause == cause => hold.since,
                DeliveryMode::Held(_) | DeliveryMode::Free | DeliveryMode::Released(_) => now,
            };
            let after = DeliveryMode::Held(Hold { cause, since, note: note.clone() });
            if before != after {
                record(tx, now, &by, ActKind::WebhooksHeld, note.clone())?;
            }
            change(tx, before, &after)
        })
        .await
    }

    /// Holds all deliveries because of mistakes in the configuration that were found now, or ends such a hold if there are
    /// none. It does not touch a hold on request.
    pub async fn hold_for_mistakes(&self, found_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(move |tx| {
            let sql = "UPDATE delivery_mode SET mistakes_at = iif(CAST(?1 AS BIGINT) IS NULL, NULL, \
                       coalesce(mistakes_at, ?1)) WHERE one = 1";
            tx.execute(sql, [found_at.map(millis)])?;
            Ok(())
        })
        .await
    }

    /// Releases deliveries: all at once, or those that are due by now at `per_second` attempts a second.
    pub async fn release_webhooks(
        &self,
        now: Timestamp,
        by: Actor,
        per_second: Option<u32>,
    ) -> Result<DeliveryModeChange, StoreError> {
        self.write(move |tx| release(tx, now, &by, per_second)).await
    }

    /// Suppresses what is discarded and releases the rest, and returns how many were suppressed. The release is committed
    /// with the last of them, so nothing is sent before.
    pub async fn discard_and_release(
        &self,
        now: Timestamp,
        by: Actor,
        discard: Discard,
        per_second: Option<u32>,
    ) -> Result<(DeliveryModeChange, usize), StoreError> {
        let actor = by.clone();
        self.discard(now, by, discard, move |tx| release(tx, now, &actor, per_second)).await
    }

    /// Suppresses every waiting delivery that is discarded, does `last` in the transaction that suppresses the last of them, and
    /// returns what that returns, and how many were suppressed.
    async fn discard<T: Send + 'static>(
        &self,
        now: Timestamp,
        by: Actor,
        discard: Discard,
        last: impl Fn(&Tx<'_>) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<(T, usize), StoreError> {
        let mut discarded = 0;
        loop {
            let (discard, by, last, is_first) = (discard.clone(), by.clone(), last.clone(), discarded == 0);
            let step = move |tx: &Tx<'_>| {
                let suppressed = discard_some(tx, now, &by, &discard, is_first)?;
                let is_last = suppressed < SUPPRESSED_PER_COMMIT;
                Ok((suppressed, is_last.then(|| last(tx)).transpose()?))
            };
            let (suppressed, done) = self.write(step).await?;
            discarded += suppressed;
            if let Some(done) = done {
                return Ok((done, discarded));
            }
        }
    }

    /// Records that the configuration disables webhooks, suppresses every waiting delivery, and returns how
    /// many those were. Nothing of that is done if the files in force of several daemons say otherwise by now.
    pub async fn disable_webhooks(&self, now: Timestamp) -> Result<usize, StoreError> {
        let sharing = self.sharing();
        let is_wanted = self
            .write(move |tx| {
                if sharing == Sharing::Shared && !webhook_switch::disables_webhooks(tx)? {
                    return Ok(false);
                }
                tx.execute(
                    "UPDATE delivery_mode SET disabled_at = ?1 WHERE one = 1 AND disabled_at IS NULL",
                    [millis(now)],
                )?;
                Ok(true)
            })
            .await?;
        if !is_wanted {
            return Ok(0);
        }
        let reason = Reason::new(DeliveryReasonCode::Disabled, DISABLED);
        let all = Discard { before: Timestamp::MAX, reason };
        let ((), discarded) = self.discard(now, Actor::AGENTCRON, all, |_| Ok(())).await?;
        Ok(discarded)
    }

    /// Records that webhooks are enabled. Returns how many deliveries are suppressed, or `None` if webhooks
    /// were enabled already, or are disabled by the files in force of several daemons.
    pub async fn enable_webhooks(&self) -> Result<Option<u64>, StoreError> {
        let sharing = self.sharing();
        self.write(move |tx| {
            if sharing == Sharing::Shared && webhook_switch::disables_webhooks(tx)? {
                return Ok(None);
            }
            let enabled = tx.execute(
                "UPDATE delivery_mode SET disabled_at = NULL WHERE one = 1 AND disabled_at IS NOT NULL",
                (),
            )?;
            if enabled == 0 {
                return Ok(None);
            }
            suppressed(tx).map(Some)
        })
        .await
    }
}

/// Returns the mode, after ending a release whose backlog is gone.
pub(super) fn end_release(tx: &Transaction<'_>, now: Timestamp) -> Result<CurrentMode, StoreError> {
    let mode = mode(tx)?;
    match mode {
        DeliveryMode::Released(release) if !backlog_is_left(tx, release, now)? => {
            save(tx, &DeliveryMode::Free)?;
            Ok(CurrentMode { mode: DeliveryMode::Free, release_ended: Some(release) })
        }
        DeliveryMode::Released(_) | DeliveryMode::Free | DeliveryMode::Held(_) => {
            Ok(CurrentMode { mode, release_ended: None })
        }
    }
}

pub(super) fn mode(tx: &Transaction<'_>) -> Result<DeliveryMode, StoreError> {
    let sql = "SELECT held_at, note, mistakes_at, released_at, per_second FROM delivery_mode WHERE one = 1";
    Ok(tx.query_opt(sql, (), mode_from_row)?.unwrap_or(DeliveryMode::Free))
}

fn mode_from_row(row: &Row<'_>) -> Result<DeliveryMode, StoreError> {
    if let Some(since) = time_option(row, "held_at")? {
        return Ok(DeliveryMode::Held(Hold { cause: HoldCause::Request, since, note: row.get("note")? }));
    }
    if let Some(since) = time_option(row, "mistakes_at")? {
        let note = Some("a mistake in the configuration may concern them".to_owned());
        return Ok(DeliveryMode::Held(Hold { cause: HoldCause::Mistakes, since, note }));
    }
    match time_option(row, "released_at")? {
        Some(since) => Ok(DeliveryMode::Released(Release { since, per_second: row.get("per_second")? })),
        None => Ok(DeliveryMode::Free),
    }
}

/// Returns the time since which webhooks have been disabled, as the daemon last recorded it.
pub(super) fn disabled_since(tx: &Transaction<'_>) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT disabled_at FROM delivery_mode WHERE one = 1";
    Ok(tx.query_opt(sql, (), |row| time_option(row, "disabled_at"))?.flatten())
}

/// Returns how many deliveries are suppressed, for any reason.
pub(super) fn suppressed(tx: &Transaction<'_>) -> Result<u64, StoreError> {
    tx.query_count(
        "SELECT count(*) FROM deliveries WHERE status = 'suppressed' \
         AND status <> 'delivered' AND status <> 'sending' AND status <> 'pending'",
        (),
    )
}

/// Returns how many deliveries wait, whenever they are due.
pub(super) fn waiting(tx: &Transaction<'_>) -> Result<u64, StoreError> {
    tx.query_count("SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL", ())
}

/// Returns how many deliveries of a release's backlog are left.
pub(super) fn backlog(tx: &Transaction<'_>, release: Release) -> Result<u64, StoreError> {
    tx.query_count("SELECT count(*) FROM deliveries WHERE due_at <= ?1", [millis(release.since)])
}

/// Returns whether any delivery of a release's backlog is left. One that fails is due again later, and no
/// longer belongs to the backlog.
fn backlog_is_left(tx: &Transaction<'_>, release: Release, now: Timestamp) -> Result<bool, StoreError> {
    // If the clock was set back, what is not due yet by the new time is no backlog.
    let due_by = release.since.min(now);
    tx.query_value("SELECT EXISTS (SELECT 1 FROM deliveries WHERE due_at <= ?1)", [millis(due_by)])
}

fn record(
    tx: &Transaction<'_>,
    at: Timestamp,
    by: &Actor,
    what: ActKind,
    note: Option<String>,
) -> Result<(), StoreError> {
    acts::record(tx, &Act { at, by: by.clone(), what, subject: Subject::default(), note })
}

fn change(
    tx: &Transaction<'_>,
    before: DeliveryMode,
    after: &DeliveryMode,
) -> Result<DeliveryModeChange, StoreError> {
    save(tx, after)?;
    let after = mode(tx)?;
    let in_flight = tx.query_count("SELECT count(*) FROM deliveries WHERE status = 'sending'", ())?;
    Ok(DeliveryModeChange { before, after, waiting: waiting(tx)?, in_flight })
}

fn save(tx: &Transaction<'_>, mode: &DeliveryMode) -> Result<(), StoreError> {
    let (hold, release) = match mode {
        DeliveryMode::Free => (None, None),
        DeliveryMode::Held(hold) => (Some(hold), None),
        DeliveryMode::Released(release) => (None, Some(release)),
    };
    tx.execute(
        "UPDATE delivery_mode SET held_at = :held_at, note = :note, released_at = :released_at, \
         per_second = :per_second WHERE one = 1",
        named_params! {
            ":held_at": hold.map(|hold| millis(hold.since)),
            ":note": hold.and_then(|hold| hold.note.as_deref()),
            ":released_at": release.map(|release| millis(release.since)),
            ":per_second": release.map(|release| release.per_second),
        },
    )?;
    Ok(())
}

fn release(
    tx: &Transaction<'_>,
    now: Timestamp,
    by: &Actor,
    per_second: Option<u32>,
) -> Result<DeliveryModeChange, StoreError> {
    let release = per_second.map(|per_second| Release { since: now, per_second });
    let release = match release {
        Some(release) if backlog_is_left(tx, release, now)? => Some(release),
        Some(_) | None => None,
    };
    let (before, after) = (mode(tx)?, release.map_or(DeliveryMode::Free, DeliveryMode::Released));
    if before != after {
        let note = release.map(|release| format!("at {} per second", release.per_second));
        record(tx, now, by, ActKind::WebhooksReleased, note)?;
    }
    change(tx, before, &after)
}

/// Suppresses as many of those that are discarded as one transaction should, and returns how many those were.
fn discard_some(
    tx: &Tx<'_>,
    now: Timestamp,
    by: &Actor,
    discard: &Discard,
    is_first: bool,
) -> Result<usize, StoreError> {
    let suppressed = suppress(tx, now, discard.before, &discard.reason)?;
    if is_first && suppressed > 0 {
        record(tx, now, by, ActKind::WebhooksDiscarded, discard.reason.message.clone())?;
    }
    Ok(suppressed)
}

/// Suppresses as many deliveries as one transaction should, and returns how many those were.
fn suppress(
    tx: &Tx<'_>,
    now: Timestamp,
    before: Timestamp,
    reason: &Reason<DeliveryReasonCode>,
) -> Result<usize, StoreError> {
    let suppressed = tx.execute(
        &format!(
            "UPDATE deliveries SET status = 'suppressed', due_at = NULL, ended_at = :now, \
             reason_code = :reason_code, reason = :reason, {BODY_AT_END} \
             WHERE delivery_id IN (SELECT delivery_id FROM deliveries WHERE due_at IS NOT NULL \
             AND status = 'pending' AND created_at < :before LIMIT :limit)"
        ),
        named_params! {
            ":now": millis(now),
            ":reason_code": reason.code.as_str(),
            ":reason": reason.message,
            ":before": millis(before),
            ":limit": i64::try_from(SUPPRESSED_PER_COMMIT).unwrap_or(i64::MAX),
        },
    )?;
    tx.count(Counted::NeverSent { status: DeliveryStatus::Suppressed, deliveries: suppressed });
    Ok(suppressed)
}

#[cfg(test)]
mod tests;
