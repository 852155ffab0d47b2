//! What the daemon forwards to the agent server: headers, streamed bodies and keys; and what happens without an agent server
//! and with clients that misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::support::client::Client;
use super::support::configuration::Configuration;
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::growing_list::{GrowingList, PATIENCE};
use super::support::loopback_server::{LoopbackServer, serve_router};
use super::support::soak;

const KEY: &str = "0123456789abcdef";

/// A backend that records its requests, and whose streams continue when the test says so.
struct Backend {
    serving: LoopbackServer,
    requests: Arc<GrowingList<(String, HeaderMap, String)>>,
    proceed: Arc<Notify>,
}

impl Backend {
    fn start() -> Self {
        let requests = Arc::new(GrowingList::new());
        let proceed = Arc::new(Notify::new());
        let (record, wait) = (Arc::clone(&requests), Arc::clone(&proceed));
        let router =
            Router::new().fallback(async move |request: Request| respond(request, record, wait).await);
        let serving = LoopbackServer::start(0, |listener| serve_router(listener, router));
        Self { serving, requests, proceed }
    }

    fn url(&self) -> String {
        format!("http://{}", self.serving.address())
    }

    async fn last(&self, count: usize) -> (String, HeaderMap, String) {
        self.requests.wait_for(count, "requests at the backend").await[count - 1].clone()
    }
}

async fn respond(
    request: Request,
    record: Arc<GrowingList<(String, HeaderMap, String)>>,
    proceed: Arc<Notify>,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.to_string();
    if path == "/streams" {
        let later = futures_util::stream::once(async move {
            proceed.notified().await;
            Ok::<_, std::io::Error>("second")
        });
        let first = futures_util::stream::iter([Ok("first ")]);
        return Body::from_stream(first.chain(later)).into_response();
    }
    if path == "/reads" {
        let mut pieces = body.into_data_stream();
        let first = pieces.next().await.unwrap().unwrap();
        record.push((path, parts.headers, String::from_utf8_lossy(&first).into_owned()));
        while pieces.next().await.is_some() {}
        return "done".into_response();
    }
    if path == "/moves" {
        let to = format!("http://{}/moved?x=1", parts.headers["host"].to_str().unwrap());
        return (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    record.push((path, parts.headers, String::from_utf8_lossy(&body).into_owned()));
    let headers = [("x-own", "kept"), ("connection", "x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=9")];
    (StatusCode::IM_A_TEAPOT, headers, "as it is").into_response()
}

async fn gateway(backend: &Backend, http: &str, with_backend: &str) -> (Daemon, SocketAddr) {
    let address = free_address();
    let configuration =
        Configuration::new(&backend.url()).http(&format!("listen = \"{address}\"")).http(http);
    let daemon = Daemon::start(&configuration.backend(with_backend));
    Client::new(address).ready().await;
    (daemon, address)
}

#[tokio::test]
async fn a_request_is_forwarded_according_to_the_rfcs() {
    let backend = Backend::start();
    let (_daemon, address) = gateway(&backend, "", "").await;
    let client = Client::new(address)
        .with("connection", "x-private")
        .with("x-private", "1")
        .with("te", "trailers")
        .with("authorization", "Bearer of-the-client")
        .with("x-forwarded-for", "192.0.2.1");
    let response = client.send("PUT", "/store/items?a=%2F&b", "{\"odd\" : 1}").await;
    assert_eq!((response.status, response.text().as_str()), (418, "as it is"));
    assert_eq!(response.headers["x-own"], "kept");
    assert!(!response.headers.contains_key("x-hop") && !response.headers.contains_key("keep-alive"));

    let moved = client.get("/moves").await;
    assert_eq!((moved.status, &moved.headers["location"]), (307, &HeaderValue::from_static("/moved?x=1")));

    let (path, headers, body) = backend.last(1).await;
    assert_eq!((path.as_str(), body.as_str()), ("/store/items?a=%2F&b", "{\"odd\" : 1}"));
    assert_eq!(headers["host"], backend.serving.address().to_string());
    assert_eq!(headers["authorization"], "Bearer of-the-client");
    assert_eq!(headers["via"], "1.1 agentcron");
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], address.to_string());
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert!(["x-private", "te", "connection"].iter().all(|name| !headers.contains_key(*name)), "{headers:?}");

    client.get("/thread/a/state").await;
    assert_eq!(backend.last(2).await.0, "/threads/a/state");
    let crons = Client::new(address).send("POST", "/runs%2Fcrons/search", "{}").await;
    assert_eq!((crons.status, crons.text().as_str()), (200, "[]"), "the path is ours in every spelling");
    let looped = Client::new(address).with("via", "1.0 other, 1.1 agentcron").get("/info").await;
    assert_eq!((looped.status, looped.detail().as_str()), (502, "backend.url leads back to agentcron"));
    let websocket = Client::new(address).with("connection", "upgrade").with("upgrade", "websocket");
    assert_eq!(websocket.get("/info").await.status, 501);
    let page = Client::new(address).with("origin", "https://evil.example");
    assert_eq!(page.send("POST", "/v1/crons/a/trigger", "").await.status, 403);
    // Before crons are shown, the agent server is asked whether it knows users.
    let nobody = format!("/threads/{}", uuid::Uuid::nil());
    assert_eq!(backend.last(3).await.0, nobody);
    assert_eq!(backend.requests.entries().len(), 3);
}

