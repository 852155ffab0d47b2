//! Bodies of requests that must be read as a whole. All of them together have a bound.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::api::error_response::ErrorResponse;
use crate::api::timeouts::body_error;
use crate::api::watched_body::body_that_keeps;
use crate::domain::bounds::{
    HELD_BODIES_BYTES_MAX, HELD_BODY_TURN_WAIT, HELD_BODY_UNCOUNTED_BYTES, HELD_BODY_WAIT,
};

/// The memory that all bodies have together.
#[derive(Clone, Debug)]
pub struct HeldBodies(pub(super) Arc<Semaphore>);

impl Default for HeldBodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_BODIES_BYTES_MAX)))
    }
}

/// A whole body, and its share of the memory that all bodies have together.
#[derive(Debug)]
pub(super) struct HeldBody {
    pub(super) bytes: Bytes,
    share: OwnedSemaphorePermit,
}

impl HeldBody {
    /// Returns a body to forward in place of this one. It has the share until it has been sent.
    pub(super) fn forwarded_as(self, bytes: Bytes) -> Body {
        body_that_keeps(Body::from(bytes), self.share)
    }

    pub(super) fn into_body(self) -> Body {
        let bytes = self.bytes.clone();
        self.forwarded_as(bytes)
    }
}

/// Returns the whole body, which must not be longer than this. Memory is taken for what has arrived, so that a client that
/// sends nothing more keeps nobody out.
pub(super) async fn read_body(
    memory: &HeldBodies,
    body: Body,
    bytes_max: usize,
) -> Result<HeldBody, ErrorResponse> {
    // Others wait for this share, so even a body that never stalls must not take forever.
    let whole = timeout(HELD_BODY_WAIT, read(&memory.0, body, bytes_max)).await;
    whole.unwrap_or_else(|_| Err(ErrorResponse::too_slow("the body takes too long")))
}

async fn read(memory: &Arc<Semaphore>, mut body: Body, bytes_max: usize) -> Result<HeldBody, ErrorResponse> {
    let check_length = |bytes: u64| match usize::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max) {
        true => Ok(()),
        false => Err(ErrorResponse::too_large(format!("the body is longer than {} MiB", bytes_max >> 20))),
    };
    check_length(body.size_hint().lower())?;
    let mut whole = BytesMut::new();
    let mut share = take(memory, 0).await?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken_body(&error))?;
        let Ok(piece) = frame.into_data() else { continue };
        let bytes = whole.len() + piece.len();
        check_length(u64::try_from(bytes).unwrap_or(u64::MAX))?;
        let counted = bytes.saturating_sub(HELD_BODY_UNCOUNTED_BYTES);
        let uncovered = counted.saturating_sub(share.num_permits());
        if uncovered > 0 {
            share.merge(take(memory, uncovered).await?);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(HeldBody { bytes: whole.freeze(), share })
}

/// Returns the error response for a body that did not arrive as a whole.
pub(super) fn broken_body(error: &axum::Error) -> ErrorResponse {
    match body_error(error) {
        Some(error) => error.into(),
        None => ErrorResponse::invalid(format!("the body did not arrive: {error}")),
    }
}

async fn take(memory: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, ErrorResponse> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let taken = timeout(HELD_BODY_TURN_WAIT, Arc::clone(memory).acquire_many_owned(bytes)).await;
    let taken = taken.map_err(|_| {
        ErrorResponse::unavailable("too many long request bodies are in memory; try again later")
    })?;
    taken.map_err(|closed| ErrorResponse::failed(closed.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::{join, join_all};
    use futures_util::{StreamExt, stream};

    use super::*;

    const PIECE: usize = 64 * 1024;
    const MEMORY: usize = 16 * PIECE;

    /// A body of so many pieces, one every 10 ms, that never ends if it `stalls`.
    fn body(pieces: usize, stalls: bool) -> Body {
        let pieces = stream::iter(0..pieces).then(async |_| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; PIECE]))
        });
        if stalls { Body::from_stream(pieces.chain(stream::pending())) } else { Body::from_stream(pieces) }
    }

    fn length_or_status(read: Result<HeldBody, ErrorResponse>) -> Result<usize, u16> {
        read.map(|held| held.bytes.len()).map_err(|error| error.status.as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn half_bodies_keep_out_long_ones_and_no_ordinary_one() {
        let memory = Arc::new(Semaphore::new(MEMORY));
        let half = join_all((0..8).map(|_| read(&memory, body(3, true), MEMORY)));
        let others = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let ordinary = length_or_status(read(&memory, body(1, false), MEMORY).await);
            (ordinary, length_or_status(read(&memory, body(2, false), MEMORY).await))
        };
        tokio::select! {
            _ = half => panic!("they never end"),
            seen = others => assert_eq!(seen, (Ok(PIECE), Err(503))),
        }
        assert_eq!(memory.available_permits(), MEMORY);
    }

    #[tokio::test(start_paused = true)]
    async fn half_bodies_that_wait_for_one_another_go_on_once_the_first_gives_up() {
        let memory = Arc::new(Semaphore::new(MEMORY));
        let late = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            length_or_status(read(&memory, body(13, false), MEMORY).await)
        };
        let (early, late) = join(read(&memory, body(13, false), MEMORY), late).await;
        assert_eq!((length_or_status(early), late), (Err(503), Ok(13 * PIECE)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forwarded_body_has_its_share_until_it_is_sent() {
        let memory = Arc::new(Semaphore::new(MEMORY));
        let mut forwarded = read(&memory, body(3, false), MEMORY).await.unwrap().into_body();
        assert_eq!(memory.available_permits(), MEMORY - 2 * PIECE);
        assert_eq!(HttpBody::size_hint(&forwarded).exact(), Some(3 * PIECE as u64));
        assert_eq!(forwarded.frame().await.unwrap().unwrap().into_data().unwrap().len(), 3 * PIECE);
        drop(forwarded);
        assert_eq!(memory.available_permits(), MEMORY);
    }
}
