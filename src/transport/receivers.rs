//! The client for receivers: strangers, whose URLs come from configuration and requests. No proxy, no redirects,
//! nothing decompressed, and every connection made by `wire.rs` under a policy.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use super::wire::{ConnectFailure, Connector, Wire};
use super::{BodyStream, TransportError, causes};
use crate::domain::bounds::ATTEMPTS_PER_ORIGIN;
use crate::domain::url_policy::UrlPolicy;

/// Receivers close idle connections whenever they like; a young one has rarely been closed.
const IDLE: Duration = Duration::from_secs(4);

/// Sends under one policy; cheap to clone.
#[derive(Clone)]
pub(super) struct Receivers {
    client: Client<Connector, Full<Bytes>>,
    wire: Wire,
    tls: TlsConnector,
}

impl Receivers {
    pub(super) fn new(
        extra_root_certificates: Option<&[u8]>,
        wire: Wire,
        policy: UrlPolicy,
    ) -> Result<Self, rustls::Error> {
        let tls = trusting(extra_root_certificates)?;
        Ok(Self { client: client(policy, &wire, &tls), wire, tls })
    }

    /// The same way under another policy, without the connections that were made under this one.
    pub(super) fn judging(&self, policy: UrlPolicy) -> Self {
        let (wire, tls) = (self.wire.clone(), self.tls.clone());
        Self { client: client(policy, &wire, &tls), wire, tls }
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let response = self.client.request(request.map(Full::new)).await.map_err(failure)?;
        Ok(response.map(|body| {
            let stream = http_body_util::BodyDataStream::new(body);
            Box::pin(stream.map_err(|error| TransportError::Broken(causes(&error)))) as BodyStream
        }))
    }
}

/// TLS that trusts the system's store and `extra_root_certificates`, PEM text.
pub(super) fn trusting(extra_root_certificates: Option<&[u8]>) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let pem = extra_root_certificates.unwrap_or_default();
    let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(tls)))
}

fn client(policy: UrlPolicy, wire: &Wire, tls: &TlsConnector) -> Client<Connector, Full<Bytes>> {
    let connector = Connector { policy: Arc::new(policy), wire: wire.clone(), tls: tls.clone() };
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(ATTEMPTS_PER_ORIGIN)
        // Only what has certainly not been written to a connection is sent again on another one.
        .retry_canceled_requests(true)
        .build(connector)
}

fn failure(error: Error) -> TransportError {
    match error.source().and_then(|cause| cause.downcast_ref::<ConnectFailure>()) {
        Some(ConnectFailure::Denied(refusal)) => TransportError::Denied(refusal.clone()),
        Some(ConnectFailure::NoConnection(words)) => TransportError::NotSent(words.clone()),
        Some(ConnectFailure::Tls(words)) => TransportError::Tls(words.clone()),
        None if error.is_connect() => TransportError::NotSent(causes(&error)),
        None => TransportError::Broken(causes(&error)),
    }
}
