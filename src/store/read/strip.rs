//! How many occurrences ended in each hour, of all crons together.

use super::Reader;
use crate::domain::run::Status;
use crate::store::StoreError;
use crate::store::rows::parsed;

impl Reader {
    /// Returns how many occurrences ended how in these hours, which are numbered as in the roll-ups. Hours in which none ended are
    /// left out.
    pub fn ended_by_hour(&self, first: i64, last: i64) -> Result<Vec<(i64, Status, u64)>, StoreError> {
        let sql = "SELECT hour, status, sum(occurrences) AS number FROM cron_hours WHERE hour BETWEEN ?1 AND ?2 \
                   GROUP BY hour, status HAVING sum(occurrences) > 0 ORDER BY hour";
        self.at_one_moment(|tx| {
            tx.query(sql, (first, last), |row| {
                Ok((row.get("hour")?, parsed(row, "status")?, row.count("number")?))
            })
        })
    }
}
