//! A body on its way to the client, listened to as far as it tells which run it is about.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::domain::bounds::TEE_BYTES_MAX;

/// When enough was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// All of it, or as much as is listened to.
    TheEnd,
    /// Its first server-sent event.
    FirstEvent,
}

/// The same body; and what was heard of it, once that is enough, or once it is over or dropped.
pub(super) fn tee(body: Body, until: Until) -> (Body, oneshot::Receiver<Bytes>) {
    let (tell, told) = oneshot::channel();
    (Body::new(Tee { body, until, received: BytesMut::new(), tell: Some(tell) }), told)
}

struct Tee {
    body: Body,
    until: Until,
    received: BytesMut,
    tell: Option<oneshot::Sender<Bytes>>,
}

impl Tee {
    fn listen(&mut self, data: &[u8]) {
        if self.tell.is_none() {
            return;
        }
        let room = TEE_BYTES_MAX.saturating_sub(self.received.len());
        self.received.extend_from_slice(&data[..data.len().min(room)]);
        let enough = match self.until {
            Until::TheEnd => data.len() >= room,
            Until::FirstEvent => data.len() >= room || first_event(&self.received).is_some(),
        };
        if enough || self.body.is_end_stream() {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if let Some(tell) = self.tell.take() {
            // Nobody may want to know any more.
            let _ = tell.send(self.received.split().freeze());
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.tell();
    }
}

impl hyper::body::Body for Tee {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.listen(data);
                }
            }
            Poll::Ready(Some(Err(_)) | None) => self.tell(),
            Poll::Pending => {}
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

/// The first event of a stream, if it is there as a whole: what is before the first empty line (WHATWG HTML §9.2).
pub(super) fn first_event(received: &[u8]) -> Option<&[u8]> {
    let ends = |end: &[u8]| received.windows(end.len()).position(|window| window == end);
    let end = [ends(b"\n\n"), ends(b"\r\n\r\n"), ends(b"\r\r")].into_iter().flatten().min()?;
    Some(&received[..end])
}

/// The data of an event.
pub(super) fn data_of(event: &[u8]) -> Vec<u8> {
    let lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.filter_map(|line| line.strip_prefix(b"data:")).flatten().copied().collect()
}
