//! Which of the runs that wait to be sent a daemon takes while others do the same, where the engine is far.

use std::collections::HashSet;

use super::{Claimer, FREE, Waiting, ready};
use crate::domain::cron::CronSource;
use crate::domain::ids::{CronId, RunId};
use crate::store::published::Left;
use crate::store::rows::{RUN_COLUMNS, millis, parsed, parsed_option};
use crate::store::sql::{array, named_params};
use crate::store::{StoreError, waits_for};

/// [`WAITS`](super::WAITS) of a run that is known, in no words of an index: while there are hardly any runs, one of those that wait looks
/// as good to PostgreSQL as that of their ids.
const STILL_WAITS: &str =
    "act_at + 0 <= :now AND phase || '' = 'pending' AND start_before + 0 > :now AND cancelling IS NULL";

/// For how many daemons one looks for runs, so that each finds some.
const CLAIMED_BESIDE: i64 = 4;

impl Claimer<'_> {
    /// Locks and returns runs of one source that may be sent, at most so many, where other daemons may be about to send them as
    /// well. What another one has locked is left to it.
    pub(super) fn free(
        &self,
        source: CronSource,
        limit: usize,
        left: &Left,
    ) -> Result<Vec<Waiting>, StoreError> {
        let (now, limit) = (millis(self.now), i64::try_from(limit).unwrap_or(i64::MAX));
        let sql = format!("{} LIMIT :limit", ready("run_id, cron_id, exclusive", source));
        // So many more that several find some which none of the others has.
        let values = named_params! { ":now": now, ":limit": limit.saturating_mul(CLAIMED_BESIDE) };
        let mut ready: Vec<(RunId, Option<CronId>)> = Vec::new();
        self.tx.each(&sql, values, |row| {
            let (is_exclusive, cron_id): (bool, Option<CronId>) =
                (row.get("exclusive")?, parsed_option(row, "cron_id")?);
            // Whoever has the values that it needs sends it.
            if !cron_id.is_some_and(|cron_id| left.contains(&cron_id)) {
                ready.push((parsed(row, "run_id")?, cron_id.filter(|_| is_exclusive)));
            }
            Ok(())
        })?;
        let exclusive: Vec<CronId> = ready.iter().filter_map(|(_, cron_id)| *cron_id).collect();
        let crons = self.free_crons(&exclusive)?;
        let is_free = |cron_id: &Option<CronId>| cron_id.is_none_or(|cron_id| crons.contains(&cron_id));
        let runs: Vec<RunId> =
            ready.iter().filter(|(_, cron_id)| is_free(cron_id)).map(|(run_id, _)| *run_id).collect();
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {RUN_COLUMNS}, claim, cron_source, turn, exclusive FROM runs WHERE run_id = ANY(:runs) AND {STILL_WAITS} \
             ORDER BY turn + 0, act_at, seq LIMIT :limit {FREE}"
        );
        let values = named_params! { ":now": now, ":limit": limit, ":runs": array(&runs) };
        let mut locked = self.tx.query(&sql, values, |row| {
            Ok((row.get::<bool>("exclusive")?, Waiting::of(self.tx, self.cache, row)?))
        })?;
        // Only now is it seen what others have committed before they left the cron to us.
        let exclusive: Vec<RunId> = locked
            .iter()
            .filter(|(is_exclusive, _)| *is_exclusive)
            .map(|(_, waiting)| waiting.claimed.run.run_id)
            .collect();
        if !exclusive.is_empty() {
            let sql =
                format!("SELECT run_id FROM runs WHERE run_id = ANY(?1) AND {}", waits_for::may_start());
            let may_start: HashSet<RunId> =
                self.tx.query(&sql, [array(&exclusive)], |row| parsed(row, "run_id"))?.into_iter().collect();
            locked.retain(|(is_exclusive, waiting)| {
                !is_exclusive || may_start.contains(&waiting.claimed.run.run_id)
            });
        }
        Ok(locked.into_iter().map(|(_, waiting)| waiting).collect())
    }

    /// Locks those of these crons that nobody else has locked, and returns them.
    fn free_crons(&self, crons: &[CronId]) -> Result<HashSet<CronId>, StoreError> {
        if crons.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!("SELECT cron_id FROM crons WHERE cron_id = ANY(?1) ORDER BY cron_id {FREE}");
        Ok(self.tx.query(&sql, [array(crons)], |row| parsed(row, "cron_id"))?.into_iter().collect())
    }
}
