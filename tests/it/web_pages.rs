//! Requests of web pages, as the daemon gets them: what a browser is told with every response, LangGraph Studio's
//! preflights, and hosts and origins that are not well-formed. The backend allows every page, as the agent server does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use http::HeaderMap;

use super::support::client::{Client, ClientResponse};
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::receiver::{Receiver, Reply};

const ACT: &str = "act-key-of-16-characters";
pub(super) const CLIENT: &str = "client-key-of-16-characters";
const PAGE: &str = "https://app.example.com";
const STUDIO: &str = "https://smith.langchain.com";

const LIST: &str = "allow_origins = [\"https://app.example.com\", \"https://smith.langchain.com\"]";
pub(super) const KEYS: &str = "[http.keys.ops]\nkey = \"act-key-of-16-characters\"\naccess = \"act\"\n\
                    [http.keys.ui]\nkey = \"client-key-of-16-characters\"\naccess = \"client\"";

/// A daemon in front of a backend that lets every page read everything.
pub(super) struct Gateway {
    pub(super) daemon: Daemon,
    pub(super) backend: Receiver,
    client: Client,
    pub(super) address: SocketAddr,
}

impl Gateway {
    pub(super) async fn start(http: &str) -> Self {
        let backend = Receiver::start();
        let reply = Reply::status(200)
            .header("access-control-allow-origin", "*")
            .header("access-control-allow-credentials", "true")
            .header("access-control-expose-headers", "x-their-own")
            .header("content-location", "/threads/a/runs/b");
        backend.reply_always(reply);
        let address = free_address();
        let steady = Cron::bare("steady").with("schedule = \"0 9 29 2 *\"");
        let configuration =
            Configuration::new(&backend.url("")).http(&format!("listen = \"{address}\"")).http(http);
        let daemon = Daemon::start(&configuration.cron(steady));
        let client = Client::new(address).ready().await;
        Self { daemon, backend, client, address }
    }

    async fn send(
        &self,
        request: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> ClientResponse {
        let (method, path) = request.split_once(' ').unwrap();
        let client =
            headers.iter().fold(self.client.clone(), |client, (name, value)| client.with(name, value));
        client.send(method, path, body).await
    }

    fn on_tcp(&self, head: &str) -> String {
        exchange(TcpStream::connect(self.address).unwrap(), head)
    }

    fn on_socket(&self, head: &str) -> String {
        exchange(UnixStream::connect(self.daemon.folder().join("agentcron.sock")).unwrap(), head)
    }
}

/// Sends a head as it is written and returns the response.
fn exchange(mut stream: impl Read + Write, head: &str) -> String {
    stream.write_all(head.as_bytes()).unwrap();
    let mut response = Vec::new();
    // The daemon may close the connection before it has read everything.
    let _ = stream.read_to_end(&mut response);
    String::from_utf8_lossy(&response).into_owned()
}

/// Returns every header that says which page may do what.
fn cors(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let is_cors = |name: &str| name.starts_with("access-control-");
    let all = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    all.filter(|(name, _)| is_cors(name)).collect()
}

fn varies(headers: &HeaderMap) -> usize {
    let names = headers.get_all("vary").iter().flat_map(|names| names.to_str().unwrap().split(','));
    names.filter(|name| name.trim() == "origin").count()
}

/// What is asked, with which further headers and body, and the statuses: with a key that may act, with a client's key,
/// without the key that is needed, and where no key is needed.
type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str, [u16; 4]);

const RUN: &str = "{\"assistant_id\": \"agent\"}";
const UNKNOWN: &str = "GET /runs/crons/00000000-0000-4000-8000-000000000000";
const TABLE: [Row; 24] = [
    ("GET /info", &[], "", [200, 200, 401, 200]),
    ("POST /threads/search", &[], "{}", [200, 200, 401, 200]),
    ("POST /threads/a/runs/stream", &[], RUN, [200, 200, 401, 200]),
    ("DELETE /threads/a", &[], "", [200, 200, 401, 200]),
    ("GET /agent-server/metrics", &[], "", [200, 200, 401, 200]),
    ("OPTIONS /threads", &[], "", [200, 200, 401, 200]),
    ("POST /runs/batch", &[], "[{\"assistant_id\": \"agent\"}]", [200, 200, 401, 200]),
    ("POST /runs/crons/search", &[], "{}", [200, 200, 401, 200]),
    ("POST /runs/crons/count", &[], "{}", [200, 200, 401, 200]),
    ("GET /v1/status", &[], "", [200, 403, 401, 200]),
    ("POST /v1/crons/steady/pause", &[], "{}", [200, 403, 401, 403]),
    ("GET /metrics", &[], "", [200, 403, 401, 200]),
    ("GET /healthz", &[], "", [200, 200, 200, 200]),
    ("GET /v1//status", &[], "", [400, 403, 401, 400]),
    ("GET /threads//a", &[], "", [400, 400, 401, 400]),
    ("GET /threads/%zz", &[], "", [400, 400, 401, 400]),
    (UNKNOWN, &[], "", [404, 404, 401, 404]),
    ("GET /v1/crons/nobody", &[], "", [404, 403, 401, 404]),
    ("GET /v1/nowhere", &[], "", [404, 403, 401, 404]),
    ("PUT /v1/status", &[], "", [405, 403, 401, 403]),
    ("POST /runs", &[("content-encoding", "gzip")], "x", [415, 415, 401, 415]),
    ("POST /runs", &[], "{\"webhook\": nonsense", [422, 422, 401, 422]),
    ("GET /info", &[("upgrade", "websocket"), ("connection", "upgrade")], "", [501, 501, 401, 501]),
    ("GET /info", &[("via", "1.1 agentcron")], "", [502, 502, 401, 502]),
];

