//! The benchmark's side of the stub: starts it as a child process, and asks what has arrived there.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::process::ChildProcess;

/// The stub responds at once, unless the machine is overloaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many of each have arrived since [`Stub::forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) starts: usize,
    pub(super) webhooks: usize,
    pub(super) requests: usize,
}

/// The instants of arrival by cron, in order.
pub(super) type ByCron = HashMap<String, Vec<Timestamp>>;

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub(super) starts: ByCron,
    pub(super) webhooks: ByCron,
}

pub(super) struct Stub {
    port: u16,
    _process: ChildProcess,
}

impl Stub {
    /// Starts the stub that this part of the benchmark is.
    pub(super) fn start(part: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(part).stdout(Stdio::piped());
        let mut process = ChildProcess::spawn("stub agent server", &mut command)?;
        let stdout = process.stdout().context("the stub agent server has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse().context("read the port of the stub agent server")?;
        Ok(Self { port, _process: process })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn forget(&self) -> Result<()> {
        self.ask("DELETE", "/arrivals").map(|_| ())
    }

    pub(super) fn counts(&self) -> Result<Counts> {
        let text = self.ask("GET", "/arrivals/counts")?;
        let numbers: Vec<usize> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [starts, webhooks, requests] = numbers[..] else { anyhow::bail!("the stub counts `{text}`") };
        Ok(Counts { starts, webhooks, requests })
    }

    /// Returns the instants at which starts and webhooks arrived.
    pub(super) fn arrivals(&self) -> Result<Arrivals> {
        let mut arrivals = Arrivals::default();
        for line in self.ask("GET", "/arrivals")?.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, cron, at] = words[..] else { anyhow::bail!("the stub noted `{line}`") };
            let of_kind = if kind == "start" { &mut arrivals.starts } else { &mut arrivals.webhooks };
            of_kind.entry(cron.to_owned()).or_default().push(Timestamp::from_nanosecond(at.parse()?)?);
        }
        Ok(arrivals)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: stub\r\nconnection: close\r\n\r\n")?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}
