//! `agentcron webhook listen`, the real binary, on a port of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

use super::growing_list::GrowingList;

pub(crate) struct Listener {
    child: Child,
    /// The objects that it has printed, one a line.
    lines: Arc<GrowingList<Value>>,
}

impl Listener {
    /// Starts with these arguments and environment variables.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_agentcron"))
            .args(["webhook", "listen", "--port", "0", "--json"])
            .args(arguments)
            .env_remove("AGENTCRON_WEBHOOK_SECRET")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = printed.next().expect("it prints where it listens").unwrap();
        let lines = Arc::new(GrowingList::new());
        lines.push(parse(&first));
        let growing = Arc::clone(&lines);
        std::thread::spawn(move || printed.map_while(Result::ok).for_each(|line| growing.push(parse(&line))));
        Self { child, lines }
    }

    pub(crate) fn url(&self) -> String {
        self.lines.entries()[0]["url"].as_str().unwrap().to_owned()
    }

    /// Waits until at least `count` requests have arrived and returns all of them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Value> {
        self.lines.wait_for(count + 1, &format!("{count} requests")).await.split_off(1)
    }

    /// Returns the requests that have arrived so far.
    pub(crate) fn arrivals(&self) -> Vec<Value> {
        self.lines.entries().split_off(1)
    }

    /// Sends SIGINT, as Ctrl-C does, and returns the summary.
    pub(crate) async fn end(self) -> Value {
        let is_summary = |line: &Value| line["requests"].is_u64();
        let process_id = self.child.id();
        let status = Command::new("sh").args(["-c", &format!("kill -INT {process_id}")]).status().unwrap();
        assert!(status.success(), "kill -INT {process_id}: {status}");
        let lines = self.lines.wait_until("the summary", |lines| lines.iter().any(is_summary)).await;
        lines.into_iter().find(is_summary).unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}
