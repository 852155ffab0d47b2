//! A store on PostgreSQL as a file of SQLite, so that tests look at both in the same way.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const TABLES: &str = include_str!("../../../src/store/migrations/0001_initial.sql");

/// Copies the store at this address over the file.
///
/// # Errors
/// Whatever the server says; it may be away just now.
pub(crate) fn copy(url: &str, to: &Path) -> Result<(), tokio_postgres::Error> {
    let _ = std::fs::remove_file(to);
    let mut file = Connection::open(to).unwrap();
    file.execute_batch(TABLES).unwrap();
    file.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -100000")
        .unwrap();
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
                let carried = runtime.spawn(connection);
                // Everything as of one moment.
                client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                copy_tables(&client, &mut file).await?;
                drop(client);
                carried.await.unwrap()
            })
        });
        copying.join().unwrap()
    })
}

async fn copy_tables(client: &Client, file: &mut Connection) -> Result<(), tokio_postgres::Error> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> =
        file.prepare(tables).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let tx = file.transaction().unwrap();
    for table in tables {
        tx.execute(&format!("DELETE FROM {table}"), []).unwrap();
        let columns: Vec<(String, String)> = tx
            .prepare(&format!("SELECT name, type FROM pragma_table_info('{table}')"))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let places = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
        let mut insert = tx.prepare(&insert).unwrap();
        let rows = format!("SELECT {} FROM agentcron.{table}", names.join(", "));
        for message in client.simple_query(&rows).await? {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let value = |(place, (_, kind)): (usize, &(String, String))| match (row.get(place), kind.as_str())
            {
                (None, _) => Value::Null,
                (Some(text), "BLOB") => Value::Blob(bytes_of(text)),
                (Some(text), _) => Value::Text(text.to_owned()),
            };
            let values: Vec<Value> = columns.iter().enumerate().map(value).collect();
            insert.execute(rusqlite::params_from_iter(values)).unwrap();
        }
    }
    tx.commit().unwrap();
    Ok(())
}

/// Reads the hexadecimal form of a `bytea`.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("\\x").unwrap_or_default();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
