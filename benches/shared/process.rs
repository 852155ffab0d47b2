//! Children of the benchmark. They are observed through `/proc`, and ended when they go out of scope.

use std::fs;
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use anyhow::{Context, Result};

pub(super) struct ChildProcess {
    name: &'static str,
    child: Child,
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
    pub(super) fn is_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("the {} ended: {status}", self.name),
        }
    }

    /// Returns the time that its threads have spent on a core, as the scheduler counts it in nanoseconds.
    pub(super) fn on_core(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Returns the user and system time of `/proc/PID/stat`, which has a resolution of 10 ms.
    pub(super) fn ticks(&self) -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may contain anything; the first field after it is number 3.
        let (_, rest) = text.rsplit_once(')').context("a name in brackets")?;
        let field = |number: usize| rest.split_whitespace().nth(number - 3).unwrap_or("0").parse::<u64>();
        Ok(Duration::from_millis(10 * (field(14)? + field(15)?)))
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
