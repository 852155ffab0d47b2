//! Limits on what a client may cost: how long it may stall while sending a request or reading a response, how slowly it may
//! send, and how much. A client that exceeds them loses its connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::places::PlaceHandle;
use crate::domain::bounds::{BODY_BYTES_PER_SECOND_MIN, CLIENT_SILENCE, HTTP_BODY_BYTES_MAX};

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
    /// The pieces arrive in time, but are too small.
    #[error("the body arrives too slowly: expected at least {BODY_BYTES_PER_SECOND_MIN} bytes per second")]
    TooSlow,
}

/// Returns the body as it arrives, limited in bytes, in the time between two pieces, and in the time for all of them. `place`
/// learns when it is complete.
pub(super) async fn bound_body(body: Body, place: PlaceHandle) -> Result<Body, BodyError> {
    if body.is_end_stream() {
        place.act();
        return Ok(body);
    }
    let most = u64::try_from(HTTP_BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if body.size_hint().lower() > most {
        // A client that is still writing would see the connection close instead of our response.
        let _ = tokio::time::timeout(LINGER, discard(body)).await;
        return Err(BodyError::TooLarge);
    }
    let (bytes, waited) = (0, Duration::ZERO);
    Ok(Body::new(BoundedBody { body, place, bytes, bytes_max: most, waited, waiting: None }))
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
    place: PlaceHandle,
    /// What has arrived.
    bytes: u64,
    bytes_max: u64,
    /// How long somebody has waited for what has arrived: while nobody reads the body, the client is not to blame.
    waited: Duration,
    /// Set while somebody waits for more.
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    timer: Pin<Box<Sleep>>,
    /// What the client has done wrong when the timer ends.
    error: BodyError,
}

impl BoundedBody {
    fn wait(&self) -> Waiting {
        let earned = Duration::from_secs(self.bytes / BODY_BYTES_PER_SECOND_MIN);
        let left = (CLIENT_SILENCE + earned).saturating_sub(self.waited);
        let (limit, error) = match left < CLIENT_SILENCE && self.bytes > 0 {
            true => (left, BodyError::TooSlow),
            false => (CLIENT_SILENCE, BodyError::Stalled),
        };
        Waiting { since: Instant::now(), timer: Box::pin(tokio::time::sleep(limit)), error }
    }
}

impl hyper::body::Body for BoundedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let mut waiting = self.waiting.take().unwrap_or_else(|| self.wait());
            let is_over = waiting.timer.as_mut().poll(context).is_ready();
            let error = waiting.error;
            self.waiting = Some(waiting);
            return match is_over {
                true => Poll::Ready(Some(Err(axum::Error::new(error)))),
                false => Poll::Pending,
            };
        };
        if let Some(waiting) = self.waiting.take() {
            self.waited += waiting.since.elapsed();
        }
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
            if self.bytes > self.bytes_max {
                return Poll::Ready(Some(Err(axum::Error::new(BodyError::TooLarge))));
            }
        }
        if frame.is_none() || self.body.is_end_stream() {
            self.place.act();
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
    place: PlaceHandle,
    has_ended: bool,
    /// Set while the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    timeout: Duration,
}

impl<S> TimedConnection<S> {
    pub(super) fn new(stream: S, place: PlaceHandle) -> Self {
        Self { stream, place, has_ended: false, stalled: None, timeout: CLIENT_SILENCE }
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
        if flushed.is_ready() {
            self.place.flushed();
        }
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
    use crate::api::places::{PlaceLimits, Places};

    /// A body whose pieces of this size arrive this many seconds after they are polled for.
    async fn body(bytes: usize, seconds: Vec<u64>) -> Body {
        let pieces = stream::iter(seconds).then(move |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; bytes]))
        });
        let place = Places::new(PlaceLimits { strangers: 1, known: 1 }).enter(None);
        bound_body(Body::from_stream(pieces), place.handle()).await.unwrap()
    }

    /// Reads a body, resting before every piece, and returns how many pieces arrived and the error after them.
    async fn read(mut body: Body, rest: Duration) -> (usize, Option<BodyError>) {
        let mut pieces = 0;
        loop {
            tokio::time::sleep(rest).await;
            match body.frame().await {
                None => return (pieces, None),
                Some(Ok(_)) => pieces += 1,
                Some(Err(error)) => return (pieces, body_error(&error)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_counts_as_stalled_or_slow_only_while_somebody_reads() {
        let a_megabyte = 1 << 20;
        let steady = || body(a_megabyte, vec![29, 29, 31]);
        assert_eq!(read(steady().await, Duration::ZERO).await, (2, Some(BodyError::Stalled)));
        // The reader is slow as well, which is not the client's fault.
        assert_eq!(read(steady().await, CLIENT_SILENCE * 2).await, (2, Some(BodyError::Stalled)));
        assert_eq!(read(body(a_megabyte, vec![29; 8]).await, CLIENT_SILENCE * 2).await, (8, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_little_at_a_time_is_cut_off() {
        let started = Instant::now();
        let (pieces, error) = read(body(3, vec![1; 3600]).await, Duration::ZERO).await;
        assert_eq!(error, Some(BodyError::TooSlow));
        assert!((28..=30).contains(&pieces) && started.elapsed() <= CLIENT_SILENCE, "{pieces}");
        // Half of what is demanded earns half of the time.
        let (pieces, error) = read(
            body(usize::try_from(BODY_BYTES_PER_SECOND_MIN).unwrap(), vec![2; 3600]).await,
            Duration::ZERO,
        )
        .await;
        assert_eq!(error, Some(BodyError::TooSlow));
        assert!((28..=30).contains(&pieces), "{pieces}");
    }
}
