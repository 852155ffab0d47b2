//! A store as its owner sees it with an SQL shell, on whichever engine the tests run.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::config::DbConfig;

use crate::clock::Clock;
use crate::domain::ids::InstallationId;
use crate::store::sql::{Connection, Params, Transaction, Value, ValueRef};
use crate::store::{Place, Reader};

/// The variable with the address of the server on which the tests of the store run; without it they are on SQLite.
pub(crate) const SERVER: &str = "AGENTCRON_TEST_POSTGRES";

/// What tests call that only SQLite has.
const FUNCTIONS: &str = "
CREATE OR REPLACE FUNCTION strftime(text, bigint, text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT to_char(to_timestamp($2) AT TIME ZONE 'UTC', CASE $1 WHEN '%H:%M' THEN 'HH24:MI' ELSE $1 END) $$;
CREATE OR REPLACE FUNCTION json_quote(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT to_json($1)::text $$;
CREATE OR REPLACE FUNCTION json_extract(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1::json #>> '{}' $$;
";

/// The store in a folder.
pub(crate) struct Shell(Mutex<Connection>);

/// Returns the address of the server on which the tests run, if they do.
#[expect(clippy::disallowed_methods, reason = "a test is told by its runner where its store is")]
pub(super) fn server() -> Option<String> {
    std::env::var(SERVER).ok()
}

/// Returns where the tests of a folder have their store.
pub(crate) fn place(path: &Path) -> Place {
    let Some(url) = server() else { return path.into() };
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    Place::on_server(&url, &folder).unwrap()
}

/// Opens the store in a folder.
pub(crate) fn shell(folder: &Path) -> Shell {
    Shell::at(&folder.join("agentcron.db"))
}

/// Returns a reader of the store in a folder.
pub(crate) fn reader(folder: &Path) -> Reader {
    Reader::connect(&place(&folder.join("agentcron.db"))).unwrap()
}

impl Shell {
    pub(crate) fn at(path: &Path) -> Self {
        let place = place(path);
        let connection = match &place {
            Place::File(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                // As the connections of the store have it, for the plans.
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
                connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF").unwrap();
                Connection::Sqlite(connection)
            }
            Place::Server(_) => {
                let mut connection =
                    place.open_to_write(InstallationId::default(), &Clock::system()).unwrap();
                let tx = Transaction::begin(&mut connection).unwrap();
                tx.batch(FUNCTIONS).unwrap();
                tx.commit().unwrap();
                connection
            }
        };
        Self(Mutex::new(connection))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap()
    }

    /// Returns the first column of each row as text.
    pub(in crate::store) fn lines(&self, sql: &str, params: impl Params) -> Vec<String> {
        let connection = self.connection();
        let tx = Transaction::begin_to_read(&connection).unwrap();
        tx.query(sql, params, |row| {
            Ok(match row.value(0)? {
                ValueRef::Null => "null".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
            })
        })
        .unwrap()
    }

    /// Returns the first two columns of each row, which are texts.
    pub(in crate::store) fn pairs(&self, sql: &str) -> Vec<(String, String)> {
        let connection = self.connection();
        let tx = Transaction::begin_to_read(&connection).unwrap();
        tx.query(sql, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    /// Returns the only value.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        Transaction::begin_to_read(&self.connection()).unwrap().query_value(sql, ()).unwrap()
    }

    /// Runs a statement that returns nothing.
    pub(in crate::store) fn execute(&self, sql: &str, params: impl Params) {
        let mut connection = self.connection();
        let tx = Transaction::begin(&mut connection).unwrap();
        tx.execute(sql, params).unwrap();
        tx.commit().unwrap();
    }

    /// Returns how SQLite finds what a query returns.
    pub(crate) fn plan(&self, sql: &str) -> Vec<String> {
        let connection = self.connection();
        let Connection::Sqlite(connection) = &*connection else { panic!("it is about SQLite") };
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = vec![Value::Integer(1); statement.parameter_count()];
        let plan = statement.query_map(rusqlite::params_from_iter(values), |row| row.get("detail"));
        plan.unwrap().map(Result::unwrap).collect()
    }

    /// Lets every update of a table fail.
    pub(crate) fn refuse_updates_of(&self, table: &str) {
        let mut connection = self.connection();
        let refuse = match &*connection {
            Connection::Sqlite(_) => {
                format!("CREATE TRIGGER refuse BEFORE UPDATE ON {table} BEGIN SELECT raise(ABORT, 'no'); END")
            }
            Connection::Postgres(_) => format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; \
                 CREATE TRIGGER refuse BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
            ),
        };
        let tx = Transaction::begin(&mut connection).unwrap();
        tx.batch(&refuse).unwrap();
        tx.commit().unwrap();
    }

    pub(crate) fn allow_updates_of(&self, table: &str) {
        let mut connection = self.connection();
        let allow = match &*connection {
            Connection::Sqlite(_) => "DROP TRIGGER refuse".to_owned(),
            Connection::Postgres(_) => format!("DROP TRIGGER refuse ON {table}"),
        };
        let tx = Transaction::begin(&mut connection).unwrap();
        tx.batch(&allow).unwrap();
        tx.commit().unwrap();
    }

    /// Runs statements that return nothing. What refers to nothing is let through.
    pub(crate) fn run(&self, sql: &str) {
        let mut connection = self.connection();
        if let Connection::Sqlite(connection) = &*connection {
            return connection.execute_batch(sql).unwrap();
        }
        let tx = Transaction::begin(&mut connection).unwrap();
        tx.batch("SET LOCAL session_replication_role = replica").unwrap();
        for statement in sql.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            tx.execute(&statement.replace("AS BLOB)", "AS bytea)"), ()).unwrap();
        }
        tx.commit().unwrap();
    }
}
