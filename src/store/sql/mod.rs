//! The seam between the operations and the engine of the store. An operation runs statements in a transaction and reads rows; it
//! is synchronous and may be run again. None knows how an engine is reached.
//!
//! The verbs are those of rust-postgres. Each prepares its statement once per connection.

mod dialect;
mod params;
mod row;

use rusqlite::{CachedStatement, Connection, TransactionBehavior};

use dialect::Dialect;
pub(super) use params::Params;
pub(super) use row::{Column, Row, bad};
pub(super) use rusqlite::named_params;
pub(super) use rusqlite::types::{FromSql, Value, ValueRef};

use super::StoreError;

/// A transaction.
pub(super) struct Transaction<'t>(rusqlite::Transaction<'t>);

/// A statement that is run several times, or whose rows are read one by one.
pub(super) struct Statement<'t>(CachedStatement<'t>);

/// The rows of a statement, each of which is read when it is asked for.
pub(super) struct Rows<'s>(rusqlite::Rows<'s>);

impl<'t> Transaction<'t> {
    /// Begins a transaction that writes: nobody else can until it ends.
    pub(super) fn begin(connection: &'t mut Connection) -> Result<Self, StoreError> {
        Ok(Self(connection.transaction_with_behavior(TransactionBehavior::Immediate)?))
    }

    /// Begins a transaction that only reads: everything that it sees is of one moment.
    pub(super) fn begin_to_read(connection: &'t Connection) -> Result<Self, StoreError> {
        Ok(Self(connection.unchecked_transaction()?))
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit()?)
    }

    /// Whether the engine has rolled the transaction back by itself.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_autocommit()
    }

    /// Lets the engine renew what it knows about its tables, as far as it sees fit.
    pub(super) fn optimize(&self) -> Result<(), StoreError> {
        Ok(self.0.execute_batch("PRAGMA optimize")?)
    }

    /// Lets the engine overwrite whatever it deletes from now on with zeros, whole pages included, or only where that costs
    /// no further write.
    pub(super) fn overwrite_deleted(&self, all: bool) -> Result<(), StoreError> {
        let pragma = if all { "PRAGMA secure_delete = ON" } else { "PRAGMA secure_delete = FAST" };
        Ok(self.0.execute_batch(pragma)?)
    }

    /// Returns how many pages of the file hold nothing.
    pub(super) fn unused_pages(&self) -> Result<u64, StoreError> {
        self.query_count("PRAGMA freelist_count", ())
    }

    pub(super) fn page_bytes(&self) -> Result<u64, StoreError> {
        self.query_count("PRAGMA page_size", ())
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<Statement<'_>, StoreError> {
        Ok(Statement(self.0.prepare_cached(&Dialect::Sqlite.say(sql))?))
    }

    /// Returns how many rows the statement has changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.prepare(sql)?.execute(params)
    }

    /// Reads every row.
    pub(super) fn query<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.each(sql, params, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Calls `visit` for every row.
    pub(super) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut visit: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            visit(&row)?;
        }
        Ok(())
    }

    /// Reads rows until one is what is looked for.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if let Some(found) = read(&row)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reads the first row, or returns `None` if there is none.
    pub(super) fn query_opt<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        read(&row).map(Some)
    }

    /// Reads the row of a statement that always has one.
    pub(super) fn query_one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.query_opt(sql, params, read)?
            .ok_or_else(|| StoreError::BadRow("the store lacks a row that it always has".to_owned()))
    }

    /// Reads the only value of a statement that always has one.
    pub(super) fn query_value<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<T, StoreError> {
        self.query_one(sql, params, |row| row.get(0))
    }

    /// Reads the count that is the only value of a statement.
    pub(super) fn query_count(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        self.query_one(sql, params, |row| row.count(0))
    }
}

impl Statement<'_> {
    /// Returns how many rows the statement has changed.
    pub(super) fn execute(&mut self, params: impl Params) -> Result<usize, StoreError> {
        params.bind(&mut self.0)?;
        Ok(self.0.raw_execute()?)
    }

    pub(super) fn query(&mut self, params: impl Params) -> Result<Rows<'_>, StoreError> {
        params.bind(&mut self.0)?;
        Ok(Rows(self.0.raw_query()))
    }
}

impl Rows<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, StoreError> {
        Ok(self.0.next()?.map(Row::of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_statement_is_an_error_that_says_what_it_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        let tx = Transaction::begin(&mut connection).unwrap();
        tx.execute("CREATE TABLE t (a, b)", ()).unwrap();
        let message = |result: Result<usize, StoreError>| result.unwrap_err().to_string();
        for too_few in [
            tx.execute("INSERT INTO t VALUES (?1, ?2)", [1]),
            tx.execute("INSERT INTO t VALUES (:a, :b)", named_params! { ":a": 1 }),
            tx.execute("INSERT INTO t VALUES (1, ?1)", ()),
        ] {
            assert!(message(too_few).contains("number of parameters"));
        }
        let unknown = tx.execute("INSERT INTO t VALUES (:a, 1)", named_params! { ":b": 1 });
        assert!(message(unknown).contains(":b"));
        assert_eq!(tx.execute("INSERT INTO t VALUES (?1, ?2)", (1, "x")).unwrap(), 1);
        let wrong = tx.query_one("SELECT a, b FROM t", (), |row| row.get::<i64>("b"));
        assert!(wrong.unwrap_err().to_string().starts_with("the store holds a bad `b`: "));
        assert_eq!(tx.query_opt("SELECT a FROM t WHERE a = 2", (), |row| row.get::<i64>(0)).unwrap(), None);
        assert!(tx.query_value::<i64>("SELECT a FROM t WHERE a = 2", ()).is_err());
        assert_eq!(tx.query_count("SELECT count(*) FROM t", ()).unwrap(), 1);
    }
}
