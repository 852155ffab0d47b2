//! The client for receivers: strangers, whose URLs come from configuration and requests. No proxy, no redirects,
//! nothing decompressed, and every connection made by `wire.rs` under a policy.

use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;

use super::connection::{Connection, Lost};
use super::dialer::{ConnectFailure, Connector, Dialer};
use super::pool::Pool;
use super::{BodyStream, SignOnWrite, TransportError, causes, signed, tls};
use crate::domain::url_policy::UrlPolicy;

/// Sends under one policy; cheap to clone.
#[derive(Clone)]
pub(super) struct Receivers {
    connector: Connector,
    pool: Pool,
}

impl Receivers {
    pub(super) fn new(
        extra_root_certificates: Option<&[u8]>,
        dialer: Dialer,
        policy: UrlPolicy,
    ) -> Result<Self, rustls::Error> {
        let tls = tls::connector(tls::verifier(extra_root_certificates)?)?;
        let connector = Connector { policy: Arc::new(policy), dialer, tls };
        Ok(Self { connector, pool: Pool::default() })
    }

    /// The same way under another policy, without the connections that were made under this one.
    pub(super) fn judging(&self, policy: UrlPolicy) -> Self {
        let connector = Connector { policy: Arc::new(policy), ..self.connector.clone() };
        Self { connector, pool: Pool::default() }
    }

    /// A connection first, and only then the request, so that what `seal` adds is of the moment of the write.
    pub(super) async fn send(
        &self,
        mut request: Request<Bytes>,
        sign: &mut SignOnWrite<'_>,
    ) -> Result<Response<BodyStream>, TransportError> {
        let destination = std::mem::take(request.uri_mut());
        let origin = address_to(&mut request, &destination)?;
        // Of a waiting connection it shows only now whether the far end has closed it.
        while let Some(mut connection) = self.pool.take(&origin) {
            match connection.exchange(signed(request.clone(), sign)?).await {
                Ok(response) => return Ok(self.answer(response, connection, origin)),
                Err(Lost::Unwritten(_)) => {}
                Err(Lost::Broken(words)) => return Err(TransportError::Broken(words)),
            }
        }
        let opened = self.connector.connect(&destination).await.map_err(failure)?;
        let mut connection = Connection::over(opened).await?;
        let response = connection.exchange(signed(request, sign)?).await.map_err(Lost::on_new_connection)?;
        Ok(self.answer(response, connection, origin))
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        connection: Connection,
        origin: String,
    ) -> Response<BodyStream> {
        let pool = self.pool.clone();
        response.map(|body| body_over(body, connection, move |connection| pool.keep(&origin, connection)))
    }
}

/// Whoever reads the body to its end leaves the connection to `keep`; whoever drops it before, closes it.
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
        let piece = ready!(body.poll_next_unpin(context));
        if piece.is_none()
            && let Some((connection, keep)) = connection.take()
        {
            keep(connection);
        }
        Poll::Ready(piece.map(|piece| piece.map_err(|error| TransportError::Broken(causes(&error)))))
    }))
}

/// Puts path and host into the request as they go over a connection (RFC 9112 §3.2.1); answers whose connection.
fn address_to(request: &mut Request<Bytes>, destination: &Uri) -> Result<String, TransportError> {
    let unfit = || TransportError::NotSent("its URL names no host that a request can go to".to_owned());
    let authority = destination.authority().ok_or_else(unfit)?.as_str();
    let host = HeaderValue::from_str(authority).map_err(|_| unfit())?;
    request.headers_mut().insert(HOST, host);
    let path = destination.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    Ok(format!("{}://{authority}", destination.scheme_str().unwrap_or_default()))
}

pub(super) fn failure(failure: ConnectFailure) -> TransportError {
    match failure {
        ConnectFailure::Denied(refusal) => TransportError::Denied(refusal),
        ConnectFailure::NoConnection(words) => TransportError::NotSent(words),
        ConnectFailure::Tls(words) => TransportError::Tls(words),
    }
}
