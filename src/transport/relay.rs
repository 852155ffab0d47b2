//! Forwards the requests of others to the agent server as they come, with bodies streamed both ways over a
//! pool of connections. It follows no redirects, decompresses nothing and sends nothing twice.
//!
//! It has no policy and no bounds per address, because the operator has named the agent server.

use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::dialer::{Destination, Io, NO_CERTIFICATE_NAME, disable_delay};
use super::{in_short, tls};
use crate::domain::bounds::{CONNECT_WAIT, HTTP_CONNECTIONS_MAX};

/// Agent servers close a connection that has been idle for about five seconds (uvicorn), so one that has been
/// idle for less than this is rarely closed.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Forwards requests to the agent server. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    client: Client<RelayConnector, Body>,
}

impl Relay {
    /// Returns a relay over real connections. `extra_root_certificates` is PEM text that is trusted in
    /// addition to the system's store.
    pub fn network(extra_root_certificates: Option<&[u8]>) -> Result<Self, rustls::Error> {
        let connector = RelayConnector { tls: tls::connector(tls::verifier(extra_root_certificates)?)? };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(HTTP_CONNECTIONS_MAX)
            // A request is sent again only if nothing of it has been written to a connection.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self { client })
    }

    /// Sends one request, whose URI must be absolute, and waits for the head of the response. There is no
    /// timeout: the client at the other end knows how long it wants to wait.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, RelayError> {
        let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => RelayError::NotSent(error),
            false => RelayError::Broken(error),
        })?;
        Ok(response.map(Body::new))
    }
}

/// Why there is no response. Its sources show whether the body of the request was the cause.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The request certainly did not leave.
    #[error("{}", in_short(.0))]
    NotSent(#[source] Error),
    /// The connection broke after the request, or part of it, may have left.
    #[error("{}", in_short(.0))]
    Broken(#[source] Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum RelayConnectError {
    #[error("no connection within {}", humantime::format_duration(CONNECT_WAIT))]
    TooLong,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{NO_CERTIFICATE_NAME}")]
    Name,
}

#[derive(Clone)]
struct RelayConnector {
    tls: TlsConnector,
}

impl std::fmt::Debug for RelayConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RelayConnector")
    }
}

impl Service<Uri> for RelayConnector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = RelayConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, RelayConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RelayConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(CONNECT_WAIT, connector.open(&uri)).await;
            opened.map_err(|_| RelayConnectError::TooLong)?.map(TokioIo::new)
        })
    }
}

impl RelayConnector {
    async fn open(&self, uri: &Uri) -> Result<Box<dyn Io>, RelayConnectError> {
        let Destination { host, port, has_tls } = Destination::of(uri);
        let stream = TcpStream::connect((host, port)).await?;
        disable_delay(&stream);
        if !has_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| RelayConnectError::Name)?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }
}

impl Connection for Box<dyn Io> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
