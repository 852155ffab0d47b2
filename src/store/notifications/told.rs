//! What was told last.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::notification::{Announced, NotificationKind};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, time};
use crate::store::sql::{Transaction, named_params};

/// Returns what was told of these kinds.
pub(super) fn of_kinds(
    tx: &Transaction<'_>,
    kinds: &BTreeSet<NotificationKind>,
) -> Result<Vec<Announced>, StoreError> {
    let sql = "SELECT kind, subject, name, holds, since, announced_at, burst, seen_since, unsaid, incident FROM announced ORDER BY kind, subject";
    let mut told = tx.query(sql, (), |row| {
        Ok(Announced {
            kind: parsed(row, "kind")?,
            subject: row.get("subject")?,
            name: row.get("name")?,
            holds: row.get("holds")?,
            since: time(row, "since")?,
            told_at: time(row, "announced_at")?,
            burst: row.get("burst")?,
            seen_since: time(row, "seen_since")?,
            untold: row.get("unsaid")?,
            incident: parsed(row, "incident")?,
        })
    })?;
    told.retain(|row| kinds.contains(&row.kind));
    Ok(told)
}

pub(super) fn save(tx: &Transaction<'_>, rows: &[Announced]) -> Result<(), StoreError> {
    let sql = "INSERT INTO announced (kind, subject, name, holds, since, announced_at, burst, seen_since, unsaid, incident) \
               VALUES (:kind, :subject, :name, :holds, :since, :announced_at, :burst, :seen_since, :unsaid, :incident) \
               ON CONFLICT (kind, subject) DO UPDATE SET name = excluded.name, holds = excluded.holds, since = excluded.since, \
               announced_at = excluded.announced_at, burst = excluded.burst, seen_since = excluded.seen_since, \
               unsaid = excluded.unsaid, incident = excluded.incident";
    for row in rows {
        tx.execute(
            sql,
            named_params! {
                ":kind": row.kind.as_str(),
                ":subject": row.subject,
                ":name": row.name,
                ":holds": row.holds,
                ":since": millis(row.since),
                ":announced_at": millis(row.told_at),
                ":burst": row.burst,
                ":seen_since": millis(row.seen_since),
                ":unsaid": row.untold,
                ":incident": row.incident.to_string(),
            },
        )?;
    }
    Ok(())
}

/// Forgets what has been over since then.
pub(super) fn forget(tx: &Transaction<'_>, before: Timestamp) -> Result<(), StoreError> {
    tx.execute("DELETE FROM announced WHERE holds = 0 AND announced_at < ?1", [millis(before)])?;
    Ok(())
}

/// Returns what was told, with these rows in the place of older ones.
pub(super) fn after(told: &[Announced], rows: &[Announced]) -> Vec<Announced> {
    let is_replaced =
        |old: &&Announced| !rows.iter().any(|row| row.kind == old.kind && row.subject == old.subject);
    told.iter().filter(is_replaced).chain(rows).cloned().collect()
}
