//! Copies the beginning of a response body while it streams to the client, to learn which run it is about.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::domain::bounds::TEE_BYTES_MAX;

/// How much of a body to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyUntil {
    /// All of it, up to `TEE_BYTES_MAX`.
    End,
    /// Its first server-sent event, up to `TEE_BYTES_MAX`.
    FirstEvent,
}

/// Returns the same body, and a receiver of the copy. The copy is sent once it is complete, or once the body has ended or
/// is dropped.
pub(super) fn tee(body: Body, until: CopyUntil) -> (Body, oneshot::Receiver<Bytes>) {
    let (sender, receiver) = oneshot::channel();
    (Body::new(Tee { body, until, copied: BytesMut::new(), sender: Some(sender) }), receiver)
}

struct Tee {
    body: Body,
    until: CopyUntil,
    copied: BytesMut,
    sender: Option<oneshot::Sender<Bytes>>,
}

impl Tee {
    fn copy(&mut self, data: &[u8]) {
        if self.sender.is_none() {
            return;
        }
        let room = TEE_BYTES_MAX.saturating_sub(self.copied.len());
        self.copied.extend_from_slice(&data[..data.len().min(room)]);
        let is_complete = match self.until {
            CopyUntil::End => data.len() >= room,
            CopyUntil::FirstEvent => data.len() >= room || first_event(&self.copied).is_some(),
        };
        if is_complete || self.body.is_end_stream() {
            self.send();
        }
    }

    fn send(&mut self) {
        if let Some(sender) = self.sender.take() {
            // The receiver may have been dropped.
            let _ = sender.send(self.copied.split().freeze());
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.send();
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
                    self.copy(data);
                }
            }
            Poll::Ready(Some(Err(_)) | None) => self.send(),
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

/// Returns the first event of a stream if it is complete: everything before the first empty line (WHATWG HTML §9.2).
pub(super) fn first_event(received: &[u8]) -> Option<&[u8]> {
    let ends = |end: &[u8]| received.windows(end.len()).position(|window| window == end);
    let end = [ends(b"\n\n"), ends(b"\r\n\r\n"), ends(b"\r\r")].into_iter().flatten().min()?;
    Some(&received[..end])
}

/// Returns the data of an event.
pub(super) fn data_of(event: &[u8]) -> Vec<u8> {
    let lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
    lines.filter_map(|line| line.strip_prefix(b"data:")).flatten().copied().collect()
}
