//! TLS to receivers: the certificate must be valid for the host. Connections: which one a request goes over,
//! and when the request is completed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::connection::Connection;
use super::dialer::ReceiverStream;
use super::fuzz::{Fuzzer, cases};
use super::*;
use crate::domain::delivery::Phases;
use crate::domain::url_policy::Rule;

const AUTHORITY: &[u8] = include_bytes!("../../tests/fixtures/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../tests/fixtures/tls/receiver.pem");
const KEY: &[u8] = include_bytes!("../../tests/fixtures/tls/receiver.key");

/// Starts `hooks.example` on loopback, until the end of the test.
async fn receiver() -> Dialer {
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
    Dialer::new(lookup, move |_| TcpStream::connect(address))
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
    let transport = Transport::to_receivers(roots, receiver().await, policy()).unwrap();
    let request = Request::post(url).body(Bytes::from_static(b"{}")).unwrap();
    transport.send(request).await.map(|response| response.status())
}

#[tokio::test]
async fn only_a_receiver_with_a_good_certificate_gets_the_request() {
    assert_eq!(post("https://hooks.example/", Some(AUTHORITY)).await, Ok(StatusCode::OK));
    for (url, roots) in [("https://other.example/", Some(AUTHORITY)), ("https://hooks.example/", None)] {
        let refused = post(url, roots).await.unwrap_err();
        assert!(matches!(refused, TransportError::Tls(_)), "{url}: {refused:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_sends_nothing_but_interim_answers_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let flood = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = 0;
        while let Ok(written) = stream.write(&b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(1_000)).await
        {
            bytes += written;
        }
        bytes
    };
    let policy = UrlPolicy { require_https: false, disable_loopback: false, ..policy() };
    let transport = Transport::to_receivers(None, Dialer::of_system(), policy).unwrap();
    let request = Request::post(format!("http://{address}/")).body(Bytes::new()).unwrap();
    let post = async { transport.send(request).await.err() };
    let (bytes, error) =
        tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(flood, post) }).await.unwrap();
    let message = "more than 100 interim answers (1xx) and no final one".to_owned();
    assert_eq!(error, Some(TransportError::Broken(message)));
    assert!(bytes < 64 << 20, "{bytes} bytes were read");
}

/// A receiver that answers a limited number of requests on each connection, then closes it.
struct LimitedReceiver {
    connections: Arc<AtomicUsize>,
    /// How many of them the sender has closed.
    closed_by_sender: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    address: std::net::SocketAddr,
}

impl LimitedReceiver {
    async fn start(answers: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, closed_by_sender) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (opened, closed, seen) =
            (Arc::clone(&connections), Arc::clone(&closed_by_sender), Arc::clone(&requests));
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
        Self { connections, closed_by_sender, requests, address }
    }

    /// Returns a transport on which it has a public address.
    fn transport(&self) -> Transport {
        let address = self.address;
        let lookup = async |_| Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14))]);
        Transport::to_receivers(None, Dialer::new(lookup, move |_| TcpStream::connect(address)), policy())
            .unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Makes one exchange and returns its connection, and how often the request was signed for it.
async fn exchange(transport: &Transport) -> (Option<ConnectionInfo>, usize) {
    let request = Request::post("http://hooks.example:81/hook?a=b").body(Bytes::from_static(b"{}")).unwrap();
    let mut signed = 0;
    let mut sign = |request: &mut Request<Bytes>| {
        signed += 1;
        request.headers_mut().insert("x-signed", signed.into());
        Ok(())
    };
    let response = transport.send_signed(request, &mut sign).await.unwrap();
    let info = response.extensions().get::<ConnectionInfo>().cloned();
    assert_eq!(read_body(response.into_body(), 9, CONNECT_WAIT).await.unwrap(), "ok");
    (info, signed)
}

