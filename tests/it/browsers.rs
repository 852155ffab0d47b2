//! Web pages in a real browser: a chat with the agent server's own React hook works from an allowed origin, and hostile
//! pages read nothing and change nothing. `tests/system/browsers` installs Chromium and runs these tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::support::browser::Pages;
use super::support::client::Client;
use super::support::configuration::Configuration;
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::installed;
use super::support::loopback_server::LoopbackServer;
use super::support::real_server::RealServer;
use super::support::skipped::skipped;
use super::web_pages::{CLIENT, Gateway, KEYS};

/// Returns the path of the script of a page.
pub(super) fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browsers").join(name)
}

async fn threads(server: &RealServer) -> Value {
    Client::new(server.address()).post("/threads/count", &json!({})).await.json()
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn a_chat_works_from_an_allowed_origin_and_from_no_other() {
    let Some(script) = installed::web_page(&page("chat.jsx")) else {
        skipped("the chat, because this machine has no node with npm");
        return;
    };
    let (server, pages) = (RealServer::start(), Pages::start(&[("chat", script)]));
    let origin = pages.origin("app.example.test");
    for keys in [KEYS, ""] {
        let address = free_address();
        let http = format!("listen = \"{address}\"\nallow_origins = [\"{origin}\"]\n{keys}");
        let daemon = Daemon::start(&Configuration::new(&server.url()).http(&http));
        Client::new(address).ready().await;
        let parameters = match keys {
            "" => format!("api=http://{address}"),
            _ => format!("api=http://{address}&key={CLIENT}"),
        };
        let seen = pages.visit(&origin, "chat", &parameters).await;
        assert_eq!(seen["shown"]["text"], "hello | one two three", "{seen}");
        assert_eq!(seen["shown"]["wasStreamed"], true, "{seen}");
        assert_eq!(seen["shown"]["run"]["run_id"].as_str().map(str::len), Some(36), "{seen}");
        assert_eq!((&seen["status"], &seen["found"]), (&json!("success"), &json!(true)), "{seen}");
        assert_eq!(seen["saved"], json!(["hello", "one two three"]));
        let refused = seen["refused"].as_str().unwrap();
        assert!(refused.starts_with("HTTP 422: "), "the page reads why it was refused: {refused}");

        let before = threads(&server).await;
        for elsewhere in [pages.origin("evil.test"), pages.origin("localhost")] {
            let seen = pages.visit(&elsewhere, "chat", &parameters).await;
            assert!(seen["error"].as_str().is_some_and(|error| error.contains("Failed to fetch")), "{seen}");
        }
        assert_eq!(threads(&server).await, before, "a page of another origin started a run");
        assert_eq!(daemon.json(&["list"]), [] as [Value; 0]);
    }
}

/// What must not change: crons with their pauses, runs, and whether webhooks are held.
fn state(daemon: &Daemon) -> (Vec<Value>, usize, Value) {
    let mut held = daemon.json(&["status"])[0]["attention"].clone();
    held.as_array_mut().unwrap().retain(|one| one["what"] == "webhooks_held");
    (daemon.json(&["list"]), daemon.history().len(), held)
}

/// Forwards connections to the daemon, as a developer does to reach a socket; but what asks for a page gets one. So the page
/// has the forward's own origin, as after DNS rebinding.
fn forward(daemon: Target, pages: SocketAddr) -> LoopbackServer {
    LoopbackServer::start(0, async move |listener: TcpListener| {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let daemon = daemon.clone();
            connections.spawn(async move {
                let mut first = [0; 10];
                while stream.peek(&mut first).await.is_ok_and(|count| (1..10).contains(&count)) {}
                match (&first == b"GET /page/", daemon) {
                    (true, _) => {
                        let mut other = TcpStream::connect(pages).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut other).await;
                    }
                    (false, Target::Tcp(address)) => {
                        let mut other = TcpStream::connect(address).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut other).await;
                    }
                    (false, Target::Socket(path)) => {
                        let mut other = UnixStream::connect(path).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut other).await;
                    }
                }
            });
        }
    })
}

