//! Receivers that misbehave, in simulated time where no socket is needed and on loopback where one is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::domain::cron::Template;
use crate::domain::signing::SigningKey;
use crate::domain::url_policy::UrlPolicy;
use crate::transport::Dialer;

fn sender(transport: Transport) -> Sender {
    let url = UrlPolicy {
        require_https: false,
        allowed_domains: None,
        allowed_ports: None,
        max_url_length: 4096,
        disable_loopback: true,
        disable_private_ips: false,
    };
    let webhooks = WebhooksConfig {
        signing_secrets: Vec::new(),
        url,
        headers: BTreeMap::from([("x-key".to_owned(), Template("k ${{ env.LG_WEBHOOK_KEY }}".to_owned()))]),
        env_prefix: "LG_WEBHOOK_".to_owned(),
        allowed_fields: None,
        body_bytes_max: 1 << 20,
        ca_file: None,
    };
    let environment = Environment::of_map([("env.LG_WEBHOOK_KEY", "s3cr3t"), ("env.TOKEN", "t0k/n")]);
    Sender::new(transport, environment, Clock::system(), webhooks)
}

/// Makes one attempt over connections that `dialer` opens.
async fn send_over(dialer: Dialer) -> AttemptReport {
    sender(Transport::to_receivers(None, dialer, UrlPolicy::nothing()).unwrap()).send(webhook()).await
}

fn webhook() -> OutboundWebhook {
    let url = "http://hooks.example/hook?token=${{ env.TOKEN }}".to_owned();
    OutboundWebhook { webhook_id: "msg_1".to_owned(), url, body: b"{}".to_vec(), trace: None }
}

fn answering(answer: impl Fn(Request<Bytes>) -> Response<BodyStream> + Send + Sync + 'static) -> Transport {
    Transport::function(move |request| {
        let response = answer(request);
        Box::pin(async move { Ok(response) })
    })
}

fn answer_of(
    code: u16,
    body: impl futures_util::Stream<Item = Bytes> + Send + 'static,
) -> Response<BodyStream> {
    Response::builder().status(code).body(Box::pin(body.map(Ok)) as BodyStream).unwrap()
}

/// Starts a receiver on loopback that serves one connection with `serve`, and returns a dialer on which it
/// has a public address.
async fn loopback<S>(serve: impl FnOnce(TcpStream) -> S + Send + 'static) -> Dialer
where
    S: Future<Output = ()> + Send + 'static,
{
    let address = start_receiver(serve).await;
    Dialer::new(public, move |_| TcpStream::connect(address))
}

async fn start_receiver<S>(serve: impl FnOnce(TcpStream) -> S + Send + 'static) -> SocketAddr
where
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the receiver is another party")]
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0).await });
    address
}

async fn public(_: String) -> std::io::Result<Vec<IpAddr>> {
    Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 215, 14))])
}

fn detail(report: &AttemptReport) -> &str {
    report.result.detail().unwrap()
}

async fn never<T>() -> T {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn every_wait_has_a_bound() {
    let start = Instant::now();
    let report = send_over(Dialer::new(|_| never(), |_| never())).await;
    assert_eq!(detail(&report), "cannot connect: the name does not resolve: no answer within 5s");
    assert_eq!(start.elapsed().as_secs(), 5);

    let start = Instant::now();
    let two =
        async |_| Ok(vec![IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))]);
    let report = send_over(Dialer::new(two, |_| never())).await;
    assert!(detail(&report).starts_with("cannot connect: "), "{report:?}");
    assert_eq!(start.elapsed().as_secs(), 5);

    let start = Instant::now();
    let report = sender(Transport::function(|_| Box::pin(never()))).send(webhook()).await;
    assert_eq!(detail(&report), "no answer within 20s");
    assert_eq!(start.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_signed_when_it_is_written_not_when_its_connection_was_asked_for() {
    let (received, request) = tokio::sync::oneshot::channel();
    let address = start_receiver(async move |mut stream| {
        let mut request = [0; 2048];
        let length = stream.read(&mut request).await.unwrap();
        received.send(String::from_utf8_lossy(&request[..length]).into_owned()).unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    })
    .await;
    let slow_lookup = async |name| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        // The rest goes over a socket, which needs real time.
        tokio::time::resume();
        public(name).await
    };
    let dialer = Dialer::new(slow_lookup, move |_| TcpStream::connect(address));
    let mut sender = sender(Transport::to_receivers(None, dialer, UrlPolicy::nothing()).unwrap());
    let mut webhooks = WebhooksConfig::clone(&sender.settings);
    let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    webhooks.signing_secrets = vec![key.clone()];
    sender.settings = Arc::new(webhooks);
    let start: jiff::Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    sender.clock = Clock::simulated(start);
    let report = sender.send(webhook()).await;
    assert_eq!(report.result, AttemptResult::Accepted { code: 204 });
    let request = request.await.unwrap();
    let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let at: i64 = header("webhook-timestamp:").parse().unwrap();
    // Beyond the lookup it takes hardly any time, except on a busy machine.
    let waited = at - start.as_second();
    assert!((3..3 + ATTEMPT_WAIT.as_secs().cast_signed()).contains(&waited), "{waited}");
    let at = jiff::Timestamp::from_second(at).unwrap();
    let signed = crate::domain::signing::signatures(&[key], header("webhook-id:"), at, b"{}");
    assert_eq!(header("webhook-signature:"), signed);
}

