//! A webhook receiver that records the requests and responds as a test scripts it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::growing_list::GrowingList;
use super::loopback_server::{LoopbackServer, serve_router};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The exact bytes, for signatures.
    pub(crate) body: Bytes,
    pub(crate) arrived: Instant,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the text of a header; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A response of the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    delay: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

#[derive(Clone)]
struct Shared {
    requests: Arc<GrowingList<Received>>,
    script: Arc<Mutex<Script>>,
}

struct Script {
    next: VecDeque<Reply>,
    otherwise: Reply,
}

pub(crate) struct Receiver {
    shared: Shared,
    serving: LoopbackServer,
}

impl Receiver {
    /// Responds 200 until a test says otherwise.
    pub(crate) fn start() -> Self {
        let script = Script { next: VecDeque::new(), otherwise: Reply::status(200) };
        let shared = Shared { requests: Arc::new(GrowingList::new()), script: Arc::new(Mutex::new(script)) };
        let router = router(shared.clone());
        Self { shared, serving: LoopbackServer::start(0, |listener| serve_router(listener, router)) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.serving.address())
    }

    /// Scripts the next responses, in order; after them it responds as before.
    pub(crate) fn reply_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.script.lock().unwrap().next.extend(replies);
    }

    /// Sets the response to all requests for which `reply_next` has none.
    pub(crate) fn reply_always(&self, reply: Reply) {
        self.shared.script.lock().unwrap().otherwise = reply;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.requests.entries()
    }

    /// Waits until at least `count` requests have arrived and returns all of them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.shared.requests.wait_for(count, &format!("{count} webhook requests")).await
    }

    pub(crate) async fn wait_until(&self, what: &str, holds: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        self.shared.requests.wait_until(what, holds).await
    }

    pub(crate) fn stop(&mut self) {
        self.serving.stop();
    }

    pub(crate) fn start_again(&mut self) {
        let router = router(self.shared.clone());
        self.serving.start_again(|listener| serve_router(listener, router));
    }
}

fn router(shared: Shared) -> Router {
    Router::new().fallback(receive).layer(DefaultBodyLimit::disable()).with_state(shared)
}

async fn receive(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reply = {
        let mut script = shared.script.lock().unwrap();
        script.next.pop_front().unwrap_or_else(|| script.otherwise.clone())
    };
    shared.requests.push(Received { method, path: uri.to_string(), headers, body, arrived: Instant::now() });
    sleep(reply.delay).await;
    (reply.status, reply.headers).into_response()
}

#[tokio::test]
async fn the_receiver_records_requests_and_follows_its_script() {
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(503).header("retry-after", "1"), Reply::status(410)]);
    let address = receiver.serving.address();
    for expected in [503, 410, 200] {
        let (status, _) = super::real_server::http(address, "POST", "/hook?token=x", r#"{"n": 1}"#).unwrap();
        assert_eq!(status, expected);
    }
    let received = receiver.wait_for(3).await;
    assert_eq!((received[2].path.as_str(), &received[2].json()["n"]), ("/hook?token=x", &Value::from(1)));
}