#[derive(Clone)]
enum Target {
    Tcp(SocketAddr),
    Socket(PathBuf),
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn a_hostile_page_reads_nothing_and_changes_nothing() {
    let script = std::fs::read_to_string(page("attack.js")).unwrap();
    let pages = Pages::start(&[("attack", script)]);
    let evil = pages.origin("evil.test");
    let list = format!("allow_origins = [\"{}\"]", pages.origin("app.example.test"));
    for http in [String::new(), list.clone(), format!("{list}\n{KEYS}"), KEYS.to_owned()] {
        let gateway = Gateway::start(&http).await;
        let socket = gateway.daemon.folder().join("agentcron.sock");
        let before = state(&gateway.daemon);
        let to_tcp = forward(Target::Tcp(gateway.address), pages.address());
        let to_socket = forward(Target::Socket(socket), pages.address());
        let (tcp, unix) = (to_tcp.address().port(), to_socket.address().port());
        let attacks = [
            (evil.clone(), format!("http://{}", gateway.address)),
            (evil.clone(), format!("http://localhost:{}", gateway.address.port())),
            (evil.clone(), format!("http://0.0.0.0:{}", gateway.address.port())),
            (evil.clone(), format!("http://127.0.0.1:{unix}")),
            (pages.origin("localhost"), format!("http://127.0.0.1:{unix}")),
            (pages.origin("localhost"), format!("http://localhost:{unix}")),
            (format!("http://evil.test:{tcp}"), format!("http://evil.test:{tcp}")),
            (format!("http://evil.test:{unix}"), format!("http://evil.test:{unix}")),
        ];
        for (origin, api) in attacks {
            let what = format!("a page on {origin} at {api} with {http:?}");
            let seen = pages.visit(&origin, "attack", &format!("api={api}")).await;
            assert!(seen["tried"].as_u64().is_some_and(|tried| tried > 100), "{what}: {seen}");
            let read = seen["read"].as_array().unwrap();
            // A page that comes from the name that it asks may read that it is refused, and where keys are set, and any
            // `Host` will do, that the daemon lives: a probe needs no key.
            // The entrance of the web page is for everybody who comes by its name.
            let is_harmless = |read: &&Value| {
                let has = |text: &str| read.as_str().unwrap().contains(text);
                let is_probe = http.contains(KEYS) && has("/healthz") && has("{\"status\":\"ok\"}");
                let is_login = http.contains(KEYS) && (has(" /agentcron/logout") || has("<title>Log in"));
                let is_refused = has("the Host of this request is not") || has("the API key is missing");
                origin == api && (is_refused || is_probe || is_login)
            };
            let more: Vec<_> = read.iter().filter(|read| !is_harmless(read)).collect();
            assert!(more.is_empty(), "{what}: {more:#?}");
            let acted = gateway.backend.received().into_iter().filter(|one| one.method != "GET");
            let acted: Vec<_> =
                acted.map(|one| format!("{} {} {:?}", one.method, one.path, one.headers)).collect();
            assert!(acted.is_empty(), "{what}: {acted:#?}");
            assert_eq!(state(&gateway.daemon), before, "{what}");
        }
    }
}

/// Pages on this machine may use the agent server's API where neither keys nor origins are set. They read what they may,
/// which shows that the hostile page can read at all.
#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn a_page_on_this_machine_reads_and_does_not_act_on_what_is_ours() {
    let script = std::fs::read_to_string(page("attack.js")).unwrap();
    let pages = Pages::start(&[("attack", script)]);
    let gateway = Gateway::start("").await;
    let before = state(&gateway.daemon);
    for host in ["127.0.0.1", "localhost"] {
        let api = format!("http://{host}:{}", gateway.address.port());
        let seen = pages.visit(&pages.origin("localhost"), "attack", &format!("api={api}")).await;
        let reads = |what: &str| {
            seen["read"].as_array().unwrap().iter().any(|read| read.as_str().unwrap().starts_with(what))
        };
        assert!(reads("GET /info: 200") && reads("POST /threads as JSON: 200"), "{seen}");
        assert!(reads("POST /v1/crons/steady/pause as JSON: 403"), "{seen}");
        assert_eq!(state(&gateway.daemon), before, "{api}");
    }
    assert!(gateway.backend.received().iter().any(|one| one.method == "POST"));
}