#[tokio::test]
async fn a_connection_is_used_again_for_a_while_but_not_under_another_policy() {
    let receiver = LimitedReceiver::start(9).await;
    let transport = receiver.transport();
    let opened = exchange(&transport).await.0.unwrap();
    assert!(opened.opening.lookup.is_some() && opened.opening.connect.is_some(), "{opened:?}");
    let again = exchange(&transport).await.0.unwrap();
    assert_eq!((again.address, again.opening), (opened.address, Phases::default()));
    assert_eq!(receiver.connections(), 1);
    let stricter = transport.clone().with_policy(UrlPolicy { disable_private_ips: false, ..policy() });
    exchange(&stricter).await;
    assert_eq!(receiver.connections(), 2);
    exchange(&transport).await;
    assert_eq!(receiver.connections(), 2);
    // Time is paused only here, because sockets need real time.
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
async fn a_connection_that_is_not_used_again_is_closed() {
    let receiver = LimitedReceiver::start(9).await;
    let transport = receiver.transport();
    exchange(&transport).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(9)).await;
    tokio::time::resume();
    while receiver.closed_by_sender.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // Later connections are closed as well, not only the first.
    exchange(&transport).await;
    drop(transport);
    while receiver.closed_by_sender.load(Ordering::SeqCst) == 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_request_that_meets_a_closed_connection_is_signed_again_for_a_new_one() {
    let receiver = LimitedReceiver::start(1).await;
    let transport = receiver.transport();
    for count in 1..=20 {
        exchange(&transport).await;
        assert_eq!((receiver.connections(), receiver.requests.lock().unwrap().len()), (count, count));
    }
}

/// Good and bad responses of receivers.
const ANSWERS: [&[u8]; 12] = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 503 \r\nretry-after: 120\r\nconnection: close\r\n\r\nno",
    b"HTTP/1.0 429 Slow\r\nRetry-After: Mon, 02 Mar 2026 09:01:30 GMT\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nok\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n??",
    b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/9.9 999 X\r\n\r\n",
    b"220 mail.example ESMTP\r\n",
    b"\x16\x03\x01\x02\x00\x01",
];

/// Each ends in a response or an error, never in a panic, an endless wait, or more bytes than we read.
#[tokio::test]
async fn no_response_does_harm() {
    let mut fuzzer = Fuzzer::from_seed(1);
    let (mut answered, mut refused) = (0, 0);
    for case in 0..cases(10_000) {
        let text = fuzzer.text(&ANSWERS);
        let (near, mut far) = tokio::io::duplex(4096);
        let address = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let info = ConnectionInfo { address, opening: Phases::default() };
        let exchanged = async {
            let stream = ReceiverStream { io: Box::new(near), info };
            let mut connection = Connection::handshake(stream).await.unwrap();
            let request = Request::post("/hook").header("host", "a").body(Bytes::from_static(b"{}")).unwrap();
            match connection.exchange(request).await {
                Err(_) => refused += 1,
                Ok(response) => {
                    answered += 1;
                    let body = receiver_client::body_over(response.into_body(), connection, |_| {});
                    let _ = read_body(body, 99, CONNECT_WAIT).await;
                }
            }
        };
        let received = async {
            let _ = far.read(&mut [0; 2048]).await;
            let _ = far.write_all(&text).await;
            drop(far);
        };
        let both = async { tokio::join!(exchanged, received) };
        let within = tokio::time::timeout(CONNECT_WAIT, both).await;
        assert!(within.is_ok(), "case {case}: {}", String::from_utf8_lossy(&text));
    }
    assert!(answered > 0 && refused > 0, "{answered} {refused}");
}