#[tokio::test]
async fn bodies_are_streamed_in_both_directions() {
    let backend = Backend::start();
    let (_daemon, address) = gateway(&backend, "", "").await;
    let (_, mut pieces) = Client::new(address).open("GET", "/streams", "").await.into_parts();
    // At this moment the backend has not sent the rest, and it waits for the test to let it.
    assert_eq!(pieces.next().await.unwrap().unwrap(), "first ");
    backend.proceed.notify_one();
    assert_eq!(timeout(PATIENCE, pieces.next()).await.unwrap().unwrap().unwrap(), "second");

    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        "POST /reads HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{head}5\r\nearly\r\n").as_bytes()).await.unwrap();
    assert_eq!(backend.last(1).await.2, "early");
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut response = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("done"), "{response}");
}

#[tokio::test]
async fn our_key_is_required_and_not_forwarded_and_the_backends_key_is_added_for_authenticated_callers() {
    let backend = Backend::start();
    let keys = format!("api_keys = [\"{KEY}\"]");
    let (daemon, address) = gateway(&backend, &keys, "api_key = \"of-the-backend\"").await;
    for path in ["/info", "/v1/status", "/runs"] {
        let refused = Client::new(address).with("x-api-key", "0123456789abcdeF").get(path).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(backend.requests.entries().len(), 0);
    Client::new(address).with("x-api-key", KEY).get("/info").await;
    assert_eq!(backend.last(1).await.1["x-api-key"], "of-the-backend");
    let both = Client::new(address).with("x-api-key", KEY).with("authorization", "Bearer of-the-client");
    both.get("/info").await;
    let headers = backend.last(2).await.1;
    assert!(!headers.contains_key("x-api-key"), "{headers:?}");
    assert_eq!(headers["authorization"], "Bearer of-the-client");
    assert!(!daemon.stderr().contains(KEY));

    // Without keys of our own no caller is authenticated, so the backend's key is not added.
    let (_daemon, address) = gateway(&backend, "", "api_key = \"of-the-backend\"").await;
    Client::new(address).get("/info").await;
    assert_eq!(backend.last(3).await.1.get("x-api-key"), None);
}

#[tokio::test]
async fn the_headers_for_the_backend_are_added_only_to_requests_without_credentials_of_their_own() {
    let backend = Backend::start();
    let keys = format!("api_keys = [\"{KEY}\"]");
    let ours =
        "api_key = \"our-key\"\nheaders = { authorization = \"Bearer ours\", x-session = \"our-session\" }";
    let (_daemon, address) = gateway(&backend, &keys, ours).await;
    let names = ["authorization", "x-api-key", "x-session"];
    // What the client sends besides our key, and what the backend gets under these names.
    type Sent<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Sent, [&str; 3]); 6] = [
        (&[], ["Bearer ours", "our-key", "our-session"]),
        (&[("x-other", "1")], ["Bearer ours", "our-key", "our-session"]),
        (&[("authorization", "Bearer theirs")], ["Bearer theirs", "", ""]),
        (&[("x-api-key", "their-key")], ["", "their-key", ""]),
        (&[("X-Session", "theirs")], ["", "", "theirs"]),
        // A header that belongs to the connection is not forwarded, and is not replaced either.
        (&[("x-session", "theirs"), ("connection", "x-session")], ["", "", ""]),
    ];
    for (index, (sent, expected)) in cases.into_iter().enumerate() {
        let as_bearer = !sent.iter().any(|(name, _)| *name == "authorization");
        let client = match as_bearer {
            true => Client::new(address).with("authorization", &format!("Bearer {KEY}")),
            false => Client::new(address).with("x-api-key", KEY),
        };
        let client = sent.iter().fold(client, |client, (name, value)| client.with(name, value));
        client.get("/info").await;
        let headers = backend.last(index + 1).await.1;
        let got = names.map(|name| headers.get(name).map_or("", |value| value.to_str().unwrap()));
        assert_eq!(got, expected, "{sent:?}");
    }

    // Without keys of our own no caller is authenticated, so nothing is added.
    let (_daemon, address) = gateway(&backend, "", ours).await;
    Client::new(address).get("/info").await;
    let headers = backend.last(7).await.1;
    assert!(names.iter().all(|name| !headers.contains_key(*name)), "{headers:?}");
}

