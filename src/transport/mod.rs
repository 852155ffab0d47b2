//! One HTTP exchange with the outside world. The effects above need to know only one thing about a failure:
//! did the request certainly not leave (`NotSent`), or may it have been received (`Broken`)?
//!
//! There are three channels: real connections to the agent server (reqwest); real connections to receivers,
//! checked against a policy where they are made (`receiver_client.rs`); and a function in this process. The
//! function is how the embedded agent server is reached without a port, and how the simulation puts lost
//! responses and late requests under the real code.
//!
//! `relay.rs` is separate: it forwards the requests of others to the agent server and knows nothing about
//! their content.

mod certificate;
mod connection;
mod dialer;
#[cfg(test)]
pub(crate) mod fuzz;
mod guard;
mod in_short;
mod pool;
mod probe;
mod receiver_client;
mod relay;
mod tls;

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{Request, Response};
use humantime::format_duration;
use tower::ServiceExt;

use crate::domain::bounds::CONNECT_WAIT;
use crate::domain::url_policy::{PolicyViolation, UrlPolicy};
use in_short::in_short;
use receiver_client::ReceiverClient;

pub use certificate::Certificate;
pub use dialer::{ConnectionInfo, Dialer, JudgedAddress};
pub use guard::Guard;
pub use probe::{Probe, ProbeReport};
pub use relay::{Relay, RelayError};
pub use tls::tls_client;

/// Sends HTTP requests. It is cheap to clone.
#[derive(Clone)]
pub struct Transport {
    channel: Channel,
}

#[derive(Clone)]
enum Channel {
    Network(reqwest::Client, Option<Guard>),
    Receivers(ReceiverClient),
    InProcess(Arc<dyn Fn(Request<Bytes>) -> ResponseFuture + Send + Sync>),
}

/// The result of a function that handles requests in this process.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<BodyStream>, TransportError>> + Send>>;

/// Completes a request at the moment it is written, with its timestamp and its signature. It is called again
/// if the same request has to be written to another connection.
pub type SignOnWrite<'s> = dyn FnMut(&mut Request<Bytes>) -> Result<(), TransportError> + Send + 's;

/// The body of a response, as it arrives.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request certainly did not leave: the name lookup or the connection failed. For the agent server this
    /// includes a failure of TLS.
    #[error("{0}")]
    NotSent(String),
    /// The request did not leave because the receiver's certificate or its TLS is not acceptable.
    #[error("{0}")]
    Tls(String),
    /// The request did not leave because the policy refuses an address of the receiver's host.
    #[error("{0}")]
    Denied(PolicyViolation),
    /// The connection broke or fell silent after the request may have left.
    #[error("{0}")]
    Broken(String),
    /// The body of the response is longer than this many bytes, the most that the caller reads.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

impl TransportError {
    /// Reports a URL without a host that a request could go to.
    fn no_host() -> Self {
        Self::NotSent("the URL names no host that a request can be sent to".to_owned())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.channel {
            Channel::Network(..) => "Transport::Network",
            Channel::Receivers(_) => "Transport::Receivers",
            Channel::InProcess(_) => "Transport::InProcess",
        })
    }
}

impl Transport {
    /// Returns a transport to the agent server: no proxy from the environment, no redirects, no hidden
    /// retries.
    ///
    /// `extra_root_certificates` is PEM text that is trusted in addition to the system's store.
    pub fn network(extra_root_certificates: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        let mut builder = client_builder().connect_timeout(CONNECT_WAIT);
        if let Some(pem) = extra_root_certificates {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self { channel: Channel::Network(builder.build()?, None) })
    }

    /// Returns a transport that sends all requests to this Unix socket, no matter which host they name.
    pub fn unix_socket(path: &Path) -> Result<Self, reqwest::Error> {
        Ok(Self { channel: Channel::Network(client_builder().unix_socket(path).build()?, None) })
    }

    /// Returns a transport to receivers: no connection is made to an address that `policy` refuses; no proxy,
    /// no redirects.
    ///
    /// `extra_root_certificates` is PEM text that is trusted in addition to the system's store.
    pub fn to_receivers(
        extra_root_certificates: Option<&[u8]>,
        dialer: Dialer,
        policy: UrlPolicy,
    ) -> Result<Self, rustls::Error> {
        let client = ReceiverClient::new(extra_root_certificates, dialer, policy)?;
        Ok(Self { channel: Channel::Receivers(client) })
    }

    /// Replaces the policy. Only a transport to receivers has one: the operator has named the agent server,
    /// and a function in this process connects to nothing.
    pub fn with_policy(self, policy: UrlPolicy) -> Self {
        match self.channel {
            Channel::Receivers(client) => Self { channel: Channel::Receivers(client.with_policy(policy)) },
            Channel::Network(..) | Channel::InProcess(_) => self,
        }
    }

