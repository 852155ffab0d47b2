//! Bodies that are sent only while their sender may act. This is asked when the body is about to be written: between the decision
//! to send a request and that moment, a process may have been stopped for minutes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Says whether something may still be sent.
#[derive(Clone)]
pub struct Guard(Arc<dyn Fn() -> bool + Send + Sync>);

impl Guard {
    pub fn new(may_send: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_send))
    }

    /// Returns a body that asks when it is read first, and where it says whether it was kept back.
    pub(super) fn body(&self, bytes: Bytes) -> (GuardedBody, Arc<AtomicBool>) {
        let kept_back = Arc::new(AtomicBool::new(false));
        (
            GuardedBody { guard: self.clone(), bytes: Some(bytes), kept_back: Arc::clone(&kept_back) },
            kept_back,
        )
    }
}

pub(super) struct GuardedBody {
    guard: Guard,
    bytes: Option<Bytes>,
    kept_back: Arc<AtomicBool>,
}

/// The body was kept back.
#[derive(Debug)]
pub(super) struct KeptBack;

impl fmt::Display for KeptBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sent: this daemon may not act any more")
    }
}

impl std::error::Error for KeptBack {}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = KeptBack;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, KeptBack>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        if (self.guard.0)() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        self.kept_back.store(true, Ordering::SeqCst);
        Poll::Ready(Some(Err(KeptBack)))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
