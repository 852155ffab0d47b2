//! The folder of a daemon: its configuration, its database and its log.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::process::ChildProcess;

pub(super) struct Home {
    folder: TempDir,
}

impl Home {
    /// Makes a folder with this main file, which names the database `agentcron.db` and the socket `agentcron.sock`.
    pub(super) fn new(main_file: &str) -> Result<Self> {
        // The folder is on the disk of the build, not in memory, so that a commit has its real cost.
        let folder = tempfile::Builder::new().prefix("home-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        std::fs::write(folder.path().join("agentcron.toml"), main_file)?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path("agentcron.db")
    }

    pub(super) fn daemon(&self) -> Result<ChildProcess> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
        command.arg("run").arg("--config").arg(self.path("agentcron.toml"));
        command.stdout(Stdio::null()).stderr(File::create(self.path("daemon.log"))?);
        ChildProcess::spawn("daemon", &mut command)
    }

    /// Returns an error with the last line of the log if the daemon has ended.
    pub(super) fn ensure_alive(&self, daemon: &mut ChildProcess) -> Result<()> {
        daemon.ensure_alive().with_context(|| {
            let log = std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
            log.lines().last().unwrap_or_default().to_owned()
        })
    }
}
