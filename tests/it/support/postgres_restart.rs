//! Restarts of a PostgreSQL server.

use std::process::Command;

use super::postgres::{Postgres, serve};

impl Postgres {
    /// Stops it at once, as `pg_ctl stop -m immediate` does: every connection is over, and it recovers when it is started again.
    pub(crate) fn stop_at_once(&mut self) {
        let pid = self.server.id().to_string();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
        self.server.wait().unwrap();
    }

    /// Starts it again where it was.
    pub(crate) fn start_again(&mut self) {
        self.server = serve(&self.programs, self.folder.path(), self.port).unwrap();
        self.wait().unwrap();
    }
}
