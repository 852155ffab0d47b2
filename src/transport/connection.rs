//! One connection to a receiver: a request at a time. It has no task of its own but is driven by whoever waits on it,
//! so that a request that is given up takes its connection along.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection as HttpConnection, SendRequest};
use hyper_util::rt::TokioIo;

use super::dialer::{FarEnd, Io, Opened};
use super::{TransportError, causes};
use crate::domain::bounds::RECEIVER_ANSWER_BYTES_MAX;
use crate::domain::delivery::Phases;

/// None once it has ended.
type Driven = Option<HttpConnection<TokioIo<Box<dyn Io>>, Full<Bytes>>>;

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    connection: Driven,
    far_end: FarEnd,
}

/// Why a request has no answer.
pub(super) enum Lost {
    /// The connection had ended: nothing of the request was written.
    Unwritten(String),
    /// It may have been received.
    Broken(String),
}

impl Lost {
    /// On a connection that was new, an end before the first byte is a receiver that does not work.
    pub(super) fn on_new_connection(self) -> TransportError {
        match self {
            Self::Unwritten(words) | Self::Broken(words) => TransportError::Broken(words),
        }
    }
}

impl Connection {
    pub(super) async fn over(opened: Opened) -> Result<Self, TransportError> {
        // The head of an answer is bounded as its body is.
        let mut builder = Builder::new();
        builder.max_buf_size(RECEIVER_ANSWER_BYTES_MAX);
        let (sender, connection) = builder
            .handshake(TokioIo::new(opened.io))
            .await
            .map_err(|error| TransportError::NotSent(causes(&error)))?;
        Ok(Self { sender, connection: Some(connection), far_end: opened.far_end })
    }

    /// Writes the request, now, and waits for the head of the answer.
    pub(super) async fn exchange(&mut self, request: Request<Bytes>) -> Result<Response<Incoming>, Lost> {
        let far_end = self.far_end.clone();
        // Whoever uses it next finds it open.
        self.far_end.opening = Phases::default();
        let mut sending = pin!(self.sender.try_send_request(request.map(Full::new)));
        let answer = poll_fn(|context| {
            drive(&mut self.connection, context);
            sending.as_mut().poll(context)
        });
        match answer.await {
            Ok(mut response) => {
                response.extensions_mut().insert(far_end);
                Ok(response)
            }
            Err(error) if error.message().is_some() => Err(Lost::Unwritten(causes(error.error()))),
            Err(error) => Err(Lost::Broken(causes(error.error()))),
        }
    }

    /// Reads and writes what is there to be read and written.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.connection, context);
    }

    /// Whether it can take a request, as far as is known here: the far end may close it at any time.
    pub(super) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

fn drive(connection: &mut Driven, context: &mut Context<'_>) {
    // How it ended is told to the request that was on it.
    if connection.as_mut().is_some_and(|open| Pin::new(open).poll(context).is_ready()) {
        *connection = None;
    }
}
