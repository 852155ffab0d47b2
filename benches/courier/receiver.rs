//! Receivers on bare sockets and one thread, in a separate process, so that they leave the cores to the senders that are
//! measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::process::ChildProcess;
use super::request::next_request;

/// With four attempts at a time to each of these, the courier is at its limit of attempts in flight.
pub(super) const ORIGINS: usize = 16;

/// Serves until it is killed. The first line on stdout has the ports; the receiver at the last one never responds.
pub(super) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut ports = Vec::new();
        for number in 0..=ORIGINS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            ports.push(listener.local_addr()?.port().to_string());
            if number < ORIGINS {
                tokio::task::spawn_local(accept_and_respond(listener));
            } else {
                tokio::task::spawn_local(accept_and_hang(listener));
            }
        }
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", ports.join(" "))?;
        stdout.flush()?;
        std::future::pending().await
    })
}

async fn accept_and_respond(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // If a connection breaks, its client deals with it.
        tokio::task::spawn_local(async move { converse(stream).await.unwrap_or_default() });
    }
}

async fn accept_and_hang(listener: TcpListener) {
    let mut hanging = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        hanging.push(stream);
    }
}

async fn converse(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    while let Some(length) = next_request(&mut stream, &mut bytes).await? {
        bytes.drain(..length);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
    Ok(())
}

/// The benchmark's side of the receivers.
pub(super) struct Receivers {
    ports: Vec<u16>,
    hanging: u16,
    _process: ChildProcess,
}

impl Receivers {
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("receivers").stdout(Stdio::piped());
        let mut process = ChildProcess::spawn("receivers", &mut command)?;
        let stdout = process.stdout().context("the receivers have no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut ports: Vec<u16> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let hanging = ports.pop().context("the receivers printed no ports")?;
        Ok(Self { ports, hanging, _process: process })
    }

    /// Returns `count` URLs, to `origins` origins in turns.
    pub(super) fn urls(&self, origins: usize, count: usize) -> Vec<String> {
        (0..count).map(|number| url(self.ports[number % origins])).collect()
    }

    pub(super) fn hanging_urls(&self, count: usize) -> Vec<String> {
        vec![url(self.hanging); count]
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/hook?token=0123456789abcdef")
}
