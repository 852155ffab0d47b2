//! Bodies that are forwarded while they arrive. Each of them keeps a worker of the agent server waiting, so few may, and only
//! those that are long or slow; all others are forwarded once they are complete.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::held_body::broken_body;
use crate::api::error_response::ErrorResponse;
use crate::api::watched_body::body_that_keeps;
use crate::domain::bounds::{
    STREAMED_BODIES, STREAMED_BODY_BEGINNING_BYTES, STREAMED_BODY_BEGINNING_WAIT, STREAMED_BODY_TURN_WAIT,
};

/// The places for bodies that are forwarded before they are complete.
#[derive(Clone, Debug)]
pub(super) struct StreamedBodies(Arc<Semaphore>);

impl Default for StreamedBodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMED_BODIES)))
    }
}

impl StreamedBodies {
    /// Returns the body as soon as it may be forwarded, with what has arrived of it at its beginning.
    pub(super) async fn admit(&self, body: Body) -> Result<Body, ErrorResponse> {
        let mut streamed =
            StreamedBody { beginning: VecDeque::new(), is_over: body.is_end_stream(), rest: body };
        let after_a_while = async {
            sleep(STREAMED_BODY_BEGINNING_WAIT).await;
            self.place().await
        };
        let place = tokio::select! {
            read = streamed.read_beginning() => { read?; None }
            place = after_a_while => Some(place?),
        };
        let place = match (place, streamed.is_over) {
            (None, false) => Some(self.place().await?),
            (place, _) => place,
        };
        Ok(body_that_keeps(Body::new(streamed), place))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, ErrorResponse> {
        let place = timeout(STREAMED_BODY_TURN_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let place = place.map_err(|_| {
            ErrorResponse::unavailable("too many request bodies are on their way; try again later")
        })?;
        place.map_err(|closed| ErrorResponse::failed(closed.to_string()))
    }
}

struct StreamedBody {
    /// What was read before the body was forwarded.
    beginning: VecDeque<Frame<Bytes>>,
    rest: Body,
    is_over: bool,
}

impl StreamedBody {
    async fn read_beginning(&mut self) -> Result<(), ErrorResponse> {
        let mut bytes = 0;
        while !self.is_over && bytes < STREAMED_BODY_BEGINNING_BYTES {
            let frame = self.rest.frame().await.transpose().map_err(|error| broken_body(&error))?;
            self.is_over = frame.is_none() || self.rest.is_end_stream();
            bytes += frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
            self.beginning.extend(frame);
        }
        Ok(())
    }
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match (self.beginning.pop_front(), self.is_over) {
            (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
            (None, true) => Poll::Ready(None),
            (None, false) => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_empty() && (self.is_over || self.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read: usize = self.beginning.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use futures_util::{StreamExt, stream};
    use tokio::time::Instant;

    use super::*;

    /// A body of these pieces, one every so many milliseconds, that never ends if it `stalls`.
    fn body(pieces: &'static [&'static str], pause: u64, stalls: bool) -> Body {
        let pieces = stream::iter(pieces).then(move |piece| async move {
            sleep(Duration::from_millis(pause)).await;
            Ok::<_, std::io::Error>(*piece)
        });
        if stalls { Body::from_stream(pieces.chain(stream::pending())) } else { Body::from_stream(pieces) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_forwarded_once_it_is_complete_or_long_or_slow() {
        let bodies = StreamedBodies::default();
        let long = Body::from_stream(
            stream::iter([Ok::<_, std::io::Error>(vec![0; 70_000])]).chain(stream::pending()),
        );
        for (body, after_ms, places) in [
            (Body::empty(), 0, 0),
            (Body::from(vec![0; 1 << 20]), 0, 0),
            (body(&["a", "b"], 400, false), 800, 0),
            (body(&["a", "b"], 800, false), 1_000, 1),
            (body(&["a"], 1, true), 1_000, 1),
            (long, 0, 1),
        ] {
            let started = Instant::now();
            let admitted = bodies.admit(body).await.unwrap();
            assert_eq!(started.elapsed().as_millis(), after_ms);
            assert_eq!(STREAMED_BODIES - bodies.0.available_permits(), places);
            drop(admitted);
            assert_eq!(bodies.0.available_permits(), STREAMED_BODIES);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_bodies_take_all_places_and_delay_no_complete_one() {
        let bodies = StreamedBodies::default();
        let half = join_all((0..STREAMED_BODIES).map(|_| bodies.admit(body(&["a"], 1, true)))).await;
        assert_eq!(bodies.admit(body(&["a"], 1, true)).await.unwrap_err().status.as_u16(), 503);
        let started = Instant::now();
        let whole = bodies.admit(body(&["a", "b", "c"], 700, false)).await.unwrap();
        assert_eq!(started.elapsed().as_millis(), 2_100);
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "abc");
        drop(half);
        let streamed = bodies.admit(body(&["a", "b", "c"], 700, false)).await.unwrap();
        assert_eq!(streamed.collect().await.unwrap().to_bytes(), "abc");
        let mut known = bodies.admit(Body::from("abc")).await.unwrap();
        assert_eq!(HttpBody::size_hint(&known).exact(), Some(3));
        known.frame().await.unwrap().unwrap();
        assert!(known.is_end_stream());
    }
}
