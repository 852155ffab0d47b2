//! An agent server that responds at once: every run has ended by the first query. It uses bare sockets and one thread, so
//! that it leaves the cores to the gateway that is measured.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Serves until it is killed. The first line on stdout is the port.
pub(super) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", listener.local_addr()?.port())?;
        stdout.flush()?;
        let count = Rc::new(Cell::new(0));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let count = Rc::clone(&count);
            // If a connection breaks, its client deals with it.
            tokio::task::spawn_local(async move { converse(stream, &count).await.unwrap_or_default() });
        }
    })
}

async fn converse(mut stream: TcpStream, count: &Cell<u64>) -> Result<()> {
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let Some((head, whole)) = request_ends(&bytes) else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        count.set(count.get() + 1);
        let answer = answer(std::str::from_utf8(&bytes[..head])?, count.get());
        bytes.drain(..whole);
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Returns the lengths of the first request's head and of the whole request, or `None` if it is incomplete.
fn request_ends(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some((head, whole))
}

fn answer(head: &str, count: u64) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut words = path.split('/').skip(2);
    let thread = words.next().unwrap_or_default();
    let run = words.nth(1).map_or_else(|| format!("00000000-0000-4000-8000-{count:012x}"), str::to_owned);
    let body = format!(
        r#"{{"run_id":"{run}","thread_id":"{thread}","assistant_id":"fe096781-5601-53d2-b2f6-0d3403f7e9ca","created_at":"2026-01-01T00:00:00+00:00","updated_at":"2026-01-01T00:00:00+00:00","metadata":{{}},"status":"success","values":{{}},"kwargs":{{}}}}"#
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-location: /threads/{thread}/runs/{run}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