    /// Returns a transport to the agent server that sends a body only while its guard lets it.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        match self.channel {
            Channel::Network(client, _) => Self { channel: Channel::Network(client, Some(guard)) },
            Channel::Receivers(_) | Channel::InProcess(_) => self,
        }
    }

    /// Returns a transport whose requests are handled by this router, in this process.
    pub fn router(router: axum::Router) -> Self {
        Self::function(move |request| {
            let router = router.clone();
            Box::pin(async move {
                let response = match router.oneshot(request.map(axum::body::Body::from)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                Ok(response.map(|body| {
                    let stream = body.into_data_stream();
                    Box::pin(stream.map_err(|error| TransportError::Broken(error.to_string()))) as BodyStream
                }))
            })
        })
    }

    /// Returns a transport whose requests are handled by this function, in this process.
    pub fn function(handler: impl Fn(Request<Bytes>) -> ResponseFuture + Send + Sync + 'static) -> Self {
        Self { channel: Channel::InProcess(Arc::new(handler)) }
    }

    /// Returns a transport that sends nothing, for this reason.
    pub fn refusing(reason: String) -> Self {
        Self::function(move |_| {
            let error = TransportError::NotSent(reason.clone());
            Box::pin(async move { Err(error) })
        })
    }

    /// Sends one request and waits for the head of the response. It never retries, and the caller bounds the
    /// time.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        self.send_signed(request, &mut |_| Ok(())).await
    }

    /// Sends one request like [`Transport::send`], after `sign` has completed it. To a receiver, `sign` is
    /// called once there is a connection, right before the write.
    pub async fn send_signed(
        &self,
        request: Request<Bytes>,
        sign: &mut SignOnWrite<'_>,
    ) -> Result<Response<BodyStream>, TransportError> {
        match &self.channel {
            Channel::InProcess(handler) => handler(signed(request, sign)?).await,
            Channel::Receivers(client) => client.send(request, sign).await,
            Channel::Network(client, guard) => {
                let mut request = reqwest::Request::try_from(signed(request, sign)?).map_err(not_sent)?;
                let bytes =
                    request.body().and_then(reqwest::Body::as_bytes).filter(|bytes| !bytes.is_empty());
                let kept_back =
                    guard.as_ref().zip(bytes.map(Bytes::copy_from_slice)).map(|(guard, bytes)| {
                        let (body, kept_back) = guard.body(bytes);
                        *request.body_mut() = Some(reqwest::Body::wrap(body));
                        kept_back
                    });
                let response = client.execute(request).await.map_err(|error| {
                    let was_kept_back = kept_back.is_some_and(|kept_back| kept_back.load(Ordering::SeqCst));
                    if was_kept_back || error.is_connect() || error.is_builder() {
                        not_sent(error)
                    } else {
                        broken(error)
                    }
                })?;
                let (parts, body) = Response::<reqwest::Body>::from(response).into_parts();
                let stream = http_body_util::BodyDataStream::new(body).map_err(broken);
                Ok(Response::from_parts(parts, Box::pin(stream)))
            }
        }
    }
}

fn signed(mut request: Request<Bytes>, sign: &mut SignOnWrite<'_>) -> Result<Request<Bytes>, TransportError> {
    sign(&mut request)?;
    Ok(request)
}

fn client_builder() -> reqwest::ClientBuilder {
    // A second installation is refused, which is harmless: the first one stays in use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(4))
        .user_agent(concat!("agentcron/", env!("CARGO_PKG_VERSION")))
}

/// A body is read in blocks of this size. In one piece, which moves as it grows, a large one that is refused in the end would leave
/// several times its size to the allocator, for good.
const BLOCK_BYTES: usize = 64 * 1024;

/// Reads a body to its end and returns it. `silence_max` bounds the wait for each next chunk.
///
/// # Errors
/// `TooLarge` if the body is longer than `bytes_max`, `Broken` if it stalls or breaks off.
pub async fn read_body(
    mut body: BodyStream,
    bytes_max: usize,
    silence_max: Duration,
) -> Result<Bytes, TransportError> {
    let (mut blocks, mut length) = (Vec::<BytesMut>::new(), 0);
    loop {
        match tokio::time::timeout(silence_max, body.next()).await {
            Err(_) => {
                return Err(TransportError::Broken(format!(
                    "no more of the answer within {}",
                    format_duration(silence_max)
                )));
            }
            Ok(None) => return Ok(joined(blocks)),
            Ok(Some(Err(error))) => return Err(error),
            Ok(Some(Ok(chunk))) if length + chunk.len() > bytes_max => {
                return Err(TransportError::TooLarge(bytes_max));
            }
            Ok(Some(Ok(chunk))) => {
                length += chunk.len();
                match blocks.last_mut() {
                    Some(last) if last.len() + chunk.len() <= BLOCK_BYTES => last.extend_from_slice(&chunk),
                    _ => blocks.push(chunk.as_ref().into()),
                }
            }
        }
    }
}

fn joined(mut blocks: Vec<BytesMut>) -> Bytes {
    match blocks.len() {
        0 | 1 => blocks.pop().unwrap_or_default().freeze(),
        _ => blocks.concat().into(),
    }
}

fn not_sent(error: reqwest::Error) -> TransportError {
    match error.is_timeout() {
        true => TransportError::NotSent(format!("no connection within {}", format_duration(CONNECT_WAIT))),
        false => TransportError::NotSent(message_of(error)),
    }
}

fn broken(error: reqwest::Error) -> TransportError {
    TransportError::Broken(message_of(error))
}

/// Describes the error without its URL, which may hold a token.
fn message_of(error: reqwest::Error) -> String {
    in_short(&error.without_url())
}

#[cfg(test)]
mod tests;
