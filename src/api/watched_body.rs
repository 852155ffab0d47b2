//! A body that is watched while it is sent, and that keeps something until it has been sent or is given up.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// What a body has next; `None` is its end.
pub(super) type NextFrame = Option<Result<Frame<Bytes>, axum::Error>>;

/// Returns the body, which drops `kept` when it is dropped itself.
pub(super) fn body_that_keeps<T: Send + Unpin + 'static>(body: Body, kept: T) -> Body {
    watched_body(body, move |_, _| {
        let _kept = &kept;
    })
}

/// Returns the body, which shows `watch` what remains of it and each frame. It drops `watch` when it is dropped itself.
pub(super) fn watched_body(
    body: Body,
    watch: impl FnMut(&Body, &NextFrame) + Send + Unpin + 'static,
) -> Body {
    Body::new(Watched { body, watch })
}

struct Watched<F> {
    body: Body,
    watch: F,
}

impl<F: FnMut(&Body, &NextFrame) + Unpin> HttpBody for Watched<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<NextFrame> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(next) = &polled {
            (this.watch)(&this.body, next);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
