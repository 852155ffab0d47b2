//! What else fires at some instants: for whoever looks for a time at which little does.

use jiff::Timestamp;

use super::coming::firing;
use super::rows::millis;
use super::sql::Transaction;
use super::{Store, StoreError, pauses_of_all};
use crate::domain::bounds::TRIED_BESIDE_MAX;
use crate::domain::cron::Cron;
use crate::domain::plan::{is_excluded, names};

/// The crons that fire at an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlsoAt {
    pub count: u64,
    /// The names of the first of them.
    pub names: Vec<String>,
    /// Whether only those were found of which this is the next time: there are too many crons to look further.
    pub is_of_next_only: bool,
}

impl Store {
    /// Returns the crons that fire at each of these instants.
    pub async fn also_at(&self, instants: Vec<Timestamp>, now: Timestamp) -> Result<Vec<AlsoAt>, StoreError> {
        let definitions = self.definitions.clone();
        self.read_at_one_moment(move |tx| {
            let Some(crons) = firing(tx, &definitions, now)? else {
                let pause = pauses_of_all::now(tx, now)?;
                let is_paused = |at| pause.as_ref().is_some_and(|pause| pause.covers(at));
                return instants.iter().map(|at| next_at(tx, *at, is_paused(*at))).collect();
            };
            let mut found = vec![AlsoAt::default(); instants.len()];
            for (cron, from) in &crons {
                for (at, also) in instants.iter().zip(&mut found) {
                    if at > from && fires_at(cron, *at) {
                        also.add(cron.name.clone());
                    }
                }
            }
            Ok(found)
        })
        .await
    }
}

impl AlsoAt {
    fn add(&mut self, name: String) {
        self.count += 1;
        if self.count <= u64::from(TRIED_BESIDE_MAX) {
            self.names.push(name);
        }
    }
}

fn fires_at(cron: &Cron, at: Timestamp) -> bool {
    names(cron, at) && !is_excluded(cron, at)
}

/// The crons by the time at which they are due next, in each of both halves of the index.
pub(super) const BY_NEXT: &str = "SELECT name FROM crons INDEXED BY crons_due WHERE source IN ('file', 'api') AND next_at IS NOT NULL \
     AND next_at = ?1 AND enabled = 1 AND removed_at IS NULL AND (paused_at IS NULL OR pause_ended = 1) ORDER BY name";

fn next_at(tx: &Transaction<'_>, at: Timestamp, is_paused: bool) -> Result<AlsoAt, StoreError> {
    let mut also = AlsoAt { is_of_next_only: true, ..AlsoAt::default() };
    if is_paused {
        return Ok(also);
    }
    for name in tx.query(BY_NEXT, [millis(at)], |row| row.get::<String>("name"))? {
        also.add(name);
    }
    Ok(also)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CronIdentity;
    use crate::domain::cron::CronSource;
    use crate::domain::ids::{CronId, InstallationId};

    #[test]
    fn a_cron_fires_at_what_it_names_unless_that_is_excluded_or_beyond_its_end() {
        let fields = serde_json::json!({
            "assistant_id": "agent", "schedule": "30 2 * * *", "input": {}, "exclude": ["2026-12-24"],
            "end_time": "2026-12-26T00:00:00Z",
        });
        let (installation, cron_id) = (InstallationId::default(), CronId::default());
        let identity = CronIdentity { installation, cron_id, name: "x", source: CronSource::File };
        let cron = super::super::definitions::parse(identity, &fields.to_string()).unwrap();
        let cases = [
            ("2026-12-23T02:30:00Z", true),
            ("2026-12-23T02:30:01Z", false),
            ("2026-12-24T02:30:00Z", false),
            ("2026-12-26T02:30:00Z", false),
        ];
        for (at, expected) in cases {
            assert_eq!(fires_at(&cron, at.parse().unwrap()), expected, "{at}");
        }
    }
}
