//! Outages, as they are stored: the daemon's own is found at its next start, the others are committed while they last.

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::rows::{millis, parsed, time, time_option};
use super::{Store, StoreError};
use crate::domain::bounds::OUTAGES_REMEMBERED;
use crate::domain::outage::Outage;

impl Store {
    /// Commits outages as they are known by now; one that is stored already gets its end.
    pub async fn save_outages(&self, outages: Vec<Outage>) -> Result<(), StoreError> {
        self.write(move |tx| outages.iter().try_for_each(|outage| save(tx, outage))).await
    }
}

pub(super) fn save(tx: &Transaction<'_>, outage: &Outage) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO outages (what, subject, since, until, why) VALUES (:what, :subject, :since, :until, :why) \
         ON CONFLICT DO UPDATE SET until = excluded.until, why = excluded.why",
    )?
    .execute(named_params! {
        ":what": outage.what.as_str(),
        ":subject": outage.subject,
        ":since": millis(outage.since),
        ":until": outage.until.map(millis),
        ":why": outage.why,
    })?;
    tx.prepare_cached(
        "DELETE FROM outages WHERE since < (SELECT since FROM outages ORDER BY since DESC LIMIT 1 OFFSET ?1)",
    )?
    .execute([OUTAGES_REMEMBERED])?;
    Ok(())
}

/// Ends what a former daemon left without an end: whatever was away then is noticed again if it still is.
pub(super) fn end_all(tx: &Transaction<'_>, at: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE outages SET until = max(since, ?1) WHERE until IS NULL", [millis(at)])?;
    Ok(())
}

/// Returns the outages that had not ended before `since`, the latest first.
pub(super) fn lasting_since(tx: &Transaction<'_>, since: Timestamp) -> Result<Vec<Outage>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT what, subject, since, until, why FROM outages WHERE until IS NULL OR until >= ?1 \
         ORDER BY since DESC, what, subject",
    )?;
    let mut rows = statement.query([millis(since)])?;
    let mut outages = Vec::new();
    while let Some(row) = rows.next()? {
        outages.push(Outage {
            what: parsed(row, "what")?,
            subject: row.get("subject")?,
            since: time(row, "since")?,
            until: time_option(row, "until")?,
            why: row.get("why")?,
        });
    }
    Ok(outages)
}
