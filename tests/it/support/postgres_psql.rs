//! What a person or another program does at a PostgreSQL server.

use std::process::Command;

use super::postgres::Postgres;

impl Postgres {
    /// Runs a statement by `psql`, and returns what it prints.
    pub(crate) fn psql(&self, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql, &self.url()]);
        let done = psql.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}
