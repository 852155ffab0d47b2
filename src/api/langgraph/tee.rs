//! Copies the beginning of a response body while it streams to the client, to learn which run it is about.

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use hyper::body::Body as _;
use tokio::sync::oneshot;

use crate::api::watched_body::watched_body;
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
    let mut copy = Copy { until, copied: BytesMut::new(), sender: Some(sender) };
    let body = watched_body(body, move |body, next| match next {
        Some(Ok(frame)) => {
            let is_complete = frame.data_ref().is_some_and(|data| copy.add(data));
            if is_complete || body.is_end_stream() {
                copy.send();
            }
        }
        Some(Err(_)) | None => copy.send(),
    });
    (body, receiver)
}

struct Copy {
    until: CopyUntil,
    copied: BytesMut,
    sender: Option<oneshot::Sender<Bytes>>,
}

impl Copy {
    /// Adds data and returns whether the copy is complete.
    fn add(&mut self, data: &[u8]) -> bool {
        if self.sender.is_none() {
            return true;
        }
        let room = TEE_BYTES_MAX.saturating_sub(self.copied.len());
        self.copied.extend_from_slice(&data[..data.len().min(room)]);
        match self.until {
            CopyUntil::End => data.len() >= room,
            CopyUntil::FirstEvent => data.len() >= room || first_event(&self.copied).is_some(),
        }
    }

    fn send(&mut self) {
        if let Some(sender) = self.sender.take() {
            // The receiver may have been dropped.
            let _ = sender.send(self.copied.split().freeze());
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.send();
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
