//! A daemon that is asked over its socket whether it is ready.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::home::Home;
use super::machine::now;
use super::process::ChildProcess;

const POLL_EVERY: Duration = Duration::from_millis(2);
const READY_WITHIN: Duration = Duration::from_secs(300);

/// Starts a daemon, and returns it with the time until it was ready.
pub(super) fn start(home: &Home) -> Result<(ChildProcess, Duration)> {
    let begun = now();
    let mut daemon = home.daemon()?;
    loop {
        home.ensure_alive(&mut daemon)?;
        let took = now().duration_since(begun).unsigned_abs();
        if is_ready(home) {
            return Ok((daemon, took));
        }
        anyhow::ensure!(took < READY_WITHIN, "the daemon is not ready after {took:?}");
        sleep(POLL_EVERY);
    }
}

fn is_ready(home: &Home) -> bool {
    let ask = || {
        let mut stream = UnixStream::connect(home.path("agentcron.sock"))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
