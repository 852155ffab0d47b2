//! A PostgreSQL server of the machine's own package, in a folder of its own on a free port of loopback.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// The user `nobody` of Debian: the server refuses to run as root.
const NOBODY: u32 = 65534;
const LOOKS_EVERY: Duration = Duration::from_millis(20);
/// A minute.
const LOOKS_MAX: usize = 3000;

pub(super) struct Postgres {
    server: Child,
    port: u16,
    // Dropped after the server has ended.
    _folder: TempDir,
}

impl Postgres {
    /// Starts a server with an empty database, or returns `None` if the machine has none.
    pub(super) fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut make = program(&programs.join("initdb"));
        make.args([
            "--auth=trust",
            "--username=agentcron",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ])
        .arg(&data);
        let made = make.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut serve = program(&programs.join("postgres"));
        // Nothing here outlives the machine, so nothing waits for its disk.
        serve.args(["-c", "fsync=off"]).arg("-D").arg(&data).arg("-k").arg(folder.path()).args([
            "-p",
            &port.to_string(),
            "-h",
            "127.0.0.1",
        ]);
        let server = serve.spawn().unwrap();
        let mut started = Self { server, port, _folder: folder };
        started.wait();
        Some(started)
    }

    /// Returns its address, with an empty database.
    pub(super) fn url(&self) -> String {
        format!("postgres://agentcron@127.0.0.1:{}/postgres", self.port)
    }

    fn wait(&mut self) {
        for _ in 0..LOOKS_MAX {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return;
            }
            assert!(self.server.try_wait().unwrap().is_none(), "PostgreSQL has ended");
            std::thread::sleep(LOOKS_EVERY);
        }
        panic!("PostgreSQL does not listen");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An immediate shutdown: SIGQUIT ends every process of the server, which a kill would not.
        let pid = self.server.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.server.wait();
    }
}

/// Returns the folder with the programs of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let of_version = |entry: std::fs::DirEntry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let folder = entry.path().join("bin");
        folder.join("postgres").exists().then_some((number, folder))
    };
    versions.filter_map(of_version).max().map(|(_, folder)| folder)
}

fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C")
        .current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
