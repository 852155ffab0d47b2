//! The contestants, and how each is started with the same crons.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::json;

use super::home::Home;
use super::machine::now;
use super::process::ChildProcess;

/// The assistant of every run.
const ASSISTANT: &str = "agent";
/// A prompt of typical length.
const PROMPT: &str = "Summarise what happened in the channel since the last run, in five lines at most.";
/// The default of `backend.max_concurrent_runs`.
const CONCURRENT_RUNS_DEFAULT: usize = 256;
/// The largest value that the configuration allows.
const CONCURRENT_RUNS_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contestant {
    /// The same requests as ours, made by a client that keeps nothing. It is the measure of the others.
    Raw,
    /// The daemon, allowed to have every run of the burst on the backend at once.
    Wide,
    /// The daemon with its default: the next run starts when one of 256 has ended and its end is recorded.
    Default,
    /// The program that one would write without agentcron. It follows no run and sends no webhook.
    Naive,
}

/// A burst, as the programs without agentcron are told of it.
#[derive(clap::Args)]
pub(super) struct Burst {
    /// The URL of the agent server.
    pub(super) url: String,
    /// The number of crons.
    pub(super) count: usize,
    /// The instant at which every cron is due, once.
    pub(super) at: Timestamp,
}

impl Contestant {
    pub(super) const ALL: [Self; 4] = [Self::Raw, Self::Wide, Self::Default, Self::Naive];

    pub(super) fn name(self) -> String {
        match self {
            Self::Raw => "raw client: reqwest, 64 at once".to_owned(),
            Self::Wide => format!("agentcron, max_concurrent_runs = {CONCURRENT_RUNS_MAX}"),
            Self::Default => format!("agentcron, default ({CONCURRENT_RUNS_DEFAULT})"),
            Self::Naive => "naive: tokio-cron-scheduler + reqwest".to_owned(),
        }
    }

    /// Starts the contestant with `count` crons, each of which is due once, at `at`.
    pub(super) fn start(self, url: &str, count: usize, at: Timestamp) -> Result<Running> {
        match self {
            Self::Raw => Running::program("raw", url, count, at),
            Self::Naive => Running::program("naive", url, count, at),
            Self::Wide => Running::daemon(url, count, at, CONCURRENT_RUNS_MAX),
            Self::Default => Running::daemon(url, count, at, CONCURRENT_RUNS_DEFAULT),
        }
    }
}

/// A contestant that is running.
pub(super) struct Running {
    pub(super) process: ChildProcess,
    /// The folder of a daemon, dropped after its process; `None` for a program that keeps nothing.
    pub(super) home: Option<Home>,
}

impl Running {
    fn program(part: &'static str, url: &str, count: usize, at: Timestamp) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([part, url, &count.to_string(), &at.to_string()]).stdout(Stdio::piped());
        let mut process = ChildProcess::spawn(part, &mut command)?;
        let stdout = process.stdout().with_context(|| format!("{part} has no stdout"))?;
        BufReader::new(stdout).read_line(&mut String::new())?;
        // Checked here, so that starts that are lost later are lost by the program itself.
        anyhow::ensure!(now() < at, "{part} was not ready in time: the machine is too busy");
        Ok(Self { process, home: None })
    }

    fn daemon(url: &str, count: usize, at: Timestamp, concurrent_runs: usize) -> Result<Self> {
        let schedule = at.strftime("%-M %-H %-d %-m * %-S");
        let mut text = format!(
            "[backend]\nurl = \"{url}\"\nmax_concurrent_runs = {concurrent_runs}\n[store]\npath = \"agentcron.db\"\n\
             [http]\nlisten = \"off\"\nsocket = \"agentcron.sock\"\n[webhooks.url]\ndisable_loopback = false\n\
             [defaults]\ntimezone = \"UTC\"\non_run_completed = \"keep\"\n"
        );
        for index in 0..count {
            let name = name_of(index);
            writeln!(
                text,
                "[cron.{name}]\nschedule = \"{schedule}\"\nassistant_id = \"{ASSISTANT}\"\nwebhook = \"{url}/hooks/{name}\"\n\
                 input = {{ messages = [{{ role = \"user\", content = \"{PROMPT}\" }}] }}"
            )?;
        }
        let home = Home::new(&text)?;
        Ok(Self { process: home.daemon()?, home: Some(home) })
    }

    /// Returns an error if the contestant has ended.
    pub(super) fn ensure_alive(&mut self) -> Result<()> {
        match &self.home {
            Some(home) => home.ensure_alive(&mut self.process),
            None => self.process.ensure_alive(),
        }
    }
}

/// Returns the name of a cron. It is the same in every contestant, and the stub identifies arrivals by it.
pub(super) fn name_of(index: usize) -> String {
    format!("cron-{index:05}")
}

/// Returns the body of a request for a run, for the programs without agentcron.
pub(super) fn run_body(index: usize) -> String {
    json!({
        "assistant_id": ASSISTANT,
        "input": { "messages": [{ "role": "user", "content": PROMPT }] },
        "if_not_exists": "create",
        "metadata": { "cron_name": name_of(index) },
    })
    .to_string()
}
