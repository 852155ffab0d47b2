//! pgbouncer in front of a PostgreSQL server: each transaction may have another connection.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;

use super::postgres::{Postgres, free_port, give_away, program};

const PROGRAM: &str = "/usr/sbin/pgbouncer";
const LOOKS_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 500;

pub(crate) struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Postgres {
    /// Starts a pooler in front of it that pools transactions, or returns `None` if the machine has none.
    pub(crate) fn pooler(&self) -> Option<Pooler> {
        if !Path::new(PROGRAM).exists() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=agentcron\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 5\n",
            self.port
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        give_away(folder.path()).unwrap();
        let process = program(Path::new(PROGRAM)).arg("--quiet").arg(&file).spawn().unwrap();
        let pooler = Pooler { process, port, _folder: folder };
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        for _ in 0..LOOKS_MAX {
            if answers() {
                return Some(pooler);
            }
            std::thread::sleep(LOOKS_EVERY);
        }
        panic!("pgbouncer does not listen");
    }
}

impl Pooler {
    pub(crate) fn url(&self) -> String {
        format!("postgres://agentcron@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
