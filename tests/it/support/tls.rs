//! A TLS server with a self-signed certificate. It gets no further than the handshake.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

pub(crate) struct SelfSigned {
    address: SocketAddr,
}

impl SelfSigned {
    /// Accepts on a thread of its own until the tests end.
    pub(crate) fn start() -> Self {
        Self::showing("certificate.pem", "key.pem")
    }

    /// Presents another certificate, such as that of `hooks.example`, which the authority in `ca.pem` has signed.
    pub(crate) fn showing(certificate: &str, key: &str) -> Self {
        let config = server_config(certificate, key);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                // The client refuses the certificate, which is what this server is for.
                drop(connection.complete_io(&mut stream));
            }
        });
        Self { address }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// Returns how a server presents a certificate of the fixtures.
pub(crate) fn server_config(certificate: &str, key: &str) -> Arc<ServerConfig> {
    let fixture = |name: &str| format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let certificate = CertificateDer::from_pem_file(fixture(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture(key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}
