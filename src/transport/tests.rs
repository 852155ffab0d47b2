//! TLS to receivers: a certificate is asked for by name, and must be good. And which connection a request goes over,
//! and when it is completed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::StatusCode;
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

fn policy() -> UrlPolicy {
    UrlPolicy {
        require_https: true,
        allowed_domains: None,
        allowed_ports: None,
        max_url_length: 4096,
        disable_loopback: true,
        disable_private_ips: true,
    }
}

async fn post(url: &str, roots: Option<&[u8]>) -> Result<StatusCode, TransportError> {
    let transport = Transport::judged(roots, receiver().await, policy()).unwrap();
    let request = Request::post(url).body(Bytes::from_static(b"{}")).unwrap();
    transport.send(request).await.map(|response| response.status())
}

#[tokio::test]
async fn a_receiver_with_a_good_certificate_is_told_and_no_other() {
    assert_eq!(post("https://hooks.example/", Some(AUTHORITY)).await, Ok(StatusCode::OK));
    for (url, roots) in [("https://other.example/", Some(AUTHORITY)), ("https://hooks.example/", None)] {
        let refused = post(url, roots).await.unwrap_err();
        assert!(matches!(refused, TransportError::Tls(_)), "{url}: {refused:?}");
    }
}

/// A receiver that answers so many requests on each connection, then closes it without a word.
struct Frugal {
    connections: Arc<AtomicUsize>,
    /// Of these, the sender has closed so many.
    left: Arc<AtomicUsize>,
    /// Each request as it was written.
    requests: Arc<Mutex<Vec<String>>>,
    address: std::net::SocketAddr,
}

impl Frugal {
    async fn start(answers: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, left) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (opened, closed, seen) = (Arc::clone(&connections), Arc::clone(&left), Arc::clone(&requests));
        #[expect(clippy::disallowed_methods, reason = "the receiver is another party")]
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                opened.fetch_add(1, Ordering::SeqCst);
                let (closed, seen) = (Arc::clone(&closed), Arc::clone(&seen));
                #[expect(clippy::disallowed_methods, reason = "the receiver is another party")]
                tokio::spawn(async move {
                    for _ in 0..answers {
                        let mut request = [0; 2048];
                        let length = stream.read(&mut request).await.unwrap();
                        if length == 0 {
                            closed.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                        seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                });
            }
        });
        Self { connections, left, requests, address }
    }

    /// The way to it, behind a public address.
    fn transport(&self) -> Transport {
        let address = self.address;
        let lookup = async |_| Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14))]);
        Transport::judged(None, Wire::new(lookup, move |_| TcpStream::connect(address)), policy()).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// One exchange, the body read to its end, and how often the request was completed for it.
async fn exchange(transport: &Transport) -> (Option<FarEnd>, usize) {
    let request = Request::post("http://hooks.example:81/hook?a=b").body(Bytes::from_static(b"{}")).unwrap();
    let mut sealed = 0;
    let mut seal = |request: &mut Request<Bytes>| {
        sealed += 1;
        request.headers_mut().insert("x-sealed", sealed.into());
        Ok(())
    };
    let response = transport.send_sealed(request, &mut seal).await.unwrap();
    let far_end = response.extensions().get::<FarEnd>().cloned();
    assert_eq!(read_body(response.into_body(), 9, CONNECT_WAIT).await.unwrap(), "ok");
    (far_end, sealed)
}

#[tokio::test]
async fn a_connection_is_used_again_for_a_while_but_not_under_another_policy() {
    let receiver = Frugal::start(9).await;
    let transport = receiver.transport();
    let opened = exchange(&transport).await.0.unwrap();
    assert!(opened.opening.lookup.is_some() && opened.opening.connect.is_some(), "{opened:?}");
    let again = exchange(&transport).await.0.unwrap();
    assert_eq!((again.address, again.opening), (opened.address, crate::domain::delivery::Phases::default()));
    assert_eq!(receiver.connections(), 1);
    let stricter = transport.clone().judging(UrlPolicy { disable_private_ips: false, ..policy() });
    exchange(&stricter).await;
    assert_eq!(receiver.connections(), 2);
    exchange(&transport).await;
    assert_eq!(receiver.connections(), 2);
    // Time passes only here: sockets know nothing of a time that stands still.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(4)).await;
    tokio::time::resume();
    exchange(&transport).await;
    assert_eq!(receiver.connections(), 3);
    let requests = receiver.requests.lock().unwrap();
    assert!(requests[0].starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains("\r\nhost: hooks.example:81\r\n"), "{requests:?}");
}

#[tokio::test]
async fn a_connection_that_nobody_uses_again_is_closed() {
    let receiver = Frugal::start(9).await;
    let transport = receiver.transport();
    exchange(&transport).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(9)).await;
    tokio::time::resume();
    while receiver.left.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // And it is not only the first that is.
    exchange(&transport).await;
    drop(transport);
    while receiver.left.load(Ordering::SeqCst) == 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_takes_nothing_and_the_next_is_sealed_anew() {
    let receiver = Frugal::start(1).await;
    let transport = receiver.transport();
    for count in 1..=20 {
        exchange(&transport).await;
        assert_eq!((receiver.connections(), receiver.requests.lock().unwrap().len()), (count, count));
    }
}
