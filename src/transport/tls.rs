//! Which certificates we trust: the system's roots and those that the operator has named.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

/// Returns a verifier that trusts the system's store and `extra_root_certificates`, which is PEM text.
pub(super) fn verifier(
    extra_root_certificates: Option<&[u8]>,
) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
    let pem = extra_root_certificates.unwrap_or_default();
    let roots: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Arc::new(Verifier::new_with_extra_roots(roots, provider())?))
}

/// Returns a connector that leaves the decision about certificates to this verifier.
pub(super) fn connector(verifier: Arc<dyn ServerCertVerifier>) -> Result<TlsConnector, rustls::Error> {
    let mut tls = client(verifier)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// Returns how connections are made to servers that `verifier` trusts.
fn client(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Returns how connections are made that carry something else than HTTP.
pub fn tls_client(extra_root_certificates: Option<&[u8]>) -> Result<ClientConfig, rustls::Error> {
    client(verifier(extra_root_certificates)?)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
