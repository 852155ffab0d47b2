//! Limits on what a client may cost: how long it may stall while sending a request or reading a response, and how much
//! it may send. A client that exceeds them loses its connection, so that nobody can use up all connections.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::domain::bounds::{CLIENT_SILENCE, HTTP_BODY_BYTES_MAX};

/// How long we keep reading a body that is too large.
const LINGER: Duration = Duration::from_secs(2);

/// Why the body of a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {HTTP_BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// Nothing more arrived for too long.
    #[error("nothing more of the body arrived for {}", humantime::format_duration(CLIENT_SILENCE))]
    Stalled,
}

/// Returns the body as it arrives, limited in bytes and in the time between two pieces.
pub(super) async fn bound_body(body: Body) -> Result<Body, BodyError> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let most = u64::try_from(HTTP_BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if body.size_hint().lower() > most {
        // A client that is still writing would see the connection close instead of our response.
        let _ = tokio::time::timeout(LINGER, discard(body)).await;
        return Err(BodyError::TooLarge);
    }
    Ok(Body::new(BoundedBody { body, bytes_left: most, silence: None }))
}

/// Reads the body for a while and discards it.
async fn discard(mut body: Body) {
    let mut bytes_left = HTTP_BODY_BYTES_MAX * 2;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match bytes_left.checked_sub(bytes) {
            Some(left) => bytes_left = left,
            None => return,
        }
    }
}

/// Returns the fault of the request body that caused this error, if one did.
pub(super) fn body_error(error: &(dyn std::error::Error + 'static)) -> Option<BodyError> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref().copied())
}

struct BoundedBody {
    body: Body,
    bytes_left: u64,
    /// Set while somebody waits for more: while nobody reads the body, the client is not to blame.
    silence: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for BoundedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLIENT_SILENCE)));
            ready!(silence.as_mut().poll(context));
            return Poll::Ready(Some(Err(axum::Error::new(BodyError::Stalled))));
        };
        self.silence = None;
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            let Some(left) = self.bytes_left.checked_sub(u64::try_from(data.len()).unwrap_or(u64::MAX))
            else {
                return Poll::Ready(Some(Err(axum::Error::new(BodyError::TooLarge))));
            };
            self.bytes_left = left;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose client must keep reading what it is sent. Time that we take ourselves does not count.
///
/// It reports the end of the client's data one poll late: hyper would not even start to serve a request if it saw that
/// the client closed the connection right behind it, and a client that sends a request and leaves still wants
/// it handled.
pub(super) struct TimedConnection<S> {
    stream: S,
    has_ended: bool,
    /// Set while the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    timeout: Duration,
}

impl<S> TimedConnection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, has_ended: false, stalled: None, timeout: CLIENT_SILENCE }
    }

    /// Returns the result of an attempt to write, or an error if the client has stalled for too long.
    fn within_timeout<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedConnection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let ends = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before;
        if ends && !self.has_ended {
            self.has_ended = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedConnection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_timeout(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.within_timeout(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.within_timeout(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.within_timeout(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures_util::{StreamExt, stream};

    use super::*;

    /// A body whose pieces arrive this many seconds after they are polled for.
    async fn body(seconds: &'static [u64]) -> Body {
        let pieces = stream::iter(seconds).then(async |seconds| {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"a piece"))
        });
        bound_body(Body::from_stream(pieces)).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_counts_as_stalled_only_while_somebody_reads() {
        let mut body = body(&[29, 29, 31]).await;
        // The reader is slow as well, which is not the client's fault.
        for _ in 0..2 {
            tokio::time::sleep(CLIENT_SILENCE * 2).await;
            assert!(body.frame().await.unwrap().is_ok());
        }
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(body_error(&error), Some(BodyError::Stalled));
    }
}
