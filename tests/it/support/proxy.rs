//! A proxy to a backend that fails on command: each request may be forwarded, answered by the proxy itself, or lost.
//!
//! It speaks just enough HTTP/1.1 for our client and our servers: one request per connection, bodies with a length.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::growing_list::GrowingList;
use super::loopback_server::LoopbackServer;
use super::seeded_random::SeededRandom;

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The backend gets the request and replies; the client's connection closes without the reply.
    LoseReply,
    /// The client's connection closes at once; the backend gets the request this much later.
    ForwardLater(Duration),
    /// The client's connection closes and the backend never gets the request.
    LoseRequest,
    /// The client gets this many bytes of the reply, head included; then its connection closes.
    CutReplyAfter(usize),
    /// The client gets these bytes and the backend nothing.
    Reply(Bytes),
    /// The client gets 200 and a JSON body that never ends; the backend gets nothing.
    Endless,
    /// The request is forwarded, but the client gets nothing and its connection stays open.
    Hang,
    /// The reply comes this much later.
    Slow(Duration),
}

impl Fault {
    /// A reply of the proxy itself; `headers` are lines such as `"Retry-After: 2"`.
    pub(crate) fn reply(status: u16, headers: &[&str], body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!(
            "HTTP/1.1 {status} Made Up\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Fault::Reply(Bytes::from([head.into_bytes(), body].concat()))
    }

    /// What a gateway in front of a dead backend replies.
    pub(crate) fn html(status: u16) -> Self {
        Self::reply(status, &["Content-Type: text/html"], "<html><body><h1>Bad Gateway</h1></body></html>")
    }

    pub(crate) fn busy(retry_after: &str) -> Self {
        let retry_after = format!("Retry-After: {retry_after}");
        Self::reply(429, &["Content-Type: application/json", &retry_after], r#"{"detail": "slow down"}"#)
    }

    /// 200 with a JSON string of this size.
    pub(crate) fn huge(bytes: usize) -> Self {
        let body = [b"\"", vec![b'x'; bytes.saturating_sub(2)].as_slice(), b"\""].concat();
        Self::reply(200, &["Content-Type: application/json"], body)
    }
}

/// A request as it came to the proxy.
#[derive(Clone, Debug)]
pub(crate) struct ProxiedRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
    head: Bytes,
}

impl ProxiedRequest {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the request starts a run, on a thread or without.
    pub(crate) fn starts_run(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        self.method == "POST" && ["/runs", "/runs/wait", "/runs/stream"].iter().any(|end| path.ends_with(end))
    }
}

struct Rule {
    matches: Box<dyn Fn(&ProxiedRequest) -> bool + Send>,
    fault: Fault,
    times_left: usize,
}

/// Random faults: the same seed makes the same choices for the same order of requests.
struct RandomFaults {
    random: SeededRandom,
    percent: u64,
    faults: Vec<Fault>,
}

struct Shared {
    backend: SocketAddr,
    received: GrowingList<ProxiedRequest>,
    forwarded: GrowingList<ProxiedRequest>,
    rules: Mutex<Vec<Rule>>,
    random_faults: Mutex<Option<RandomFaults>>,
    /// How many requests are still to be forwarded although their client has given up.
    late: AtomicUsize,
}

pub(crate) struct Proxy {
    shared: Arc<Shared>,
    serving: LoopbackServer,
}

impl Proxy {
    pub(crate) fn start(backend: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            backend,
            received: GrowingList::new(),
            forwarded: GrowingList::new(),
            rules: Mutex::new(Vec::new()),
            random_faults: Mutex::new(None),
            late: AtomicUsize::new(0),
        });
        let served = Arc::clone(&shared);
        Self { shared, serving: LoopbackServer::start(0, |listener| accept(listener, served)) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Applies a fault to the next `times` requests that match; of several rules the first that matches counts.
    pub(crate) fn inject(
        &self,
        times: usize,
        matches: impl Fn(&ProxiedRequest) -> bool + Send + 'static,
        fault: Fault,
    ) {
        self.shared.rules.lock().unwrap().push(Rule { matches: Box::new(matches), fault, times_left: times });
    }

    /// Applies one of the faults to this percentage of the requests. Tests print the seed, so that a failure can be repeated.
    pub(crate) fn inject_by_chance(&self, seed: u64, percent: u64, faults: Vec<Fault>) {
        let random = SeededRandom::new(seed);
        *self.shared.random_faults.lock().unwrap() = Some(RandomFaults { random, percent, faults });
    }

    /// Removes all faults.
    pub(crate) fn heal(&self) {
        self.shared.rules.lock().unwrap().clear();
        *self.shared.random_faults.lock().unwrap() = None;
    }

    /// Closes the port: new connections are refused and existing ones are closed.
    pub(crate) fn go_down(&mut self) {
        self.serving.stop();
    }

    pub(crate) fn come_up(&mut self) {
        let served = Arc::clone(&self.shared);
        self.serving.start_again(|listener| accept(listener, served));
    }

    /// Returns all requests that arrived, whatever became of them.
    pub(crate) fn received(&self) -> Vec<ProxiedRequest> {
        self.shared.received.entries()
    }

    /// Returns the requests that the backend got, in order.
    pub(crate) fn forwarded(&self) -> Vec<ProxiedRequest> {
        self.shared.forwarded.entries()
    }

    /// Returns how many requests are on their way to the backend although their client has given up.
    pub(crate) fn late(&self) -> usize {
        self.shared.late.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_until_received(
        &self,
        what: &str,
        holds: impl Fn(&[ProxiedRequest]) -> bool,
    ) -> Vec<ProxiedRequest> {
        self.shared.received.wait_until(what, holds).await
    }

    pub(crate) async fn wait_until_forwarded(
        &self,
        what: &str,
        holds: impl Fn(&[ProxiedRequest]) -> bool,
    ) -> Vec<ProxiedRequest> {
        self.shared.forwarded.wait_until(what, holds).await
    }
}

impl Shared {
    fn fault_for(&self, request: &ProxiedRequest) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        if let Some(rule) = rules.iter_mut().find(|rule| rule.times_left > 0 && (rule.matches)(request)) {
            rule.times_left -= 1;
            return Some(rule.fault.clone());
        }
        self.random_faults.lock().unwrap().as_mut()?.draw()
    }
}

impl RandomFaults {
    fn draw(&mut self) -> Option<Fault> {
        if self.random.below(100) >= self.percent {
            return None;
        }
        let index = self.random.below(self.faults.len() as u64);
        Some(self.faults[usize::try_from(index).unwrap()].clone())
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        // An error here is a side that closed its connection, which is what this proxy is for.
        connections.spawn(async move { drop(serve_connection(client, &shared).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let Some(request) = read_request(&mut client).await? else { return Ok(()) };
    let fault = shared.fault_for(&request);
    shared.received.push(request.clone());
    match fault {
        None => pass_reply(shared, &request, client, usize::MAX).await,
        Some(Fault::CutReplyAfter(bytes)) => pass_reply(shared, &request, client, bytes).await,
        Some(Fault::LoseReply) => {
            forward(shared, &request).await?.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Some(Fault::LoseRequest) => Ok(()),
        Some(Fault::ForwardLater(delay)) => {
            shared.late.fetch_add(1, Ordering::SeqCst);
            drop(client);
            sleep(delay).await;
            let replied = forward(shared, &request).await?.read_to_end(&mut Vec::new()).await;
            shared.late.fetch_sub(1, Ordering::SeqCst);
            replied.map(drop)
        }
        Some(Fault::Reply(reply)) => {
            client.write_all(&reply).await?;
            close(client).await
        }
        Some(Fault::Endless) => {
            client
                .write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\"",
                )
                .await?;
            loop {
                client.write_all(&[b'x'; 16 * 1024]).await?;
            }
        }
        Some(Fault::Hang) => {
            forward(shared, &request).await?.read_to_end(&mut Vec::new()).await?;
            // Wait until the client closes the connection.
            client.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Some(Fault::Slow(delay)) => {
            let mut reply = Vec::new();
            forward(shared, &request).await?.read_to_end(&mut reply).await?;
            sleep(delay).await;
            client.write_all(&reply).await?;
            close(client).await
        }
    }
}

/// Reads one request; returns `None` if the client closed the connection before it was complete.
async fn read_request(client: &mut TcpStream) -> std::io::Result<Option<ProxiedRequest>> {
    let mut read = Vec::new();
    let head_ends = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&read[..head_ends]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) =
        (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
    let named = |line: &str, name: &str| {
        line.split_once(':')
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let (kept, length): (Vec<&str>, Vec<usize>) = (
        // The backend closes the connection after its reply, so the proxy need not parse where the reply ends.
        lines.clone().filter(|line| named(line, "connection").is_none()).collect(),
        lines.filter_map(|line| named(line, "content-length")?.parse().ok()).collect(),
    );
    let body_ends = head_ends + 4 + length.first().copied().unwrap_or(0);
    while read.len() < body_ends {
        if client.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
    let head = format!("{method} {path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"));
    let body = Bytes::copy_from_slice(&read[head_ends + 4..body_ends]);
    Ok(Some(ProxiedRequest { method, path, body, at: Instant::now(), head: Bytes::from(head) }))
}

/// Sends a request to the backend and returns the connection on which the reply arrives.
async fn forward(shared: &Shared, request: &ProxiedRequest) -> std::io::Result<TcpStream> {
    let mut backend = TcpStream::connect(shared.backend).await?;
    shared.forwarded.push(ProxiedRequest { at: Instant::now(), ..request.clone() });
    backend.write_all(&request.head).await?;
    backend.write_all(&request.body).await?;
    Ok(backend)
}

/// Forwards the reply as it arrives, up to a number of bytes.
async fn pass_reply(
    shared: &Shared,
    request: &ProxiedRequest,
    mut client: TcpStream,
    bytes: usize,
) -> std::io::Result<()> {
    let backend = forward(shared, request).await?;
    let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
    let mut reply = backend.take(limit);
    tokio::io::copy(&mut reply, &mut client).await?;
    close(client).await
}

/// Closes the connection so that what was written arrives: closing it with unread input would reset it.
async fn close(mut client: TcpStream) -> std::io::Result<()> {
    client.shutdown().await?;
    client.read_to_end(&mut Vec::new()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::agent_server::AgentServerOnPort;
    use super::super::real_server::http;
    use super::*;

    const RUN: &str =
        r#"{"assistant_id": "agent", "if_not_exists": "create", "multitask_strategy": "reject"}"#;

    fn runs(number: u32) -> String {
        format!("/threads/22222222-2222-4222-8222-00000000000{number}/runs")
    }

    #[tokio::test]
    async fn a_lost_reply_leaves_its_run_on_the_backend() {
        let backend = AgentServerOnPort::start();
        let proxy = Proxy::start(backend.address());
        proxy.inject(1, ProxiedRequest::starts_run, Fault::LoseReply);
        assert!(http(proxy.address(), "POST", &runs(1), RUN).is_err());
        assert_eq!(backend.ledger().len(), 1);
        assert_eq!(http(proxy.address(), "POST", &runs(2), RUN).unwrap().0, 200);
        assert_eq!((proxy.received().len(), proxy.forwarded().len()), (2, 2));
    }

    #[tokio::test]
    async fn a_request_may_arrive_after_its_client_gave_up() {
        let backend = AgentServerOnPort::start();
        let proxy = Proxy::start(backend.address());
        proxy.inject(1, ProxiedRequest::starts_run, Fault::ForwardLater(Duration::from_millis(200)));
        assert!(http(proxy.address(), "POST", &runs(1), RUN).is_err());
        assert_eq!(proxy.forwarded().len(), 0);
        proxy.wait_until_forwarded("the late request", |forwarded| forwarded.len() == 1).await;
    }

    #[tokio::test]
    async fn replies_are_made_up_and_cut() {
        let backend = AgentServerOnPort::start();
        let proxy = Proxy::start(backend.address());
        for fault in [Fault::html(502), Fault::busy("2"), Fault::huge(1 << 20)] {
            proxy.inject(1, |_| true, fault);
        }
        assert_eq!(http(proxy.address(), "GET", "/ok", "").unwrap().0, 502);
        assert_eq!(http(proxy.address(), "GET", "/ok", "").unwrap().0, 429);
        assert_eq!(http(proxy.address(), "GET", "/ok", "").unwrap().1.len(), 1 << 20);
        proxy.inject(1, |_| true, Fault::CutReplyAfter(10));
        assert!(http(proxy.address(), "GET", "/ok", "").is_err());
        assert_eq!(proxy.forwarded().len(), 1);
    }

    #[tokio::test]
    async fn a_proxy_that_is_down_refuses_until_it_comes_up() {
        let backend = AgentServerOnPort::start();
        let mut proxy = Proxy::start(backend.address());
        proxy.go_down();
        assert!(http(proxy.address(), "GET", "/ok", "").is_err());
        proxy.come_up();
        assert_eq!(http(proxy.address(), "GET", "/ok", "").unwrap().0, 200);
    }

    #[tokio::test]
    async fn a_seed_breaks_the_same_requests_again() {
        let backend = AgentServerOnPort::start();
        let broken = || {
            let proxy = Proxy::start(backend.address());
            proxy.inject_by_chance(7, 50, vec![Fault::html(502), Fault::LoseRequest]);
            (0..20)
                .map(|_| http(proxy.address(), "GET", "/ok", "").map_or(0, |(status, _)| status))
                .collect::<Vec<_>>()
        };
        let first = broken();
        assert_eq!(first, broken());
        assert!([0, 200, 502].iter().all(|kind| first.contains(kind)), "{first:?}");
    }
}
