//! An agent server and receiver that does nothing, fast: it notes when the request for a run arrives, accepts the run,
//! reports it as ended at the first query, and notes when its webhook arrives. It uses bare sockets and one thread, so
//! that it leaves the cores to what is measured.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::arrivals::{Shared, VALUES, run_json};
use super::request::{find, next_request};

/// How many connections of a burst can wait to be accepted, if the system allows it.
const BACKLOG: u32 = 16_384;

/// Serves until it is killed. Each run takes this long. The first line on stdout is the port.
pub(super) fn serve(run_takes: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async { accept(listen()?, run_takes).await })
}

/// Listens on a free port of the loopback, and prints the port.
pub(super) fn listen() -> Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?.port())?;
    stdout.flush()?;
    Ok(listener)
}

async fn accept(listener: TcpListener, run_takes: Duration) -> Result<()> {
    let shared = Shared::default();
    loop {
        let (stream, _) = listener.accept().await.context("accept a connection")?;
        stream.set_nodelay(true)?;
        let shared = shared.clone();
        // If a connection breaks, its client deals with it.
        tokio::task::spawn_local(
            async move { converse(stream, shared, run_takes).await.unwrap_or_default() },
        );
    }
}

/// Responds to the requests of a connection, one after the other.
async fn converse(mut stream: TcpStream, shared: Shared, run_takes: Duration) -> Result<()> {
    let mut bytes = Vec::with_capacity(2048);
    let mut answer = Vec::with_capacity(1024);
    while let Some(length) = next_request(&mut stream, &mut bytes).await? {
        answer.clear();
        respond(&bytes[..length], &shared, &mut answer)?;
        if !run_takes.is_zero() && find(&bytes[..length], b"/join").is_some() {
            tokio::time::sleep(run_takes).await;
        }
        bytes.drain(..length);
        stream.write_all(&answer).await?;
    }
    Ok(())
}

fn respond(request: &[u8], shared: &Shared, answer: &mut Vec<u8>) -> Result<()> {
    let line_end = find(request, b"\r\n").unwrap_or(request.len());
    let line = std::str::from_utf8(&request[..line_end])?;
    let (method, path) = line.split_once(' ').context("the request has no request line")?;
    let path = path.split(' ').next().unwrap_or_default();
    let mut words = path.split('/').skip(1);
    let is_control = path.starts_with("/arrivals");
    if !is_control {
        shared.requested();
    }
    match (method, words.next(), words.next(), words.next(), words.next(), words.next()) {
        ("POST", Some("threads"), Some(thread), Some("runs"), None, _) => {
            let run = shared.started(request);
            let body = run_json(&run, thread, "pending");
            write_answer(
                answer,
                "200 OK",
                &format!("content-location: /threads/{thread}/runs/{run}\r\n"),
                &body,
            )
        }
        ("GET", Some("threads"), Some(_), Some("runs"), Some(_), Some("join")) => {
            write_answer(answer, "200 OK", "", VALUES)
        }
        ("GET", Some("threads"), Some(thread), Some("runs"), Some(run), None) => {
            write_answer(answer, "200 OK", "", &run_json(run, thread, "success"))
        }
        ("DELETE", Some("threads"), Some(_), None, ..) => write_answer(answer, "204 No Content", "", ""),
        ("POST", Some("hooks"), Some(cron), None, ..) => {
            shared.told(cron);
            write_answer(answer, "204 No Content", "", "")
        }
        ("GET", Some("arrivals"), None, ..) => write_answer(answer, "200 OK", "", &shared.lines()),
        ("GET", Some("arrivals"), Some("counts"), ..) => write_answer(answer, "200 OK", "", &shared.counts()),
        ("DELETE", Some("arrivals"), ..) => {
            shared.forget();
            write_answer(answer, "204 No Content", "", "")
        }
        _ => write_answer(answer, "404 Not Found", "", r#"{"detail":"not here"}"#),
    }
}

fn write_answer(answer: &mut Vec<u8>, status: &str, headers: &str, body: &str) -> Result<()> {
    write!(
        answer,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
