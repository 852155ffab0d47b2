//! How long a client may keep us waiting: with the rest of a request, and with taking an answer. And how much it may
//! send. Whoever is slower or larger loses its connection, so that nobody can use up all of them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::domain::bounds::{CLIENT_SILENCE, HTTP_BODY_BYTES_MAX};

/// How long a body that is too long is read on.
const LINGER: Duration = Duration::from_secs(2);

/// What is wrong with the body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    /// There is too much of it.
    #[error("the body is longer than {HTTP_BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// It does not go on.
    #[error("no more of the body for {}", humantime::format_duration(CLIENT_SILENCE))]
    Silent,
}

/// A body as it comes in, bounded in bytes and in the time between two pieces.
pub(super) async fn bounded(body: Body) -> Result<Body, BodyFault> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let most = u64::try_from(HTTP_BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if body.size_hint().lower() > most {
        // A client that is still writing would find the connection closed instead of our answer.
        let _ = tokio::time::timeout(LINGER, linger(body)).await;
        return Err(BodyFault::TooLarge);
    }
    Ok(Body::new(BoundedBody { body, bytes_left: most, silence: None }))
}

/// Reads on for a while, to no purpose.
async fn linger(mut body: Body) {
    let mut bytes_left = HTTP_BODY_BYTES_MAX * 2;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match bytes_left.checked_sub(bytes) {
            Some(left) => bytes_left = left,
            None => return,
        }
    }
}

/// What the body of a request did wrong, if that is the cause of this error.
pub(super) fn body_fault(error: &(dyn std::error::Error + 'static)) -> Option<BodyFault> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref().copied())
}

struct BoundedBody {
    body: Body,
    bytes_left: u64,
    /// Set while more is waited for: while nobody asks for it, the client is not to blame.
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
            return Poll::Ready(Some(Err(axum::Error::new(BodyFault::Silent))));
        };
        self.silence = None;
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            let Some(left) = self.bytes_left.checked_sub(u64::try_from(data.len()).unwrap_or(u64::MAX))
            else {
                return Poll::Ready(Some(Err(axum::Error::new(BodyFault::TooLarge))));
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

/// A connection whose far end must go on taking what it is sent. What is being waited for on our side does not count.
///
/// Its end is told a moment late: hyper would not even begin with a request if it saw that the client has closed the
/// connection right behind it, and whoever sends a request and leaves has asked for something all the same.
pub(super) struct TimedConnection<S> {
    line: S,
    has_ended: bool,
    /// Set while the far end takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    timeout: Duration,
}

impl<S> TimedConnection<S> {
    pub(super) fn new(line: S) -> Self {
        Self { line, has_ended: false, stalled: None, timeout: CLIENT_SILENCE }
    }

    /// What became of an attempt to write, unless the far end has been stalling for too long.
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
        let read = Pin::new(&mut self.line).poll_read(context, buffer);
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
        let written = Pin::new(&mut self.line).poll_write(context, bytes);
        self.within_timeout(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.line).poll_write_vectored(context, pieces);
        self.within_timeout(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.line).poll_flush(context);
        self.within_timeout(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let shut = Pin::new(&mut self.line).poll_shutdown(context);
        self.within_timeout(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures_util::{StreamExt, stream};

    use super::*;

    /// A body whose pieces come these seconds after they are asked for.
    async fn body(seconds: &'static [u64]) -> Body {
        let pieces = stream::iter(seconds).then(async |seconds| {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"a piece"))
        });
        bounded(Body::from_stream(pieces)).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_silent_only_while_somebody_listens() {
        let mut heard = body(&[29, 29, 31]).await;
        // Its turn comes late, and so does the one for whom it is read on.
        for _ in 0..2 {
            tokio::time::sleep(CLIENT_SILENCE * 2).await;
            assert!(heard.frame().await.unwrap().is_ok());
        }
        let error = heard.frame().await.unwrap().unwrap_err();
        assert_eq!(body_fault(&error), Some(BodyFault::Silent));
    }
}
