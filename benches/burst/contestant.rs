//! The contestants, and how each is started with the same crons.

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tempfile::TempDir;

use super::machine::now;
use super::process::ChildProcess;

/// The assistant of every run.
pub(super) const ASSISTANT: &str = "agent";
/// The default of `backend.max_concurrent_runs`.
const CONCURRENT_RUNS_DEFAULT: usize = 256;
/// The largest value that the configuration allows.
const CONCURRENT_RUNS_MOST: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// The daemon, allowed to have every run of the burst on the backend at once.
    Wide,
    /// The daemon with its default: the next run starts when one of 256 has ended and its end is recorded.
    Default,
    /// The program without agentcron.
    Naive,
}

impl Contestant {
    pub(super) const ALL: [Self; 3] = [Self::Wide, Self::Default, Self::Naive];

    pub(super) fn name(self) -> String {
        match self {
            Self::Wide => format!("agentcron, max_concurrent_runs = {CONCURRENT_RUNS_MOST}"),
            Self::Default => format!("agentcron, default ({CONCURRENT_RUNS_DEFAULT})"),
            Self::Naive => "naive: tokio-cron-scheduler + reqwest".to_owned(),
        }
    }

    /// Starts the contestant with `count` crons, each of which is due once, at `at`.
    pub(super) fn start(self, url: &str, count: usize, at: Timestamp) -> Result<Running> {
        let concurrent_runs = match self {
            Self::Wide => CONCURRENT_RUNS_MOST,
            Self::Default => CONCURRENT_RUNS_DEFAULT,
            Self::Naive => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["naive", url, &count.to_string(), &at.to_string()]).stdout(Stdio::piped());
                let mut process = ChildProcess::spawn("naive program", &mut command)?;
                let stdout = process.stdout().context("its stdout")?;
                BufReader::new(stdout).read_line(&mut String::new())?;
                // Check this here, so that later losses are due to the program itself.
                anyhow::ensure!(
                    now() < at,
                    "the naive program was not ready in time: the machine is too busy"
                );
                return Ok(Running { process, home: None });
            }
        };
        let schedule = at.strftime("%-M %-H %-d %-m * %-S").to_string();
        let home = Home::new(url, concurrent_runs, count, &schedule)?;
        Ok(Running { process: home.daemon()?, home: Some(home) })
    }
}

/// A contestant that is running.
pub(super) struct Running {
    process: ChildProcess,
    /// The folder of a daemon, dropped after its process; `None` for the naive program.
    pub(super) home: Option<Home>,
}

impl Running {
    /// Returns an error with the last log line if the contestant has ended.
    pub(super) fn is_alive(&mut self) -> Result<()> {
        let last_line = || {
            let log = self.home.as_ref().and_then(|home| std::fs::read_to_string(home.log()).ok());
            log.and_then(|log| log.lines().last().map(str::to_owned)).unwrap_or_default()
        };
        self.process.is_alive().with_context(last_line)
    }
}

/// The folder of a daemon: its configuration and its database.
pub(super) struct Home {
    folder: TempDir,
}

impl Home {
    pub(super) fn new(url: &str, concurrent_runs: usize, count: usize, schedule: &str) -> Result<Self> {
        // The folder is on the disk of the build, not in memory, so that a commit has its real cost.
        let folder = tempfile::Builder::new().prefix("burst-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let mut text = format!(
            "[backend]\nurl = \"{url}\"\nmax_concurrent_runs = {concurrent_runs}\n[store]\npath = \"agentcron.db\"\n\
             [http]\nlisten = \"off\"\nsocket = \"agentcron.sock\"\n[defaults]\ntimezone = \"UTC\"\n"
        );
        for index in 0..count {
            writeln!(
                text,
                "[cron.{}]\nschedule = \"{schedule}\"\nassistant_id = \"{ASSISTANT}\"\n\
                 input = {{ messages = [{{ role = \"user\", content = \"{}\" }}] }}",
                name_of(index),
                prompt(),
            )?;
        }
        std::fs::write(folder.path().join("agentcron.toml"), text)?;
        Ok(Self { folder })
    }

    pub(super) fn daemon(&self) -> Result<ChildProcess> {
        let config = self.folder.path().join("agentcron.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
        command.args(["run".as_ref(), "--config".as_ref(), config.as_os_str()]);
        command.stdout(Stdio::null()).stderr(File::create(self.log())?);
        ChildProcess::spawn("daemon", &mut command)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path().join("agentcron.db")
    }

    /// The log of the daemon, to be shown if the daemon ends.
    pub(super) fn log(&self) -> PathBuf {
        self.path().join("daemon.log")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Returns the name of a cron. It is the same in every contestant, and the stub identifies arrivals by it.
pub(super) fn name_of(index: usize) -> String {
    format!("cron-{index:05}")
}

/// Returns a prompt of typical length.
pub(super) fn prompt() -> &'static str {
    "Summarise what happened in the channel since the last run, in five lines at most."
}
