//! Moves a store from a file to a server, history and all, in one transaction there. The file stays as it was, except that no daemon
//! begins with it any more.

use std::path::Path;

use super::counts::Tx;
use super::sql::{Connection, Transaction, Value};
use super::{DaemonLock, Place, StoreError, open};
use crate::clock::Clock;
use crate::domain::ids::InstallationId;

/// How many rows are on their way at the same time.
const ROWS_AT_ONCE: u64 = 1_000;

/// A table that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTable {
    pub name: String,
    pub rows: u64,
}

/// Moves the store in a file to a server that has none yet, and returns what was moved: as many rows as there were. `progress` is
/// told the table and how many of its rows are moved.
///
/// # Errors
/// [`StoreError::Taken`] if a daemon has the file, and [`StoreError::Conflict`] if the server has a store that has been used. Nothing
/// has changed in any case of an error.
pub fn migrate(
    from: &Path,
    to: &Place,
    clock: &Clock,
    progress: impl FnMut(&str, u64),
) -> Result<Vec<MovedTable>, StoreError> {
    if !from.exists() {
        let problem = "there is no such file".to_owned();
        return Err(StoreError::Unusable { path: from.to_path_buf(), problem });
    }
    let _lock = DaemonLock::take(from)?;
    // A move that was interrupted may have left its mark, and then it is made again.
    let was_marked = open::unmark_as_moved(from)?;
    let moved = move_all(from, to, clock, progress);
    if moved.is_err() && was_marked {
        open::mark_as_moved(from)?;
    }
    moved
}

fn move_all(
    from: &Path,
    to: &Place,
    clock: &Clock,
    mut progress: impl FnMut(&str, u64),
) -> Result<Vec<MovedTable>, StoreError> {
    let source = Connection::Sqlite(open::open_to_write(from, InstallationId::default())?);
    let mut target = to.open_to_write(InstallationId::default(), clock)?;
    let read = Transaction::begin_to_read(&source)?;
    let tx = Tx::begin(&mut target)?;
    demand_unused(&tx, to)?;
    let names = tables(&read)?;
    // The other way round, a table is emptied before what it refers to.
    for name in names.iter().rev() {
        tx.execute(&format!("DELETE FROM {name}"), ())?;
    }
    let mut moved = Vec::new();
    for name in names {
        let rows = copy(&read, &tx, &name, |rows| progress(&name, rows))?;
        moved.push(MovedTable { name, rows });
    }
    // Whatever happens now, there are never two that daemons begin with.
    open::mark_as_moved(from)?;
    let committed = tx.commit().and_then(|(_, mark)| mark.map_or(Ok(()), |_| Err(StoreError::Unconfirmed)));
    if let Err(error) = committed {
        // What is not confirmed may be there.
        if !matches!(error, StoreError::Unconfirmed) {
            open::unmark_as_moved(from)?;
        }
        return Err(error);
    }
    Ok(moved)
}

/// Fails if anything was ever recorded there.
fn demand_unused(tx: &Transaction<'_>, place: &Place) -> Result<(), StoreError> {
    let used = tx.query_count("SELECT (SELECT count(*) FROM crons) + (SELECT count(*) FROM runs)", ())?;
    match used {
        0 => Ok(()),
        _ => Err(StoreError::Conflict(format!(
            "{place} has a store with crons or runs already; drop its schema (DROP SCHEMA agentcron CASCADE), or name another \
             database in store.url"
        ))),
    }
}

/// Returns the tables, each after those that it refers to.
fn tables(tx: &Transaction<'_>) -> Result<Vec<String>, StoreError> {
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    tx.query(sql, (), |row| row.get("name"))
}

/// Copies a table, and fails unless there are as many rows there as here.
fn copy(
    from: &Transaction<'_>,
    to: &Transaction<'_>,
    table: &str,
    mut progress: impl FnMut(u64),
) -> Result<u64, StoreError> {
    let sql = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
    let columns: Vec<String> = from.query(sql, [table], |row| row.get("name"))?;
    let names = columns.join(", ");
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    let insert = format!("INSERT INTO {table} ({names}) VALUES ({})", places.join(", "));
    let mut copied = 0;
    from.each(&format!("SELECT {names} FROM {table}"), (), |row| {
        let value = |place| Ok(Value::try_from(row.value(place)?).map_err(rusqlite::Error::from)?);
        let values = (0..columns.len()).map(value).collect::<Result<Vec<Value>, StoreError>>()?;
        to.put(&insert, values.as_slice())?;
        copied += 1;
        if copied % ROWS_AT_ONCE == 0 {
            to.settle()?;
            progress(copied);
        }
        Ok(())
    })?;
    to.settle()?;
    go_on_counting(to, table, &columns)?;
    let count = format!("SELECT count(*) FROM {table}");
    let (here, there) = (from.query_count(&count, ())?, to.query_count(&count, ())?);
    match here == there && there == copied {
        true => Ok(copied),
        false => Err(StoreError::Lost(format!("{table} has {here} rows, and {there} of them were moved"))),
    }
}

/// Lets the next row of a table that numbers its rows have the number after the highest one.
fn go_on_counting(tx: &Transaction<'_>, table: &str, columns: &[String]) -> Result<(), StoreError> {
    for column in columns.iter().filter(|column| matches!(column.as_str(), "seq" | "number")) {
        tx.query(
            &format!(
                "SELECT setval(numbers.sequence::regclass, (SELECT coalesce(max({column}), 0) + 1 FROM {table}), false) AS next \
                 FROM (SELECT pg_get_serial_sequence(quote_ident(current_schema) || '.{table}', '{column}') AS sequence) AS numbers \
                 WHERE numbers.sequence IS NOT NULL"
            ),
            (),
            |_| Ok(()),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
