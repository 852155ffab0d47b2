//! Which of the runs that wait to be sent a daemon takes while others do the same, where the engine is far.

use std::collections::HashSet;

use super::{Claimer, FREE, Waiting, ready};
use crate::domain::cron::CronSource;
use crate::domain::ids::{CronId, RunId};
use crate::store::room::Room;
use crate::store::rows::{RUN_COLUMNS, millis, parsed, parsed_option};
use crate::store::sql::{array, named_params};
use crate::store::{StoreError, waits_for};

/// [`WAITS`](super::WAITS) of a run that is known, in no words of an index: while there are hardly any runs, one of those that wait looks
/// as good to PostgreSQL as that of their ids.
const STILL_WAITS: &str =
    "act_at + 0 <= :now AND phase || '' = 'pending' AND start_before + 0 > :now AND cancelling IS NULL";

/// For how many daemons one looks for runs at most, so that each finds some.
const CLAIMED_BESIDE: usize = 4;

/// [`FREE`], of crons only.
const FREE_CRONS: &str = "FOR NO KEY UPDATE OF crons SKIP LOCKED";

impl Claimer<'_> {
    /// Asks for what [`Claimer::free`] looks at of each source.
    pub(super) fn foresee_free(&self, room: &Room) -> Result<(), StoreError> {
        for wanted in CronSource::ALL.iter().filter_map(|source| Wanted::of(*source, room)) {
            let values = named_params! { ":now": millis(self.now), ":limit": wanted.looked_at };
            self.tx.foresee(&wanted.sql, values)?;
        }
        Ok(())
    }

    /// Locks and returns runs of one source that may be sent, where other daemons may be about to send them as well: as many as
    /// there is room for, and one that tells whether more could be sent. What another one has locked is left to it.
    pub(super) fn free(&self, source: CronSource, room: &Room) -> Result<Vec<Waiting>, StoreError> {
        let Some(Wanted { sql, limit, looked_at }) = Wanted::of(source, room) else { return Ok(Vec::new()) };
        let (now, left) = (millis(self.now), &room.left);
        let values = named_params! { ":now": now, ":limit": looked_at };
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
        let crons = self.free_crons(&exclusive, limit)?;
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

    /// Locks the first of these crons that nobody else has locked, at most so many, and returns them.
    fn free_crons(&self, crons: &[CronId], limit: i64) -> Result<HashSet<CronId>, StoreError> {
        if crons.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!(
            "SELECT crons.cron_id AS cron_id FROM unnest(CAST(?1 AS text[])) WITH ORDINALITY AS wanted (cron_id, place) \
             JOIN crons ON crons.cron_id = wanted.cron_id ORDER BY place LIMIT ?2 {FREE_CRONS}"
        );
        Ok(self.tx.query(&sql, (array(crons), limit), |row| parsed(row, "cron_id"))?.into_iter().collect())
    }
}

/// The runs of one source that one claim looks for.
struct Wanted {
    sql: String,
    /// How many are locked: those for which there is room, and one more.
    limit: i64,
    /// How many are looked at: so many more that several daemons find some which none of the others has.
    looked_at: i64,
}

impl Wanted {
    /// Returns `None` if there is no room for any.
    fn of(source: CronSource, room: &Room) -> Option<Self> {
        let sql = format!("{} LIMIT :limit", ready("run_id, cron_id, exclusive", source));
        let limit = room.left_for(source).checked_add(1).filter(|limit| *limit > 1)?;
        let looked_at = limit.saturating_mul(room.daemons.clamp(1, CLAIMED_BESIDE));
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Some(Self { sql, limit: number(limit), looked_at: number(looked_at) })
    }
}
