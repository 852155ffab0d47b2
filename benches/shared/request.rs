//! Reads requests from a bare socket, for servers that must cost as little as possible.

use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// None of our requests is larger.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Reads until `bytes` begin with a whole request, and returns its length, or `None` once the client has gone.
pub(super) async fn next_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<usize>> {
    loop {
        if let Some(length) = request_length(bytes) {
            return Ok(Some(length));
        }
        anyhow::ensure!(bytes.len() < REQUEST_BYTES_MAX, "the request is too long");
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// Returns the length of the first request in `bytes`, or `None` if it is incomplete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some(whole)
}

/// Returns the index at which `part` begins.
pub(super) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
