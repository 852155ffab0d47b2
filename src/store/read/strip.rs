//! How many occurrences ended: of all crons together by hour, of one cron by day.

use super::Reader;
use crate::domain::ids::CronId;
use crate::domain::run::Status;
use crate::store::StoreError;
use crate::store::rows::parsed;

/// The hours of all crons are beside one another.
pub(super) const ENDED_BY_HOUR: &str = "SELECT hour, status, sum(occurrences) AS number FROM cron_hours \
    WHERE hour BETWEEN ?1 AND ?2 GROUP BY hour, status HAVING sum(occurrences) > 0 ORDER BY hour";

impl Reader {
    /// Returns how many occurrences ended how in these hours, which are numbered as in the roll-ups. Hours in which none ended are
    /// left out.
    pub fn ended_by_hour(&self, first: i64, last: i64) -> Result<Vec<(i64, Status, u64)>, StoreError> {
        self.at_one_moment(|tx| {
            tx.query(ENDED_BY_HOUR, (first, last), |row| {
                Ok((row.get("hour")?, parsed(row, "status")?, row.count("number")?))
            })
        })
    }

    /// Returns how many occurrences of a cron ended how on these days of UTC, which are numbered as in the roll-ups.
    pub fn ended_by_day(
        &self,
        cron_id: CronId,
        first: i64,
        last: i64,
    ) -> Result<Vec<(i64, Status, u64)>, StoreError> {
        // Each day is looked up by itself, because the days of all crons are beside one another.
        let mut ended = Vec::new();
        self.at_one_moment(|tx| {
            for day in first..=last {
                tx.each(ENDED_ON_DAY, (day, cron_id.to_string()), |row| {
                    ended.push((day, parsed(row, "status")?, row.count("number")?));
                    Ok(())
                })?;
            }
            Ok(ended)
        })
    }
}

/// By the primary key of the roll-ups.
pub(super) const ENDED_ON_DAY: &str = "SELECT status, sum(occurrences) AS number FROM cron_days \
     WHERE day = ?1 AND cron_id = ?2 GROUP BY status HAVING sum(occurrences) > 0";
