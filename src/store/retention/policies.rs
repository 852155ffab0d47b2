//! For how long the history of each cron is kept, as its definition in the store says.

use std::collections::{BTreeSet, HashMap};

use super::walk::Walk;
use crate::config::CronIdentity;
use crate::domain::ids::CronId;
use crate::domain::outage::went_wrong;
use crate::domain::reason::ReasonCode;
use crate::domain::retention::Retention;
use crate::domain::run::Status;
use crate::store::open::installation_id;
use crate::store::rows::parsed;
use crate::store::sql::Transaction;
use crate::store::{StoreError, definitions};

/// The rules for every record.
#[derive(Clone, Debug)]
pub struct Policies {
    of_store: Retention,
    /// Of the crons that have rules of their own.
    own: HashMap<CronId, Retention>,
    /// The crons whose number of records is limited, in order.
    limited: Vec<(CronId, u32)>,
}

impl Policies {
    /// Reads the rules of all crons, removed ones included. A definition that cannot be read keeps everything.
    pub(super) fn read(tx: &Transaction<'_>, of_store: Retention) -> Result<Self, StoreError> {
        let installation = installation_id(tx)?;
        let mut own = HashMap::new();
        // Most definitions have no such key, and to parse them all would take long.
        let sql = "SELECT crons.cron_id AS cron_id, name, source, body FROM crons JOIN definitions \
                   ON definitions.definition_id = crons.definition_id \
                   WHERE source = 'file' AND instr(body, '\"keep') > 0";
        tx.each(sql, (), |row| {
            let (cron_id, name): (CronId, String) = (parsed(row, "cron_id")?, row.get("name")?);
            let identity =
                CronIdentity { installation, cron_id, name: &name, source: parsed(row, "source")? };
            let body: String = row.get("body")?;
            let retention = match definitions::parse(identity, &body) {
                Ok(cron) if cron.policy.retention.says_how_long() => of_store.with(&cron.policy.retention),
                Ok(_) => return Ok(()),
                Err(_) => Retention::EVERYTHING,
            };
            own.insert(cron_id, retention);
            Ok(())
        })?;
        let mut policies = Self { of_store, own, limited: Vec::new() };
        policies.limited = policies.limited(tx)?;
        Ok(policies)
    }

    fn limited(&self, tx: &Transaction<'_>) -> Result<Vec<(CronId, u32)>, StoreError> {
        let limit = |cron_id| Some((cron_id, self.of(Some(cron_id)).keep_runs_max?));
        if self.of_store.keep_runs_max.is_none() {
            let mut limited: Vec<_> = self.own.keys().copied().filter_map(limit).collect();
            limited.sort_unstable();
            return Ok(limited);
        }
        let all = tx.query("SELECT cron_id FROM crons ORDER BY cron_id", (), |row| parsed(row, "cron_id"))?;
        Ok(all.into_iter().filter_map(limit).collect())
    }

    /// Returns the rules of a cron, or of runs of clients.
    pub(super) fn of(&self, cron_id: Option<CronId>) -> &Retention {
        cron_id.and_then(|cron_id| self.own.get(&cron_id)).unwrap_or(&self.of_store)
    }

    /// Returns every walk through the history that these rules demand.
    pub fn walks(&self) -> Vec<Walk> {
        let rules = || self.own.values().chain([&self.of_store]);
        let mut by_age: BTreeSet<Walk> = BTreeSet::new();
        for status in Status::ALL.iter().copied() {
            let codes = || ReasonCode::ALL.iter().copied().map(Some).chain([None]);
            for wrong in [false, true]
                .into_iter()
                .filter(|wrong| codes().any(|code| went_wrong(status, code) == *wrong))
            {
                let lengths = rules().filter_map(|rules| rules.of_record(wrong).length());
                by_age.extend(lengths.map(|keep| Walk::Runs { status, keep }));
            }
            let lengths = rules().filter_map(|rules| rules.keep_values.length());
            by_age.extend(lengths.filter(|_| has_values(status)).map(|keep| Walk::Values { status, keep }));
        }
        by_age
            .into_iter()
            .chain(self.limited.iter().map(|(cron_id, most)| Walk::Most(*cron_id, *most)))
            .collect()
    }
}

/// Returns whether runs that ended like this may have values, or a webhook.
fn has_values(status: Status) -> bool {
    match status {
        Status::Success | Status::Error | Status::Timeout | Status::Interrupted | Status::Cancelled => true,
        Status::Skipped | Status::Missed => false,
    }
}
