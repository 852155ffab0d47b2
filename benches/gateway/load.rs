//! Clients on bare sockets, so that they add little to what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The time from each request to the first byte of its response.
pub(super) type Timings = Vec<Duration>;

pub(super) struct Spread {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl Spread {
    pub(super) fn of(mut timings: Timings) -> Self {
        timings.sort_unstable();
        let rank = |percent: usize| timings[(timings.len() * percent).div_ceil(100).saturating_sub(1)];
        Self { p50: rank(50), p99: rank(99) }
    }
}

/// Returns the bytes of a request.
pub(super) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Sends the same request repeatedly over one connection.
pub(super) fn one_after_the_other(address: SocketAddr, request: &[u8], count: usize) -> Result<Timings> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut timings = Timings::with_capacity(count);
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    for _ in 0..count {
        let start = now();
        stream.write_all(request)?;
        let mut first = None;
        loop {
            let length = stream.read(&mut piece)?;
            anyhow::ensure!(length > 0, "the connection was closed");
            first.get_or_insert_with(|| start.elapsed());
            bytes.extend_from_slice(&piece[..length]);
            if let Some(length) = answer_length(&bytes)? {
                bytes.drain(..length);
                break;
            }
        }
        timings.extend(first);
    }
    Ok(timings)
}

/// Keeps many connections busy, and returns the requests per second.
pub(super) fn many(address: SocketAddr, request: &[u8], connections: usize, wait: Duration) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let until = now() + wait;
    let counts = runtime.block_on(async {
        let busy = (0..connections).map(|_| keep_busy(address, request, until));
        futures_util::future::try_join_all(busy).await
    })?;
    Ok(counts.into_iter().sum::<u64>() as f64 / wait.as_secs_f64())
}

async fn keep_busy(address: SocketAddr, request: &[u8], until: Instant) -> Result<u64> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut bytes = Vec::new();
    let mut count = 0;
    while now() < until {
        stream.write_all(request).await?;
        loop {
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "the connection was closed");
            if let Some(length) = answer_length(&bytes)? {
                bytes.drain(..length);
                break;
            }
        }
        count += 1;
    }
    Ok(count)
}

/// Returns the length of the first response, or `None` if it is incomplete. A status other than success is an error.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head])?;
    anyhow::ensure!(text.starts_with("HTTP/1.1 200 "), "got {text}");
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + 4 + length.context("an answer with its length")?;
    Ok((bytes.len() >= whole).then_some(whole))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}