#[tokio::test(start_paused = true)]
async fn a_dead_first_address_does_not_use_up_the_time_of_the_second() {
    let two =
        async |_| Ok(vec![IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))]);
    let dial = async |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) if ip.octets()[2] == 8 => never().await,
        _ => Err(std::io::Error::other("the second was dialled")),
    };
    let report = send_over(Dialer::new(two, dial)).await;
    assert_eq!(detail(&report), "cannot connect: 8.8.4.4: the second was dialled");
}

#[tokio::test(start_paused = true)]
async fn the_head_decides_even_if_the_body_never_ends() {
    let start = Instant::now();
    let drips = |code| {
        answering(move |_| {
            let drip = futures_util::stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(700)).await;
                Some((Bytes::from_static(b"."), ()))
            });
            answer_of(code, drip)
        })
    };
    let report = sender(drips(200)).send(webhook()).await;
    assert_eq!((report.result, report.answer), (AttemptResult::Accepted { code: 200 }, None));
    assert_eq!(start.elapsed().as_secs(), 20);
    let report = sender(drips(503)).send(webhook()).await;
    assert_eq!(report.answer.unwrap().len(), 28);
}

#[tokio::test]
async fn a_flood_is_cut_off_and_only_its_beginning_recorded() {
    let pieces = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&pieces);
    let flood = answering(move |_| {
        let counted = std::sync::Arc::clone(&counted);
        answer_of(
            500,
            futures_util::stream::repeat_with(move || {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Bytes::from(vec![b'x'; 8 << 10])
            }),
        )
    });
    let report = sender(flood).send(webhook()).await;
    assert_eq!(report.answer.unwrap().len(), 4 << 10);
    assert_eq!(pieces.load(std::sync::atomic::Ordering::SeqCst), 8);
}

#[tokio::test]
async fn an_endless_answer_over_a_socket_is_cut_off() {
    let dialer = loopback(async |mut stream| {
        let mut request = [0; 2048];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 500 Oh\r\ncontent-encoding: gzip\r\n\r\n").await.unwrap();
        // The sender ends this loop by closing the connection.
        while stream.write_all(&[0x1f; 16 << 10]).await.is_ok() {}
    })
    .await;
    let report = send_over(dialer).await;
    assert_eq!(report.result.code(), Some(500));
    assert_eq!(report.address.unwrap(), "93.184.215.14:80");
}

#[tokio::test]
async fn a_broken_connection_and_nonsense_are_no_answers() {
    let dialer = loopback(async |stream| drop(stream)).await;
    assert!(detail(&send_over(dialer).await).starts_with("no answer: "));
    let dialer = loopback(async |mut stream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        let _ = stream.read(&mut [0; 2048]).await;
    })
    .await;
    assert!(detail(&send_over(dialer).await).starts_with("no answer: "));
    let huge = loopback(async |mut stream| {
        let _ = stream.read(&mut [0; 2048]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-flood: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n").await.is_ok() {}
    })
    .await;
    assert!(detail(&send_over(huge).await).starts_with("no answer: "));
}

#[tokio::test]
async fn an_echo_is_recorded_without_secrets() {
    let echo = answering(|request| {
        let (uri, key) = (request.uri().to_string(), request.headers()["x-key"].to_str().unwrap().to_owned());
        let text = format!("got {uri} with {key}, that is s3cr3t and t0k/n");
        answer_of(400, futures_util::stream::iter([Bytes::from(text)]))
    });
    let report = sender(echo).send(webhook()).await;
    assert_eq!(report.answer.unwrap(), "got http://hooks.example/hook?*** with ***, that is *** and ***");
}

#[tokio::test]
async fn a_missing_variable_is_reported_by_name() {
    let unused = Transport::function(|_| panic!("nothing is sent"));
    let mut sender = sender(unused);
    sender.environment = Environment::of_map([("env.TOKEN", "t0k/n")]);
    assert_eq!(detail(&sender.send(webhook()).await), "header x-key: env.LG_WEBHOOK_KEY is not set");
    let url = "http://user@hooks.example/".to_owned();
    let report = sender.send(OutboundWebhook { url, ..webhook() }).await;
    assert!(matches!(report.result, AttemptResult::Final { ending: Ending::Blocked, .. }), "{report:?}");
}

#[tokio::test]
async fn a_webhook_cancelled_while_its_connection_opens_is_not_written() {
    let cancel = CancellationToken::new();
    let address = start_receiver(|mut stream| async move {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), "", "something was written");
    })
    .await;
    let cancel_while_dialling = cancel.clone();
    let dialer = Dialer::new(public, move |_| {
        cancel_while_dialling.cancel();
        TcpStream::connect(address)
    });
    let sender = sender(Transport::to_receivers(None, dialer, UrlPolicy::nothing()).unwrap());
    assert_eq!(sender.send_unless_cancelled(webhook(), &cancel).await.result, AttemptResult::Withdrawn);
}