#[tokio::test]
async fn every_response_names_an_allowed_origin_once_and_no_other() {
    let keyed = Gateway::start(&format!("{LIST}\n{KEYS}")).await;
    let open = Gateway::start(LIST).await;
    let callers = [(&keyed, Some(ACT)), (&keyed, Some(CLIENT)), (&keyed, None), (&open, None)];
    for (request, further, body, statuses) in TABLE {
        for ((gateway, key), status) in callers.into_iter().zip(statuses) {
            for origin in [Some(PAGE), Some("https://evil.example"), Some("null"), None] {
                let mut headers = further.to_vec();
                headers.extend(origin.map(|origin| ("origin", origin)));
                headers.extend(key.map(|key| ("x-api-key", key)));
                let what = format!("{request} {headers:?}");
                let response = gateway.send(request, &headers, body).await;
                assert_eq!(varies(&response.headers), 1, "{what} {:?}", response.headers);
                let is_page = origin == Some(PAGE);
                // Pages of other origins are refused before anything else where no key is needed.
                if is_page || origin.is_none() {
                    assert_eq!(response.status, status, "{what} {}", response.text());
                }
                let told = cors(&response.headers);
                if !is_page {
                    assert_eq!(told, [], "{what}");
                    continue;
                }
                let exposed = response.headers["access-control-expose-headers"].to_str().unwrap();
                assert!(exposed.contains("content-location") && exposed.contains("x-pagination-total"));
                assert_eq!(response.headers["access-control-allow-origin"], PAGE, "{what}");
                assert_eq!(told.len(), 2, "{what} {told:?}");
            }
        }
    }
    let large = "x".repeat((16 << 20) + 1);
    for origin in [PAGE, "https://evil.example"] {
        let headers = [("origin", origin), ("x-api-key", ACT)];
        let response = keyed.send("POST /store/items", &headers, large.clone()).await;
        let expected = if origin == PAGE { Some(PAGE) } else { None };
        let allowed = response.headers.get("access-control-allow-origin");
        assert_eq!((response.status, allowed.map(|origin| origin.to_str().unwrap())), (413, expected));
    }
}

#[tokio::test]
async fn without_the_agent_server_and_without_a_list_the_rules_are_the_same() {
    let mut gateway = Gateway::start(&format!("{LIST}\n{KEYS}")).await;
    gateway.backend.stop();
    for request in ["GET /info", "POST /runs/wait"] {
        let response = gateway.send(request, &[("origin", PAGE), ("x-api-key", ACT)], RUN).await;
        assert_eq!(
            (response.status, &response.headers["access-control-allow-origin"]),
            (502, &PAGE.parse().unwrap())
        );
    }
    // Without a list, nobody but pages on this machine is told anything by us.
    let open = Gateway::start("").await;
    for (origin, allowed) in [("http://localhost:3000", Some("http://localhost:3000")), (PAGE, None)] {
        for request in ["GET /info", "GET /v1/status", "GET /threads//a", "POST /v1/crons/steady/pause"] {
            let response = open.send(request, &[("origin", origin)], "").await;
            let told = response.headers.get("access-control-allow-origin");
            assert_eq!(told.map(|told| told.to_str().unwrap()), allowed, "{request} {origin}");
        }
    }
}

/// The headers that Studio's client may set, as of the hosted version: preflights name them in one value.
const STUDIO_ASKS: [&str; 3] = [
    "content-type,x-api-key,x-auth-scheme,x-tenant-id,x-user-id",
    "authorization,content-type,x-auth-scheme,x-organization-id,x-service-key,x-tenant-id",
    "content-type,langsmith-project,x-requested-with,x-auth-scheme",
];

