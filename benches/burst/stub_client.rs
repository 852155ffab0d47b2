//! The benchmark's side of the stub agent server: starts it as a child process, and queries what has arrived there.

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

pub(super) struct Stub {
    port: u16,
    _process: ChildProcess,
}

impl Stub {
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("stub").stdout(Stdio::piped());
        let mut process = ChildProcess::spawn("stub agent server", &mut command)?;
        let stdout = process.stdout().context("its stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse().context("the port of the stub agent server")?;
        Ok(Self { port, _process: process })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn forget(&self) -> Result<()> {
        self.ask("DELETE", "/arrivals").map(|_| ())
    }

    pub(super) fn count(&self) -> Result<usize> {
        Ok(self.ask("GET", "/count")?.parse()?)
    }

    /// Returns, for each cron, the instants at which requests for its runs arrived.
    pub(super) fn arrivals(&self) -> Result<HashMap<String, Vec<Timestamp>>> {
        let mut arrivals: HashMap<String, Vec<Timestamp>> = HashMap::new();
        for line in self.ask("GET", "/arrivals")?.lines() {
            let (name, at) = line.split_once(' ').context("a name and an instant")?;
            let at = Timestamp::from_nanosecond(at.parse()?)?;
            arrivals.entry(name.to_owned()).or_default().push(at);
        }
        Ok(arrivals)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{method} {path} HTTP/1.1\r\n\r\n")?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}
