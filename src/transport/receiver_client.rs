//! The HTTP client for receivers, which are strangers whose URLs come from configuration and requests. It
//! uses no proxy, follows no redirects and decompresses nothing, and `dialer.rs` opens each of its
//! connections under a policy.

use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;

use super::connection::{Connection, ExchangeError};
use super::dialer::{Connector, Dialer};
use super::pool::Pool;
use super::{BodyStream, SignOnWrite, TransportError, in_short, signed, tls};
use crate::domain::url_policy::UrlPolicy;

/// Sends requests under one policy. It is cheap to clone.
#[derive(Clone)]
pub(super) struct ReceiverClient {
    connector: Connector,
    pool: Pool,
}

impl ReceiverClient {
    pub(super) fn new(
        extra_root_certificates: Option<&[u8]>,
        dialer: Dialer,
        policy: UrlPolicy,
    ) -> Result<Self, rustls::Error> {
        let tls = tls::connector(tls::verifier(extra_root_certificates)?)?;
        let connector = Connector { policy: Arc::new(policy), dialer, tls };
        Ok(Self { connector, pool: Pool::default() })
    }

    /// Returns a client under another policy, without the connections that were made under this one.
    pub(super) fn with_policy(&self, policy: UrlPolicy) -> Self {
        let connector = Connector { policy: Arc::new(policy), ..self.connector.clone() };
        Self { connector, pool: Pool::default() }
    }

    /// Takes or opens a connection and only then completes the request, so that the timestamp that `sign` adds
    /// is the time of the write.
    pub(super) async fn send(
        &self,
        mut request: Request<Bytes>,
        sign: &mut SignOnWrite<'_>,
    ) -> Result<Response<BodyStream>, TransportError> {
        let destination = std::mem::take(request.uri_mut());
        let origin = address_to(&mut request, &destination)?;
        // Only the write shows whether the receiver has closed an idle connection.
        while let Some(mut connection) = self.pool.take(&origin) {
            match connection.exchange(signed(request.clone(), sign)?).await {
                Ok(response) => return Ok(self.response(response, connection, origin)),
                Err(ExchangeError::NotWritten(_)) => {}
                Err(ExchangeError::Broken(message)) => return Err(TransportError::Broken(message)),
            }
        }
        let stream = self.connector.connect(&destination).await?;
        let mut connection = Connection::handshake(stream).await?;
        let exchanged = connection.exchange(signed(request, sign)?).await;
        let response = exchanged.map_err(ExchangeError::on_new_connection)?;
        Ok(self.response(response, connection, origin))
    }

    fn response(
        &self,
        response: Response<Incoming>,
        connection: Connection,
        origin: String,
    ) -> Response<BodyStream> {
        let pool = self.pool.clone();
        response.map(|body| body_over(body, connection, move |connection| pool.keep(&origin, connection)))
    }
}

/// Streams a body over its connection. When the body was read to its end, the connection is passed to `keep`;
/// when it is dropped before that, the connection closes.
pub(super) fn body_over(
    body: Incoming,
    connection: Connection,
    keep: impl FnOnce(Connection) + Send + 'static,
) -> BodyStream {
    let (mut body, mut connection) = (BodyDataStream::new(body), Some((connection, keep)));
    Box::pin(stream::poll_fn(move |context| {
        if let Some((connection, _)) = &mut connection {
            connection.drive(context);
        }
        let chunk = ready!(body.poll_next_unpin(context));
        if chunk.is_none()
            && let Some((connection, keep)) = connection.take()
        {
            keep(connection);
        }
        Poll::Ready(chunk.map(|chunk| chunk.map_err(|error| TransportError::Broken(in_short(&error)))))
    }))
}

/// Puts path and host into the request in the form that goes over a connection (RFC 9112 §3.2.1), and returns
/// the origin whose connections can carry it.
fn address_to(request: &mut Request<Bytes>, destination: &Uri) -> Result<String, TransportError> {
    let authority = destination.authority().ok_or_else(TransportError::no_host)?.as_str();
    let host = HeaderValue::from_str(authority).map_err(|_| TransportError::no_host())?;
    request.headers_mut().insert(HOST, host);
    let path = destination.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    Ok(format!("{}://{authority}", destination.scheme_str().unwrap_or_default()))
}
