//! Parses what clients send without keeping the loops from their work, which is on time only if no task runs for long.

use tokio::sync::Semaphore;

use super::error_response::ErrorResponse;
use crate::domain::bounds::{PARSED_AT_ONCE_BYTES_MAX, PARSES_AT_ONCE};

/// All listeners of the process share its processors.
static TURNS: Semaphore = Semaphore::const_new(PARSES_AT_ONCE);

/// Returns the result of `parse`, which works on this many bytes: at once if they are few, else on a thread of its own and a
/// few at a time.
pub(super) async fn parse_beside<T: Send + 'static>(
    bytes: usize,
    parse: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ErrorResponse> {
    if bytes <= PARSED_AT_ONCE_BYTES_MAX {
        return Ok(parse());
    }
    let turn = TURNS.acquire().await.map_err(|closed| ErrorResponse::failed(closed.to_string()))?;
    let parsed = tokio::task::spawn_blocking(move || {
        let parsed = parse();
        // Only here: a client that leaves does not stop the thread.
        drop(turn);
        parsed
    });
    parsed.await.map_err(|panic| ErrorResponse::failed(panic.to_string()))
}