#[tokio::test]
async fn a_probe_shows_the_certificates_whether_they_are_trusted_or_not() {
    let url = Url::parse("https://hooks.example/").unwrap();
    for roots in [Some(AUTHORITY), None] {
        let report = Probe::new(roots, receiver().await, policy()).unwrap().inspect(&url).await;
        match &report.connection {
            Ok(info) => assert!(roots.is_some() && info.opening.tls.is_some(), "{report:?}"),
            Err(error) => assert!(roots.is_none() && matches!(error, TransportError::Tls(_)), "{report:?}"),
        }
        let [shown] = report.certificates.as_slice() else { panic!("{report:?}") };
        assert_eq!(
            (shown.subject.as_str(), shown.issuer.as_str()),
            ("CN=hooks.example", "CN=agentcron test authority")
        );
        assert_eq!(shown.not_after.to_string(), "2126-10-30T14:02:36Z");
        assert_eq!(shown.names, ["hooks.example"]);
    }
}

#[tokio::test]
async fn a_probe_does_not_connect_where_nothing_may_be_sent() {
    let lookup =
        async |_| Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14)), IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let dialer = Dialer::new(lookup, async |_| panic!("no connection is opened"));
    let dialer =
        dialer.with_names([("named.example".to_owned(), vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])].into());
    let probe = Probe::new(None, dialer, policy()).unwrap();
    let (allowed, refused) = (None, Some(Rule::DisableLoopback));
    for (url, rules) in
        [("https://mixed.example/", vec![allowed, refused]), ("https://named.example/", vec![refused])]
    {
        let report = probe.inspect(&Url::parse(url).unwrap()).await;
        let found = report.addresses.iter();
        let found: Vec<_> =
            found.map(|judged| judged.violation.as_ref().map(|violation| violation.rule)).collect();
        assert_eq!(found, rules, "{url}");
        assert!(matches!(report.connection, Err(TransportError::Denied(_))), "{report:?}");
    }
}

#[test]
fn any_bytes_parse_as_a_certificate_or_as_none() {
    let good = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    for cut in 0..good.len() {
        let mut changed = good.to_vec();
        changed[cut] ^= 0xff;
        Certificate::parse(&CertificateDer::from(changed));
        assert_eq!(Certificate::parse(&CertificateDer::from(&good[..cut])), None);
    }
}

#[tokio::test]
async fn a_guarded_body_is_kept_back_if_its_sender_may_not_act_when_it_is_written() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the receiver is another party")]
    let got = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 1_024];
            let length = stream.read(&mut bytes).await.unwrap_or(0);
            all.push(String::from_utf8_lossy(&bytes[..length]).to_lowercase());
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
        all
    });
    for may_act in [false, true] {
        let transport = Transport::network(None).unwrap().guarded(Guard::new(move || may_act));
        let request = Request::post(&url).body(Bytes::from_static(b"{\"input\":1}")).unwrap();
        let answer = transport.send(request).await.map(|response| response.status());
        match may_act {
            false => assert!(matches!(answer, Err(TransportError::NotSent(_))), "{answer:?}"),
            true => assert_eq!(answer.unwrap(), StatusCode::NO_CONTENT),
        }
    }
    let got = got.await.unwrap();
    assert!(!got[0].contains("input"), "{got:?}");
    assert!(got[1].contains("content-length: 11") && got[1].ends_with("{\"input\":1}"), "{got:?}");
}

#[tokio::test]
async fn a_body_is_whole_however_it_arrives_and_is_refused_if_it_is_too_long() {
    let whole: Vec<u8> =
        (0..200_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    for chunk_bytes in [7, 60_000, 70_000, 200_000] {
        let body = || {
            let chunks: Vec<_> =
                whole.chunks(chunk_bytes).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
            futures_util::stream::iter(chunks).boxed()
        };
        assert!(read_body(body(), whole.len(), CONNECT_WAIT).await.unwrap() == whole, "{chunk_bytes}");
        let too_long = read_body(body(), whole.len() - 1, CONNECT_WAIT).await;
        assert!(matches!(too_long, Err(TransportError::TooLarge(199_999))), "{chunk_bytes}");
    }
    let nothing = futures_util::stream::empty().boxed();
    assert_eq!(read_body(nothing, 0, CONNECT_WAIT).await.unwrap(), Bytes::new());
}
