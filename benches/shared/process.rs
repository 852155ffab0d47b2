//! Child processes of the benchmark, which observes them through `/proc` and kills them when they go out of scope.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use anyhow::{Context, Result};

/// User and system time are each counted in whole ticks of 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// The time that a process has spent on cores, as two places count it.
#[derive(Debug)]
pub(super) struct CpuTime {
    /// Exactly, of each thread that has not ended.
    on_core: HashMap<OsString, Duration>,
    /// In ticks, of all threads that there were.
    ticks: Duration,
}

pub(super) struct ChildProcess {
    name: &'static str,
    child: Child,
}

impl CpuTime {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let mut on_core = HashMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            // A thread may end while this reads about it.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let nanos = text.split(' ').next().unwrap_or_default().parse()?;
            on_core.insert(task.file_name(), Duration::from_nanos(nanos));
        }
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may contain anything; the first field after it is number 3.
        let (_, rest) = text.rsplit_once(')').context("no name in parentheses")?;
        let field = |number: usize| rest.split_whitespace().nth(number - 3).unwrap_or("0").parse::<u32>();
        Ok(Self { on_core, ticks: TICK * (field(14)? + field(15)?) })
    }

    /// Returns the time since `before`: the exact number, unless much of it was spent by threads that have ended.
    pub(super) fn since(&self, before: &Self) -> Duration {
        let of_thread = |(id, time): (&OsString, &Duration)| {
            time.saturating_sub(before.on_core.get(id).copied().unwrap_or_default())
        };
        let on_core = self.on_core.iter().map(of_thread).sum();
        let ticks = self.ticks.saturating_sub(before.ticks);
        if ticks > on_core + 2 * TICK { ticks } else { on_core }
    }
}

impl ChildProcess {
    pub(super) fn spawn(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("start the {name}"))?;
        Ok(Self { name, child })
    }

    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Returns an error if the child has ended, which no child does by itself.
    pub(super) fn ensure_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("the {} ended: {status}", self.name),
        }
    }

    pub(super) fn cpu_time(&self) -> Result<CpuTime> {
        CpuTime::of(self.child.id())
    }

    /// Returns the number in a line of `/proc/PID/status`, such as `VmRSS`.
    pub(super) fn status(&self, key: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let word = line.and_then(|line| line.split_whitespace().next());
        Ok(word.with_context(|| format!("{key} of the {}", self.name))?.parse()?)
    }

    /// Returns how often its threads have gone to sleep, which is how often something woke them.
    pub(super) fn sleeps(&self) -> Result<u64> {
        let mut sleeps = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("status"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sleeps += line.unwrap_or("0").trim().parse::<u64>()?;
        }
        Ok(sleeps)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
