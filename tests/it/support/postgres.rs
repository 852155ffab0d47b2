//! A PostgreSQL server of the machine's own package, in a folder of its own on a free port of loopback.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
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

pub(crate) struct Postgres {
    pub(crate) server: Child,
    pub(crate) port: u16,
    pub(crate) programs: PathBuf,
    // Dropped after the server has ended.
    pub(crate) folder: TempDir,
}

/// Starts a server on its data in a folder.
pub(crate) fn serve(programs: &Path, folder: &Path, port: u16) -> io::Result<Child> {
    let mut serve = program(&programs.join("postgres"));
    // Nothing here outlives the machine, so nothing waits for its disk.
    serve.args(["-c", "fsync=off"]).arg("-D").arg(folder.join("data"));
    // A pipe that nobody reads would stop the server once it is full.
    serve.stderr(File::options().create(true).append(true).open(folder.join("log"))?);
    serve.arg("-k").arg(folder).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    serve.spawn()
}

impl Postgres {
    /// Starts a server with an empty database, or returns `None` if the machine has none.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        give_away(folder.path())?;
        give_away(&data)?;
        let mut make = program(&programs.join("initdb"));
        let options =
            ["--auth=trust", "--username=agentcron", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"];
        let made = make.args(options).arg(&data).output()?;
        if !made.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&made.stderr)));
        }
        let port = free_port()?;
        let mut started = Self { server: serve(&programs, folder.path(), port)?, port, programs, folder };
        started.wait()?;
        Ok(Some(started))
    }

    /// Returns its address, with an empty database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://agentcron@127.0.0.1:{}/postgres", self.port)
    }

    /// Waits until it answers.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        for _ in 0..LOOKS_MAX {
            let mut ask = program(&self.programs.join("pg_isready"));
            if ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status()?.success() {
                return Ok(());
            }
            if self.server.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(LOOKS_EVERY);
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        Err(io::Error::other(format!("PostgreSQL does not run: {log}")))
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

pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Gives a folder to the user that the server runs as.
pub(crate) fn give_away(folder: &Path) -> io::Result<()> {
    if is_root() { chown(folder, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}

pub(crate) fn program(path: &Path) -> Command {
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