#[tokio::test]
async fn the_preflights_of_studio_are_answered_whatever_keys_are_set() {
    let (keyed, open) = (Gateway::start(&format!("{LIST}\n{KEYS}")).await, Gateway::start(LIST).await);
    let paths = [
        "/info",
        "/ok",
        "/assistants/search",
        "/threads",
        "/threads/search",
        "/threads/a/history",
        "/threads/a/state",
        "/threads/a/runs/stream",
        "/runs/stream",
        "/runs/batch",
        "/runs/crons",
        "/runs/crons/search",
        "/runs/crons/a",
        "/store/items",
        "/v1/status",
        "/threads//a",
    ];
    for gateway in [&keyed, &open] {
        for path in paths {
            for (asked, method) in STUDIO_ASKS
                .iter()
                .flat_map(|asked| ["GET", "POST", "PATCH", "DELETE"].map(|method| (*asked, method)))
            {
                let headers = [
                    ("origin", STUDIO),
                    ("access-control-request-method", method),
                    ("access-control-request-headers", asked),
                    ("access-control-request-private-network", "true"),
                    ("sec-fetch-mode", "cors"),
                    ("sec-fetch-site", "cross-site"),
                ];
                let response = gateway.send(&format!("OPTIONS {path}"), &headers, "").await;
                assert_eq!(response.status, 204, "{path} {}", response.text());
                let header = |name: &str| response.headers[name].to_str().unwrap();
                assert_eq!(header("access-control-allow-origin"), STUDIO);
                assert_eq!(header("access-control-allow-headers"), asked);
                assert!(header("access-control-allow-methods").split(", ").any(|allowed| allowed == method));
                assert_eq!(header("access-control-allow-private-network"), "true");
                assert_eq!(varies(&response.headers), 1);
            }
            let elsewhere = [
                ("origin", "https://smith.langchain.com.evil.example"),
                ("access-control-request-method", "GET"),
            ];
            let response = gateway.send(&format!("OPTIONS {path}"), &elsewhere, "").await;
            assert_eq!((response.status, cors(&response.headers)), (403, vec![]), "{path}");
        }
        assert!(gateway.backend.received().is_empty(), "a preflight is never passed on");
        // What follows the preflight.
        let headers =
            [("origin", STUDIO), ("x-auth-scheme", "langsmith"), ("x-tenant-id", "t"), ("x-api-key", CLIENT)];
        assert_eq!(gateway.send("POST /threads/search", &headers, "{}").await.status, 200);
    }
}

/// Heads as no client writes them, and the statuses: over TCP, and on the socket.
const HEADS: [(&str, [u16; 2]); 27] = [
    ("GET /info HTTP/1.1\r\nHost: localhost\r\n", [200, 200]),
    ("GET /info HTTP/1.1\r\nHost: agentcron\r\n", [403, 200]),
    ("GET /info HTTP/1.0\r\n", [200, 200]),
    ("GET /info HTTP/1.1\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost:\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: evil.com\r\nHost: localhost\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: [::1].evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: [::1]evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: 127.0.0.1:80.evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost:evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost:80@evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost@evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost/evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost\tevil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost\\.evil.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost : localhost\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: localhost\u{e4}.com\r\n", [400, 400]),
    ("GET /info HTTP/1.1\r\nHost: evil.test\r\n", [403, 403]),
    ("GET http://evil.test/info HTTP/1.1\r\nHost: localhost\r\n", [403, 403]),
    ("GET http://localhost@evil.test/info HTTP/1.1\r\nHost: localhost\r\n", [400, 400]),
    (
        "GET /info HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.com\r\n",
        [400, 400],
    ),
    ("POST /threads HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:80@evil.com\r\n", [403, 403]),
    ("POST /threads HTTP/1.1\r\nHost: localhost\r\nOrigin: ://localhost\r\n", [403, 403]),
    ("POST /threads HTTP/1.1\r\nHost: localhost\r\nOrigin:\r\n", [403, 403]),
];

#[tokio::test]
async fn a_host_or_an_origin_that_two_parsers_may_read_differently_is_refused() {
    let gateway = Gateway::start("").await;
    gateway.daemon.wait_until("the socket", || gateway.daemon.folder().join("agentcron.sock").exists()).await;
    let status = |response: &str| response.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    for (head, expected) in HEADS {
        let head = format!("{head}Connection: close\r\nContent-Length: 0\r\n\r\n");
        let responses = [gateway.on_tcp(&head), gateway.on_socket(&head)];
        let statuses = responses.each_ref().map(|response| status(response).unwrap_or(0));
        assert_eq!(statuses, expected, "{head:?}\n{responses:?}");
    }
    let accepted = HEADS.iter().flat_map(|(_, statuses)| statuses).filter(|status| **status == 200).count();
    assert_eq!(gateway.backend.received().len(), accepted, "what is refused is not passed on");
}

/// What comes through the socket has the operator's rights, so a page that reaches it through a forward must read nothing.
#[tokio::test]
async fn on_the_socket_no_page_reads_what_the_agent_server_shows_to_every_page() {
    let gateway = Gateway::start("").await;
    gateway.daemon.wait_until("the socket", || gateway.daemon.folder().join("agentcron.sock").exists()).await;
    for origin in ["https://evil.example", "http://localhost:3000", "null"] {
        for path in ["/info", "/v1/runs", "/threads//a"] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:9\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
            );
            let response = gateway.on_socket(&head).to_ascii_lowercase();
            assert!(!response.contains("access-control-"), "{path} {origin}: {response}");
        }
    }
}
