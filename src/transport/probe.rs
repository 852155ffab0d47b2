//! A look at the way to a receiver, over the very code that connects, without sending anything: where its name leads,
//! what the policy says of each address, and which certificates it shows.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use url::Url;

use super::certificate::Certificate;
use super::dialer::{Connector, Destination, Dialer, FarEnd, JudgedAddress};
use super::receivers::failure;
use super::{TransportError, tls};
use crate::domain::bounds::CERTIFICATES_SHOWN;
use crate::domain::delivery::Phases;
use crate::domain::url_policy::UrlPolicy;

/// Looks at receivers under one policy.
pub struct Probe {
    connector: Connector,
    witness: Arc<Witness>,
}

/// What a look has shown.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Where its name leads, or the address that stands in its place; none if the look-up failed.
    pub addresses: Vec<JudgedAddress>,
    /// The connection that was opened, and closed again; or why there was none.
    pub connection: Result<FarEnd, TransportError>,
    /// What was shown in the handshake, whether it was trusted or not: the receiver's own certificate first.
    pub certificates: Vec<Certificate>,
}

impl Probe {
    /// The same way as that of [`super::Transport::judged`].
    pub fn new(
        extra_root_certificates: Option<&[u8]>,
        dialer: Dialer,
        policy: UrlPolicy,
    ) -> Result<Self, Error> {
        let judge = tls::verifier(extra_root_certificates)?;
        let witness = Arc::new(Witness { judge, shown: Mutex::default() });
        let tls = tls::connector(Arc::<Witness>::clone(&witness))?;
        Ok(Self { connector: Connector { policy: Arc::new(policy), dialer, tls }, witness })
    }

    /// Goes as far as a connection to the host of this URL, and no further.
    pub async fn look(&self, url: &Url) -> Sight {
        let no_uri = |_| TransportError::NotSent("its URL names no host that a request can go to".to_owned());
        let mut sight = Sight {
            addresses: Vec::new(),
            connection: Err(TransportError::NotSent(String::new())),
            certificates: Vec::new(),
        };
        sight.connection = match url.as_str().parse().map_err(no_uri) {
            Ok(uri) => self.connect(&Destination::of(&uri), &mut sight.addresses).await,
            Err(error) => Err(error),
        };
        sight.certificates = self.witness.shown().iter().filter_map(Certificate::read).collect();
        sight
    }

    async fn connect(
        &self,
        destination: &Destination<'_>,
        found: &mut Vec<JudgedAddress>,
    ) -> Result<FarEnd, TransportError> {
        let mut opening = Phases::default();
        *found = self.connector.addresses(destination, &mut opening).await.map_err(failure)?;
        let opened = self.connector.open(destination, found, opening).await.map_err(failure)?;
        Ok(opened.far_end)
    }
}

/// Leaves the judgement to the judge, and remembers what was shown.
#[derive(Debug)]
struct Witness {
    judge: Arc<dyn ServerCertVerifier>,
    shown: Mutex<Vec<CertificateDer<'static>>>,
}

impl Witness {
    fn shown(&self) -> Vec<CertificateDer<'static>> {
        std::mem::take(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(CERTIFICATES_SHOWN);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) =
            chain.map(|certificate| certificate.clone().into_owned()).collect();
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
