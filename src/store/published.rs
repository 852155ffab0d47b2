//! What each of several daemons says about itself for the others, and whose runs it leaves to them because it lacks a value.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::rows::{parsed, time};
use super::{Store, StoreError};
use crate::config::NeededValues;
use crate::domain::ids::CronId;
use crate::domain::lease;
use crate::domain::missing_values::Names;

/// What a daemon says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    pub host: String,
    /// The generation that its files are; `None` if they are of none.
    pub files: Option<i64>,
    /// The settings that should be the same everywhere, each with a mark of its value.
    pub settings: Vec<(String, String)>,
    /// The values that it lacks.
    pub missing: Names,
}

impl Store {
    /// Publishes what this daemon says about itself.
    pub async fn publish(&self, published: Published) -> Result<(), StoreError> {
        let daemon = self.number;
        self.write(move |tx| {
            // Its machine is there since it was registered.
            let Published { host: _, files, settings, missing } = &published;
            let settings: Vec<String> =
                settings.iter().map(|(name, mark)| format!("{name}={mark}")).collect();
            let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
            let sql = "UPDATE daemons SET files = ?2, settings = ?3, missing_env = ?4, published = published + 1 \
                       WHERE number = ?1";
            tx.execute(sql, (daemon.0, *files, settings.join(" "), missing.join(" ")))?;
            Ok(())
        })
        .await
    }

    /// Returns what the other daemons say that are alive. One that has said nothing yet is none of them.
    pub async fn published_by_others(&self, now: Timestamp) -> Result<Vec<Published>, StoreError> {
        let daemon = self.number;
        self.read_for_loop(move |tx| {
            let sql = "SELECT host, files, settings, missing_env, seen_at FROM daemons WHERE number <> ?1 \
                       AND recovered_at IS NULL AND stopped_at IS NULL AND settings IS NOT NULL ORDER BY number";
            let all = tx.query(sql, [daemon.0], |row| {
                let (settings, missing): (String, String) = (row.get("settings")?, row.get("missing_env")?);
                let settings = settings.split_whitespace().filter_map(|setting| setting.split_once('='));
                let published = Published {
                    host: row.get("host")?,
                    files: row.get("files")?,
                    settings: settings.map(|(name, mark)| (name.to_owned(), mark.to_owned())).collect(),
                    missing: missing.split_whitespace().map(str::to_owned).collect(),
                };
                Ok((lease::gone_at(time(row, "seen_at")?, None) > now, published))
            })?;
            Ok(all.into_iter().filter_map(|(is_alive, published)| is_alive.then_some(published)).collect())
        })
        .await
    }

    /// Returns the values that each cron from a file needs, if it needs any.
    pub async fn needed_values(&self) -> Result<Vec<(CronId, NeededValues)>, StoreError> {
        self.read_for_loop(|tx| {
            let sql = "SELECT crons.cron_id, body FROM crons JOIN definitions USING (definition_id) \
                       WHERE source = 'file' AND removed_at IS NULL AND instr(body, '${{') > 0";
            let all = tx.query(sql, (), |row| {
                let needed = NeededValues::of_definition(row.value("body")?.as_str().unwrap_or_default());
                Ok((parsed(row, "cron_id")?, needed))
            })?;
            Ok(all.into_iter().filter(|(_, needed)| !needed.is_empty()).collect())
        })
        .await
    }

    /// Starts the runs of these crons no more, and those of all others.
    pub fn leave_to_others(&self, crons: BTreeSet<CronId>) {
        *self.left_to_others.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(crons);
    }

    /// Returns whether these are the crons whose runs this daemon does not start.
    pub fn leaves_as(&self, crons: &BTreeSet<CronId>) -> bool {
        *self.left_to_others() == *crons
    }

    /// Starts the runs of this cron no more.
    pub fn leave_cron_to_others(&self, cron_id: CronId) {
        let mut left = self.left_to_others.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut left).insert(cron_id);
    }

    /// Returns the crons whose runs this daemon does not start.
    pub(super) fn left_to_others(&self) -> Left {
        Arc::clone(&self.left_to_others.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The crons whose runs a daemon leaves to others that share the store, because it lacks a value that they need.
pub(super) type Left = Arc<BTreeSet<CronId>>;

#[cfg(test)]
mod tests;
