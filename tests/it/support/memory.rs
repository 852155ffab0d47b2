//! The memory of the daemon's process.

use std::path::PathBuf;

use super::daemon::{Daemon, POLL_EVERY};

pub(crate) struct Memory {
    status: PathBuf,
    pub(crate) before: u64,
}

impl Memory {
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let status = PathBuf::from(format!("/proc/{}/status", daemon.process_id().unwrap()));
        let before = resident(&status);
        Self { status, before }
    }

    /// Returns the most bytes that the process had during `work`, and the result of that.
    pub(crate) async fn most_during<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        let mut most = self.before;
        let watching = async {
            loop {
                most = most.max(resident(&self.status));
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        let result = tokio::select! {
            never = watching => never,
            result = work => result,
        };
        (most, result)
    }
}

/// Returns the resident memory in bytes, from a line such as `VmRSS:     12345 kB`.
fn resident(status: &PathBuf) -> u64 {
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
