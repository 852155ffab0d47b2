//! The rules of time zones by which crons are planned. They may change while the daemon runs, and while none does.

use std::collections::HashSet;

use super::sql::Transaction;
use super::{Store, StoreError};
use crate::domain::calendar::Calendar;

impl Store {
    /// Has every cron planned anew from where it is if the zone database, or this program, is another than those by which they
    /// were planned, and returns whether that is so. A change of the database is seen after five minutes, or at once after
    /// [`Calendar::reread_zones`].
    pub async fn replan_if_zones_changed(&self) -> Result<bool, StoreError> {
        if self.read_for_loop(are_current).await? {
            return Ok(false);
        }
        self.definitions.forget();
        let is_replanned = self
            .write(|tx| {
                // Whoever noticed it at the same time may have been faster.
                if are_current(tx)? {
                    return Ok(false);
                }
                tx.execute("UPDATE crons SET next_at = 0 WHERE removed_at IS NULL", ())?;
                tx.execute("DELETE FROM zone_rules", ())?;
                Ok(true)
            })
            .await?;
        if is_replanned {
            tracing::info!("zone database or program changed; calendars are computed anew");
        }
        Ok(true)
    }

    /// Has those crons planned anew that had no further occurrence. Their definition may not have been readable, for want of a
    /// zone for instance.
    pub async fn replan_ended(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute("UPDATE crons SET next_at = 0 WHERE next_at IS NULL AND removed_at IS NULL", ())?;
            Ok(())
        })
        .await
    }
}

/// Records that a cron is planned by this calendar. The first rules of a zone stay: others are as good as a change.
pub(super) fn record(tx: &Transaction<'_>, calendar: &Calendar) -> Result<(), StoreError> {
    let zone = calendar.timezone();
    let known = "SELECT EXISTS (SELECT 1 FROM zone_rules WHERE zone = ?1)";
    if !tx.query_value::<bool>(known, [zone])? {
        tx.execute(
            "INSERT INTO zone_rules (zone, rules) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            (zone, calendar.rules()),
        )?;
    }
    Ok(())
}

pub(super) const ZONES: &str = "SELECT zone FROM zone_rules";

/// Returns the zones whose rules are on record.
pub(super) fn known(tx: &Transaction<'_>) -> Result<HashSet<String>, StoreError> {
    let zones = tx.query(ZONES, (), |row| row.get("zone"))?;
    Ok(zones.into_iter().collect())
}

/// Returns whether all crons were planned by this program and the zone database as it is.
pub(super) fn are_current(tx: &Transaction<'_>) -> Result<bool, StoreError> {
    let planned_by = tx.query("SELECT zone, rules FROM zone_rules", (), |row| {
        Ok((row.get::<String>("zone")?, row.get::<String>("rules")?))
    })?;
    Ok(planned_by.iter().all(|(zone, rules)| Calendar::rules_of_zone(zone).as_ref() == Some(rules)))
}
