//! A standby of a PostgreSQL server, which follows it and can take its place.

use super::postgres::{Postgres, free_port, program, serve};

impl Postgres {
    /// Starts a standby of it, which receives what it commits a moment later.
    pub(crate) fn standby(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        super::postgres::give_away(folder.path()).unwrap();
        let mut copy = program(&self.programs.join("pg_basebackup"));
        copy.arg("-D").arg(folder.path().join("data"));
        copy.args([
            "-R",
            "-X",
            "stream",
            "--checkpoint=fast",
            "--no-sync",
            "-U",
            "agentcron",
            "-h",
            "127.0.0.1",
        ]);
        let copied = copy.args(["-p", &self.port.to_string()]).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let (port, programs) = (free_port().unwrap(), self.programs.clone());
        let mut standby =
            Self { server: serve(&programs, folder.path(), port).unwrap(), port, programs, folder };
        standby.wait().unwrap();
        standby
    }

    /// Makes a standby a server of its own, with what has reached it.
    pub(crate) fn promote(&self) {
        self.psql("SELECT pg_promote()");
    }
}
