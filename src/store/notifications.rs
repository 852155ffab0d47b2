//! Notifications: what is so is compared with what was told, and what is to be told becomes deliveries in the same transaction
//! as the record that it was. So each change is told once, whatever is killed and however many daemons share the store.

mod conditions;
mod told;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::counts::Tx;
use super::new_deliveries::insert_delivery;
use super::open::installation_id;
use super::rows::millis;
use super::sql::Transaction;
use super::{Store, StoreError};
use crate::config::{Destination, NotifyConfig, NotifyTarget};
use crate::domain::backoff;
use crate::domain::bounds::{NOTIFICATIONS_KEPT, TOLD_REMEMBERED};
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{CronId, DeliveryId};
use crate::domain::notification::{
    Announced, Change, Changes, Group, Notification, NotificationKind, decide, notification, url_of_target,
};

/// Who is to be told, and by whom.
#[derive(Clone)]
pub struct Notifying {
    pub targets: Arc<NotifyConfig>,
    /// Whether what would be sent is only recorded.
    pub disabled: bool,
    /// The machine of this daemon.
    pub host: String,
    /// When this daemon began.
    pub started_at: Timestamp,
}

/// What came of comparing what is so with what was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// How many deliveries were inserted.
    pub deliveries: usize,
    /// When something is to be told.
    pub next_at: Option<Timestamp>,
}

impl Notifying {
    /// Returns the kinds that are looked for: whether a cron fails also says whether it works again.
    fn kinds(&self) -> BTreeSet<NotificationKind> {
        let told = self.targets.values().flat_map(|target| &target.on);
        told.flat_map(|kind| match kind {
            NotificationKind::Recovered | NotificationKind::Failing => [NotificationKind::Failing; 2],
            other => [*other; 2],
        })
        .collect()
    }
}

impl Store {
    /// Tells the targets what has changed since they were told last, if it is time to.
    pub async fn notify(&self, now: Timestamp, notifying: Notifying) -> Result<Notified, StoreError> {
        let ahead = notifying.clone();
        let changes = self.read_for_loop(move |tx| Ok(look(tx, &ahead, now)?.1)).await?;
        if changes.groups.is_empty() && changes.rows.is_empty() {
            return Ok(Notified { deliveries: 0, next_at: changes.next_at });
        }
        self.write(move |tx| {
            let (told, changes) = look(tx, &notifying, now)?;
            told::save(tx, &changes.rows)?;
            told::forget(tx, before(now, TOLD_REMEMBERED))?;
            let mut deliveries = 0;
            for group in &changes.groups {
                let after = told::after(&told, &changes.rows);
                for (name, target) in notifying.targets.iter() {
                    deliveries += tell(tx, &notifying, (name, target), group, &after, now)?;
                }
            }
            Ok(Notified { deliveries, next_at: changes.next_at })
        })
        .await
    }

    /// Deletes notifications that ended long ago.
    pub(super) async fn delete_notifications(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            let sql = "DELETE FROM deliveries WHERE run_id IS NULL AND ended_at < ?1";
            tx.execute(sql, [millis(before(now, NOTIFICATIONS_KEPT))])?;
            Ok(())
        })
        .await
    }
}

/// Deletes what was announced of a cron, and the messages that name it.
pub(super) fn forget_cron(tx: &Transaction<'_>, cron_id: CronId) -> Result<(), StoreError> {
    let cron = cron_id.to_string();
    tx.execute("DELETE FROM announced WHERE subject = ?1", [&cron])?;
    let sql = "SELECT name FROM crons WHERE cron_id = ?1";
    let Some(name) = tx.query_opt(sql, [&cron], |row| row.get::<String>("name"))? else { return Ok(()) };
    let sql =
        "SELECT seq, body FROM deliveries WHERE run_id IS NULL AND ended_at IS NOT NULL AND body IS NOT NULL";
    let naming = tx.query(sql, (), |row| {
        let told = Notification::of_json(&row.get::<Vec<u8>>("body")?);
        let names_it = told.is_some_and(|told| told.data.items.iter().any(|item| item.name == name));
        Ok(names_it.then_some(row.get::<i64>("seq")?))
    })?;
    for seq in naming.into_iter().flatten() {
        tx.execute("DELETE FROM deliveries WHERE seq = ?1", [seq])?;
    }
    Ok(())
}

fn before(now: Timestamp, length: std::time::Duration) -> Timestamp {
    now.saturating_sub(length).unwrap_or(Timestamp::MIN)
}

fn look(
    tx: &Transaction<'_>,
    notifying: &Notifying,
    now: Timestamp,
) -> Result<(Vec<Announced>, Changes), StoreError> {
    let kinds = notifying.kinds();
    let told = told::of_kinds(tx, &kinds)?;
    let is_starting = now < backoff::after(notifying.started_at, crate::domain::bounds::NOTIFIED_AFTER);
    let conditions = conditions::now(tx, &kinds, &told, is_starting, now)?;
    let changes = decide(&told, &conditions, installation_id(tx)?, now);
    Ok((told, changes))
}

/// Inserts what one target is told of a group, and returns how many deliveries that are.
fn tell(
    tx: &Tx<'_>,
    notifying: &Notifying,
    (name, target): (&str, &NotifyTarget),
    group: &Group,
    after: &[Announced],
    now: Timestamp,
) -> Result<usize, StoreError> {
    let (kind, url) = (group.kind, url_of_target(name));
    if !target.on.contains(&kind.told_as(group.ended)) {
        return Ok(0);
    }
    let is_told_of = |told_name: &str| !kind.is_of_crons() || target.is_told_of(told_name);
    // That the target itself is away cannot be told to it.
    let is_itself = |change: &Change| change.condition.subject.ends_with(&url);
    let changes: Vec<&Change> = group
        .changes
        .iter()
        .filter(|change| is_told_of(&change.condition.name) && !is_itself(change))
        .collect();
    if changes.is_empty() {
        return Ok(0);
    }
    let is_open = |incident: Uuid| {
        after.iter().any(|row| row.holds && row.incident == incident && is_told_of(&row.name))
    };
    let incidents: BTreeSet<Uuid> = match (&target.to, group.ended) {
        // An incident is resolved as a whole, and once.
        (Destination::PagerDuty { .. }, true) => {
            let incidents = changes.iter().filter_map(|change| change.incident);
            incidents.filter(|incident| !is_open(*incident)).collect()
        }
        // Messages that end something are in the thread of what began it.
        (_, true) => BTreeSet::from([changes.iter().find_map(|change| change.incident).unwrap_or(group.id)]),
        (_, false) => BTreeSet::from([group.id]),
    };
    for incident in &incidents {
        let one = notification(kind, group.ended, &changes, *incident, &notifying.host, now);
        let delivery_id = DeliveryId::of_notification(group.id, *incident, name);
        let delivery = NewDelivery {
            delivery_id,
            run_id: None,
            url: url.clone(),
            body: one.to_json().into_bytes(),
            keeps_body: true,
            status: if notifying.disabled { DeliveryStatus::Suppressed } else { DeliveryStatus::Pending },
        };
        insert_delivery(tx, &delivery, now)?;
    }
    Ok(incidents.len())
}

#[cfg(test)]
mod tests;
