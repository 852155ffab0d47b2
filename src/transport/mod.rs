//! One HTTP exchange with the world outside. What an effect above must know is only this: did the request
//! certainly not leave (`NotSent`), or may it have been received (`Broken`)?
//!
//! Three ways: real connections to the agent server (reqwest), real connections to receivers, judged by a policy where
//! they are made (`receivers.rs`), and a function in this process, which is how the embedded agent server is
//! reached without a port and how simulation puts lost answers and late requests under the real code.
//!
//! `relay.rs` is apart: it passes on what others ask of the agent server, and knows nothing of what they ask.

mod certificate;
mod connection;
mod dialer;
#[cfg(test)]
pub(crate) mod hostile;
mod pool;
mod probe;
mod receivers;
mod relay;
mod tls;

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{Request, Response};
use tower::ServiceExt;

use crate::domain::bounds::CONNECT_WAIT;
use crate::domain::url_policy::{PolicyViolation, UrlPolicy};
use receivers::Receivers;

pub use certificate::Certificate;
pub use dialer::{Dialer, FarEnd, JudgedAddress};
pub use probe::{Probe, Sight};
pub use relay::{Relay, RelayError};

/// Sends requests; cheap to clone.
#[derive(Clone)]
pub struct Transport {
    channel: Channel,
}

#[derive(Clone)]
enum Channel {
    Network(reqwest::Client),
    Judged(Receivers),
    InProcess(Arc<dyn Fn(Request<Bytes>) -> Exchange + Send + Sync>),
}

/// What a function in this process answers with.
pub type Exchange = Pin<Box<dyn Future<Output = Result<Response<BodyStream>, TransportError>> + Send>>;

/// Completes a request in the moment in which it is sent, with what is of that moment: its time and its signature.
/// It is called again if the same request has to be written to another connection.
pub type SignOnWrite<'s> = dyn FnMut(&mut Request<Bytes>) -> Result<(), TransportError> + Send + 's;

/// The body of an answer, as it arrives.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Why there is no (whole) answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request certainly did not leave: name, connection or TLS failed.
    #[error("{0}")]
    NotSent(String),
    /// It did not leave, because the far end's certificate or its TLS is not acceptable. Of judged ways only.
    #[error("{0}")]
    Tls(String),
    /// It did not leave, because the policy refuses an address of the host. Of judged ways only.
    #[error("{0}")]
    Denied(PolicyViolation),
    /// The connection broke, or fell silent, after the request may have left.
    #[error("{0}")]
    Broken(String),
    /// The answer is longer than we read.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.channel {
            Channel::Network(_) => "Transport::Network",
            Channel::Judged(_) => "Transport::Judged",
            Channel::InProcess(_) => "Transport::InProcess",
        })
    }
}

impl Transport {
    /// Real connections: no proxy from the environment, no redirects, nothing sent twice behind our back.
    ///
    /// `extra_root_certificates` is PEM text that is trusted besides the system's store.
    pub fn network(extra_root_certificates: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        let mut builder = client_builder().connect_timeout(CONNECT_WAIT);
        if let Some(pem) = extra_root_certificates {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?);
        }
        Ok(Self { channel: Channel::Network(builder.build()?) })
    }

    /// All requests go to this Unix socket, whatever host they name.
    pub fn unix_socket(path: &Path) -> Result<Self, reqwest::Error> {
        Ok(Self { channel: Channel::Network(client_builder().unix_socket(path).build()?) })
    }

    /// Real connections to receivers: none is made to an address that `policy` refuses; no proxy, no redirects.
    ///
    /// `extra_root_certificates` is PEM text that is trusted besides the system's store.
    pub fn judged(
        extra_root_certificates: Option<&[u8]>,
        dialer: Dialer,
        policy: UrlPolicy,
    ) -> Result<Self, rustls::Error> {
        Ok(Self { channel: Channel::Judged(Receivers::new(extra_root_certificates, dialer, policy)?) })
    }

    /// The same way under this policy. What is answered in this process, and the way to the agent server, which the
    /// operator has named, know no policy.
    pub fn judging(self, policy: UrlPolicy) -> Self {
        match self.channel {
            Channel::Judged(receivers) => Self { channel: Channel::Judged(receivers.judging(policy)) },
            Channel::Network(_) | Channel::InProcess(_) => self,
        }
    }

    /// Requests are answered by this router, in this process.
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

    /// Requests are answered by this function, in this process.
    pub fn function(answer: impl Fn(Request<Bytes>) -> Exchange + Send + Sync + 'static) -> Self {
        Self { channel: Channel::InProcess(Arc::new(answer)) }
    }

    /// Sends one request and waits for the head of the answer; never retries. The caller bounds the time.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        self.send_signed(request, &mut |_| Ok(())).await
    }

    /// The same; on judged ways `seal` completes the request once there is a connection, right before the write.
    pub async fn send_signed(
        &self,
        request: Request<Bytes>,
        sign: &mut SignOnWrite<'_>,
    ) -> Result<Response<BodyStream>, TransportError> {
        match &self.channel {
            Channel::InProcess(answer) => answer(signed(request, sign)?).await,
            Channel::Judged(receivers) => receivers.send(request, sign).await,
            Channel::Network(client) => {
                let request = reqwest::Request::try_from(signed(request, sign)?).map_err(not_sent)?;
                let response = client.execute(request).await.map_err(|error| {
                    if error.is_connect() || error.is_builder() { not_sent(error) } else { broken(error) }
                })?;
                let (parts, body) = Response::<reqwest::Body>::from(response).into_parts();
                let stream = http_body_util::BodyDataStream::new(body).map_err(broken);
                Ok(Response::from_parts(parts, Box::pin(stream)))
            }
        }
    }
}

/// The request as it goes out now.
fn signed(mut request: Request<Bytes>, sign: &mut SignOnWrite<'_>) -> Result<Request<Bytes>, TransportError> {
    sign(&mut request)?;
    Ok(request)
}

/// No proxy from the environment, no redirects, nothing sent twice behind our back.
fn client_builder() -> reqwest::ClientBuilder {
    // A second installation is refused, and harmless: the first one stands.
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

/// Reads a body to its end, `bytes_max` at most, allowing for `silence` between two pieces.
pub async fn read_body(
    mut body: BodyStream,
    bytes_max: usize,
    silence: Duration,
) -> Result<Bytes, TransportError> {
    let mut whole = BytesMut::new();
    loop {
        match tokio::time::timeout(silence, body.next()).await {
            Err(_) => return Err(TransportError::Broken(format!("no more of the answer for {silence:?}"))),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(error))) => return Err(error),
            Ok(Some(Ok(piece))) if whole.len() + piece.len() > bytes_max => {
                return Err(TransportError::TooLarge(bytes_max));
            }
            Ok(Some(Ok(piece))) => whole.extend_from_slice(&piece),
        }
    }
}

fn not_sent(error: reqwest::Error) -> TransportError {
    TransportError::NotSent(message_of(error))
}

fn broken(error: reqwest::Error) -> TransportError {
    TransportError::Broken(message_of(error))
}

/// Without the URL: it may hold a token.
fn message_of(error: reqwest::Error) -> String {
    causes(&error.without_url())
}

/// The chain of causes in one line.
fn causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests;
