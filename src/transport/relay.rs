//! The way to the agent server for requests of others: passed on as they come, bodies streamed both ways, over a pool
//! of connections. No redirects, nothing decompressed, nothing sent twice.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::causes;
use super::tls;
use crate::domain::bounds::{CONNECT_WAIT, HTTP_CONNECTIONS_MAX};

/// Agent servers close idle connections after about five seconds (uvicorn); a younger one has rarely been closed.
const IDLE: Duration = Duration::from_secs(4);

/// Passes requests on; cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    client: Client<RelayConnector, Body>,
}

impl Relay {
    /// Real connections. `extra_root_certificates` is PEM text that is trusted besides the system's store.
    pub fn network(extra_root_certificates: Option<&[u8]>) -> Result<Self, rustls::Error> {
        let connector = RelayConnector { tls: tls::connector(tls::verifier(extra_root_certificates)?)? };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(HTTP_CONNECTIONS_MAX)
            // Only what has certainly not been written to a connection is sent again on another one.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self { client })
    }

    /// Sends one request, whose URI is absolute, and waits for the head of the answer, however long that takes: the
    /// client at the other end knows how long it wants to wait.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, RelayError> {
        let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => RelayError::NotSent(error),
            false => RelayError::Broken(error),
        })?;
        Ok(response.map(Body::new))
    }
}

/// Why there is no answer. Its sources tell whether the body of the request was at fault.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The request certainly did not leave.
    #[error("{}", causes(.0))]
    NotSent(#[source] Error),
    /// The connection broke after the request, or part of it, may have left.
    #[error("{}", causes(.0))]
    Broken(#[source] Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum RelayConnectFailure {
    #[error("no connection within {}", humantime::format_duration(CONNECT_WAIT))]
    TooLong,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("no certificate can be for such a host")]
    Name,
}

/// Connects to whatever host a URI names: the operator has named it.
#[derive(Clone)]
struct RelayConnector {
    tls: TlsConnector,
}

impl std::fmt::Debug for RelayConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Service<Uri> for RelayConnector {
    type Response = TokioIo<RelayConnection>;
    type Error = RelayConnectFailure;
    type Future = BoxFuture<'static, Result<Self::Response, RelayConnectFailure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RelayConnectFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(CONNECT_WAIT, connector.open(&uri)).await;
            opened.map_err(|_| RelayConnectFailure::TooLong)?.map(TokioIo::new)
        })
    }
}

impl RelayConnector {
    async fn open(&self, uri: &Uri) -> Result<RelayConnection, RelayConnectFailure> {
        let with_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if with_tls { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await?;
        // A delayed segment is a nuisance, a refused option is none.
        let _ = stream.set_nodelay(true);
        if !with_tls {
            return Ok(RelayConnection::Plain(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| RelayConnectFailure::Name)?;
        Ok(RelayConnection::Tls(Box::new(self.tls.connect(name, stream).await?)))
    }
}

/// A connection, with or without TLS.
enum RelayConnection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for RelayConnection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for RelayConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            RelayConnection::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            RelayConnection::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for RelayConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            RelayConnection::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            RelayConnection::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            RelayConnection::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            RelayConnection::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            RelayConnection::Plain(stream) => stream.is_write_vectored(),
            RelayConnection::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            RelayConnection::Plain(stream) => Pin::new(stream).poll_flush(context),
            RelayConnection::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            RelayConnection::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            RelayConnection::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
