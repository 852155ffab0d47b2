//! Whether a server is one that a store can be on.

use super::session::Session;
use crate::store::StoreError;

/// The oldest version that the statements are for, as `server_version_num` has it.
const VERSION_MIN: i64 = 150_000;
/// Databases that speak like PostgreSQL, by what their `version()` says. Locks of theirs do nothing, or no rows are skipped that
/// are locked, so several daemons on one of them would do things twice.
const IMPOSTORS: [&str; 7] =
    ["CockroachDB", "-YB-", "Yugabyte", "Redshift", "Materialize", "CrateDB", "QuestDB"];

/// Fails if it is one that a store cannot be on.
pub(in crate::store) fn demand_usable(session: &Session) -> Result<(), StoreError> {
    let rows = session.ask(
        "SELECT version(), current_setting('server_version_num')::bigint, current_setting('server_encoding')",
    )?;
    let unusable = |problem: String| StoreError::ServerUnusable { server: session.server().name(), problem };
    let row = rows.as_slice().first().ok_or_else(|| unusable("it does not say its version".to_owned()))?;
    let text = |place: usize| row.value(place).map(|value| value.as_str().unwrap_or_default().to_owned());
    let (version, number, encoding) = (text(0)?, row.value(1)?.as_i64().unwrap_or_default(), text(2)?);
    judge(&version, number, &encoding).map_err(unusable)
}

/// Fails if the tables of a store are not there and this role may not make them.
pub(in crate::store) fn demand_makeable(session: &Session) -> Result<(), StoreError> {
    let may_make =
        "SELECT to_regnamespace($1) IS NOT NULL OR has_database_privilege(current_database(), 'CREATE')";
    let sql = may_make.replace("$1", &format!("'\"{}\"'", session.schema()));
    let rows = session.ask(&sql)?;
    if rows.as_slice().first().is_some_and(|row| row.value(0).is_ok_and(|value| value.as_i64() == Ok(1))) {
        return Ok(());
    }
    let problem = format!(
        "this role may not create the schema {0}; let somebody who may do so: CREATE SCHEMA {0} AUTHORIZATION the role",
        session.schema()
    );
    Err(StoreError::ServerUnusable { server: session.server().name(), problem })
}

/// Returns why a store cannot be on a server with this version and encoding.
fn judge(version: &str, number: i64, encoding: &str) -> Result<(), String> {
    let short: String = version.chars().take(60).collect();
    if let Some(impostor) = IMPOSTORS.iter().find(|name| version.contains(**name)) {
        let name = impostor.trim_matches('-');
        return Err(format!(
            "it is not PostgreSQL but {name} ({short}), whose locks are not those of PostgreSQL"
        ));
    }
    if !version.starts_with("PostgreSQL ") {
        return Err(format!("it is not PostgreSQL but {short}"));
    }
    if number < VERSION_MIN {
        return Err(format!("it is {short}; agentcron needs PostgreSQL {} or newer", VERSION_MIN / 10_000));
    }
    match encoding {
        "UTF8" => Ok(()),
        other => Err(format!("its database has the encoding {other}; create one with the encoding UTF8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_postgresql_of_a_supported_version_is_used() {
        for (version, number, encoding, expected) in [
            ("PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu", 150_018, "UTF8", None),
            ("PostgreSQL 18.1", 180_001, "UTF8", None),
            ("PostgreSQL 14.9", 140_009, "UTF8", Some("needs PostgreSQL 15 or newer")),
            ("PostgreSQL 15.2", 150_002, "LATIN1", Some("encoding UTF8")),
            (
                "CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu)",
                130_000,
                "UTF8",
                Some("not PostgreSQL but CockroachDB"),
            ),
            ("PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64", 150_002, "UTF8", Some("not PostgreSQL but YB")),
            ("PostgreSQL 8.0.2 on i686, Redshift 1.0.4", 80_002, "UTF8", Some("Redshift")),
            ("Something 1", 160_000, "UTF8", Some("not PostgreSQL but Something 1")),
        ] {
            let judged = judge(version, number, encoding).err();
            assert_eq!(judged.is_none(), expected.is_none(), "{version}: {judged:?}");
            assert!(judged.unwrap_or_default().contains(expected.unwrap_or_default()), "{version}");
        }
    }
}
