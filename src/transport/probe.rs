//! Inspects the route to a receiver without sending anything, using the same code that connects: the addresses
//! of its name, what the policy says about each of them, and the certificates that the receiver presents.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use url::Url;

use super::certificate::Certificate;
use super::dialer::{ConnectionInfo, Connector, Destination, Dialer, JudgedAddress};
use super::{TransportError, tls};
use crate::domain::bounds::CERTIFICATES_SHOWN;
use crate::domain::delivery::Phases;
use crate::domain::url_policy::UrlPolicy;

/// Inspects receivers under one policy.
pub struct Probe {
    connector: Connector,
    verifier: Arc<RecordingVerifier>,
}

/// What an inspection has found.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// The addresses of the host, looked up or literal; none if the lookup failed.
    pub addresses: Vec<JudgedAddress>,
    /// The connection that was opened and closed again, or why there was none.
    pub connection: Result<ConnectionInfo, TransportError>,
    /// The certificates of the handshake, trusted or not, the receiver's own first.
    pub certificates: Vec<Certificate>,
}

impl Probe {
    /// Returns a probe that connects like [`super::Transport::to_receivers`].
    pub fn new(
        extra_root_certificates: Option<&[u8]>,
        dialer: Dialer,
        policy: UrlPolicy,
    ) -> Result<Self, Error> {
        let inner = tls::verifier(extra_root_certificates)?;
        let verifier = Arc::new(RecordingVerifier { inner, presented: Mutex::default() });
        let tls = tls::connector(Arc::<RecordingVerifier>::clone(&verifier))?;
        Ok(Self { connector: Connector { policy: Arc::new(policy), dialer, tls }, verifier })
    }

    /// Opens a connection to the host of this URL, sends nothing over it, and closes it.
    pub async fn inspect(&self, url: &Url) -> ProbeReport {
        let mut report = ProbeReport {
            addresses: Vec::new(),
            connection: Err(TransportError::NotSent(String::new())),
            certificates: Vec::new(),
        };
        report.connection = match url.as_str().parse().map_err(|_| TransportError::no_host()) {
            Ok(uri) => self.connect(&Destination::of(&uri), &mut report.addresses).await,
            Err(error) => Err(error),
        };
        report.certificates = self.verifier.take_presented().iter().filter_map(Certificate::parse).collect();
        report
    }

    async fn connect(
        &self,
        destination: &Destination<'_>,
        found: &mut Vec<JudgedAddress>,
    ) -> Result<ConnectionInfo, TransportError> {
        let mut opening = Phases::default();
        *found = self.connector.addresses(destination, &mut opening).await?;
        let stream = self.connector.open(destination, found, opening).await?;
        Ok(stream.info)
    }
}

/// Leaves the decision to another verifier, and records the certificates that were presented.
#[derive(Debug)]
struct RecordingVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    presented: Mutex<Vec<CertificateDer<'static>>>,
}

impl RecordingVerifier {
    fn take_presented(&self) -> Vec<CertificateDer<'static>> {
        std::mem::take(&mut *self.presented.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(CERTIFICATES_SHOWN);
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.map(|certificate| certificate.clone().into_owned()).collect();
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
