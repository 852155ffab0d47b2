//! TLS to receivers: a certificate is asked for by name, and must be good.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const AUTHORITY: &[u8] = include_bytes!("../../tests/fixtures/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../tests/fixtures/tls/receiver.pem");
const KEY: &[u8] = include_bytes!("../../tests/fixtures/tls/receiver.key");

/// `hooks.example`, on loopback, as long as the test goes on.
async fn receiver() -> Wire {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the receiver is another party")]
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 2048]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let lookup = async |_| Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14))]);
    Wire::new(lookup, move |_| TcpStream::connect(address))
}

async fn post(url: &str, roots: Option<&[u8]>) -> Result<http::StatusCode, TransportError> {
    let policy = UrlPolicy {
        require_https: true,
        allowed_domains: None,
        allowed_ports: None,
        max_url_length: 4096,
        disable_loopback: true,
        disable_private_ips: true,
    };
    let transport = Transport::judged(roots, receiver().await, policy).unwrap();
    let request = Request::post(url).body(Bytes::from_static(b"{}")).unwrap();
    transport.send(request).await.map(|response| response.status())
}

#[tokio::test]
async fn a_receiver_with_a_good_certificate_is_told_and_no_other() {
    assert_eq!(post("https://hooks.example/", Some(AUTHORITY)).await, Ok(http::StatusCode::OK));
    for (url, roots) in [("https://other.example/", Some(AUTHORITY)), ("https://hooks.example/", None)] {
        let refused = post(url, roots).await.unwrap_err();
        assert!(matches!(refused, TransportError::Tls(_)), "{url}: {refused:?}");
    }
}
