//! One connection to a receiver, for one request at a time. It has no task of its own: the caller that waits
//! for a response also drives the connection, so a request that is given up takes its connection down with
//! it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection as HttpConnection, SendRequest};
use hyper_util::rt::TokioIo;

use super::dialer::{ConnectionInfo, Io, ReceiverStream};
use super::{TransportError, in_short};
use crate::domain::bounds::{INTERIM_ANSWERS_MAX, RECEIVER_ANSWER_BYTES_MAX};
use crate::domain::delivery::Phases;

/// Reads and writes the connection when it is polled; `None` once the connection has ended.
type Driver = Option<HttpConnection<TokioIo<Box<dyn Io>>, Full<Bytes>>>;

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    info: ConnectionInfo,
}

/// Why a request got no response.
pub(super) enum ExchangeError {
    /// The connection had ended before anything of the request was written.
    NotWritten(String),
    /// The connection broke after the request may have been received.
    Broken(String),
}

impl ExchangeError {
    /// Converts an error on a new connection, where an end before the first byte means that the receiver is
    /// broken.
    pub(super) fn on_new_connection(self) -> TransportError {
        match self {
            Self::NotWritten(message) | Self::Broken(message) => TransportError::Broken(message),
        }
    }
}

impl Connection {
    pub(super) async fn handshake(stream: ReceiverStream) -> Result<Self, TransportError> {
        // The head of a response has the same bound as its body.
        let mut builder = Builder::new();
        builder.max_buf_size(RECEIVER_ANSWER_BYTES_MAX);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream.io))
            .await
            .map_err(|error| TransportError::NotSent(in_short(&error)))?;
        Ok(Self { sender, driver: Some(connection), info: stream.info })
    }

    /// Writes the request at once and waits for the head of the response.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let info = self.info.clone();
        // The next request finds the connection open and spends no time on opening it.
        self.info.opening = Phases::default();
        let mut request = request.map(Full::new);
        let interim = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&interim);
        hyper::ext::on_informational(&mut request, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut sending = pin!(self.sender.try_send_request(request));
        let response = poll_fn(|context| {
            drive(&mut self.driver, context);
            match sending.as_mut().poll(context) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if interim.load(Ordering::Relaxed) > INTERIM_ANSWERS_MAX => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        let Some(response) = response.await else {
            let message = format!("more than {INTERIM_ANSWERS_MAX} interim answers (1xx) and no final one");
            return Err(ExchangeError::Broken(message));
        };
        match response {
            Ok(mut response) => {
                response.extensions_mut().insert(info);
                Ok(response)
            }
            Err(error) if error.message().is_some() => {
                Err(ExchangeError::NotWritten(in_short(error.error())))
            }
            Err(error) => Err(ExchangeError::Broken(in_short(error.error()))),
        }
    }

    /// Reads and writes as much as is possible now.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }

    /// Returns whether it can take a request, as far as is known here: the receiver may close it at any time.
    pub(super) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn drive(driver: &mut Driver, context: &mut Context<'_>) {
    // The request on the connection learns how the connection ended, so its result is not needed here.
    if driver.as_mut().is_some_and(|connection| Pin::new(connection).poll(context).is_ready()) {
        *driver = None;
    }
}