#[tokio::test]
async fn without_an_agent_server_forwarded_requests_fail_and_our_own_api_works() {
    let mut backend = Backend::start();
    let (daemon, address) = gateway(&backend, "", "").await;
    backend.serving.stop();
    let client = Client::new(address);
    let response = client.get("/assistants/a").await;
    assert_eq!(response.status, 502);
    let message = format!("the agent server at {} cannot be reached: ", backend.serving.address());
    assert!(response.detail().starts_with(&message), "{}", response.detail());
    let run = json!({ "assistant_id": "agent", "webhook": "http://127.0.0.1:8080/hook" });
    assert_eq!(client.post("/runs/wait", &run).await.status, 502);
    assert_eq!(client.get("/v1/status").await.status, 200);
    let runs = daemon.wait_until_finished(1).await;
    assert!(
        runs[0].status == "error"
            && runs[0].reason_code == "rejected"
            && runs[0].reason.starts_with("the agent server"),
        "{runs:#?}"
    );
    assert_eq!(runs[0].webhook, None);
}

#[tokio::test]
async fn a_port_that_is_taken_does_not_stop_the_scheduler() {
    let backend = Backend::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"", taken.local_addr().unwrap());
    let daemon = Daemon::start(&Configuration::new(&backend.url()).http(&listen));
    daemon.wait_for_stderr("port not bound; clients cannot reach the daemon").await;
    let status = daemon.run_command(&["status"]);
    assert_eq!(status.status.code(), Some(5), "{status:?}");
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        shown.contains("not listening") && shown.contains("clients cannot reach the daemon at"),
        "{shown}"
    );
}

/// Clients that leave, that are slow, that send too much or nonsense: each gets its response, and nothing of them remains.
#[tokio::test]
async fn bad_clients_leave_no_connections_and_no_memory_behind() {
    let backend = Backend::start();
    let (mut daemon, address) = gateway(&backend, "", "").await;
    let client = Client::new(address);
    let process_id = daemon.process_id().unwrap();
    let rounds = soak::times(6);
    let mut used = Vec::new();
    for round in 0..rounds {
        let cut = (0..250).map(|index| cut_connection(address, index));
        futures_util::future::join_all(cut).await;
        for (path, body, expected) in [
            ("/runs", "{\"webhook\": nonsense".to_owned(), 422),
            ("/runs", "{\"assistant_id\": nonsense".to_owned(), 418),
            ("/threads/x/runs/wait", "[".repeat(100_000), 418),
            ("/store/items", "x".repeat((16 << 20) + 1), 413),
            ("/runs", "y".repeat((16 << 20) + 1), 413),
        ] {
            assert_eq!(client.send("POST", path, body).await.status, expected, "{path}");
        }
        assert_eq!(client.get("/v1/status").await.status, 200);
        // The first rounds fill the caches that every process keeps.
        if round > 1 {
            used.push((descriptors(process_id), resident_kib(process_id)));
        }
    }
    daemon.assert_alive();
    let (first, last) = (used[0], used[used.len() - 1]);
    assert!(last.0 <= first.0 + 64, "descriptors: {used:?}");
    assert!(last.1 <= first.1 + (32 << 10), "KiB of memory: {used:?}");
    assert_eq!(daemon.history().len(), 0);
}

/// Misbehaves in one of several ways.
async fn cut_connection(address: SocketAddr, index: usize) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let whole = "GET /streams HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let sent: &str = match index % 5 {
        0 => "",
        1 => "GET /info HT",
        2 => "POST /runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{\"webhook\"",
        3 => "POST /store HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        _ => whole,
    };
    let _ = stream.write_all(sent.as_bytes()).await;
    if sent == whole {
        let _ = timeout(Duration::from_secs(1), stream.read(&mut [0; 256])).await;
    }
}

fn descriptors(process_id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process_id}/fd")).unwrap().count()
}

fn resident_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_refused_before_it_is_forwarded_is_refused_with_a_reason() {
    let backend = Backend::start();
    let (_daemon, address) = gateway(&backend, "", "").await;
    let refused = async |request: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let detail: Value = serde_json::from_str(body).unwrap_or_default();
        (head.split(' ').nth(1).unwrap().to_owned(), detail["detail"].as_str().unwrap_or_default().to_owned())
    };
    let end = "Connection: close\r\n\r\n";
    let (code, detail) = refused(&format!("GET /info HTTP/1.1\r\nHost: evil.example\r\n{end}")).await;
    assert_eq!(code, "403");
    assert!(detail.contains("http.api_keys"), "{detail}");
    let (code, detail) = refused(&format!("TRACE /info HTTP/1.1\r\nHost: localhost\r\n{end}")).await;
    assert_eq!((code.as_str(), detail.as_str()), ("501", "TRACE is not forwarded"));
    let (code, _) =
        refused(&format!("OPTIONS /info HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\n{end}")).await;
    assert_eq!(code, "204");
    let (code, detail) =
        refused(&format!("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n{end}")).await;
    assert_eq!((code.as_str(), detail.as_str()), ("413", "the body is longer than 16777216 bytes"));
    assert_eq!(backend.requests.entries().len(), 0);
}
