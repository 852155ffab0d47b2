//! A small but complete receiver of agentcron's webhooks. It verifies the signature, refuses stale webhooks,
//! accepts each webhook once, responds at once and does the work afterwards.
//!
//! ```sh
//! WEBHOOK_SECRET=whsec_… cargo run --example receiver        # then set webhook = "http://127.0.0.1:8787/" in a cron
//! ```

use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::sync::mpsc;

const PORT: u16 = 8787;
/// agentcron's own limit is `webhooks.body_bytes_max`, which is 1 MiB by default.
const BODY_BYTES_MAX: usize = 2 << 20;
/// How many runs wait to be processed. When the queue is full the receiver answers 503, and agentcron tries
/// again later.
const QUEUED_MAX: usize = 100;
/// How many ids of accepted webhooks are remembered. A program with a database stores the ids there, in the
/// transaction that records the run.
const IDS_KEPT: usize = 10_000;

#[tokio::main]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example is a program of its own")]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("WEBHOOK_SECRET").map_err(|_| "set WEBHOOK_SECRET to the secret, whsec_…")?;
    let (queue, mut runs) = mpsc::channel::<Value>(QUEUED_MAX);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    let serving = axum::serve(listener, receiver(Webhook::new(&secret)?, queue));
    let working = async {
        while let Some(run) = runs.recv().await {
            let metadata = &run["metadata"];
            println!("{} {} {}", metadata["cron_name"], metadata["agentcron_status"], run["values"]);
        }
    };
    tokio::select! {
        ended = serving.into_future() => Ok(ended?),
        () = working => Ok(()),
    }
}

/// The state of the receiver.
#[derive(Clone)]
struct Receiver {
    webhook: Arc<Webhook>,
    queue: mpsc::Sender<Value>,
    accepted: Arc<Mutex<AcceptedIds>>,
}

/// Returns the receiver as a router that passes runs to a queue.
pub(crate) fn receiver(webhook: Webhook, queue: mpsc::Sender<Value>) -> Router {
    let receiver = Receiver { webhook: Arc::new(webhook), queue, accepted: Arc::default() };
    Router::new().route("/", post(receive)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(receiver)
}

/// Accepts one webhook. The body is taken as bytes, because the signature covers the bytes and not their
/// parsed form.
async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // The signature is wrong, absent, or older than five minutes.
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let webhook_id = headers.get("webhook-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(run) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    let mut accepted = receiver.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    if accepted.ids.contains(webhook_id) {
        // It was accepted before, but the answer may have been lost on its way.
        return StatusCode::OK;
    }
    match receiver.queue.try_send(run) {
        Ok(()) => accepted.add(webhook_id),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE,
    }
    StatusCode::OK
}

/// The ids of the last accepted webhooks.
#[derive(Default)]
struct AcceptedIds {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl AcceptedIds {
    fn add(&mut self, webhook_id: &str) {
        self.ids.insert(webhook_id.to_owned());
        self.order.push_back(webhook_id.to_owned());
        if self.order.len() > IDS_KEPT
            && let Some(first) = self.order.pop_front()
        {
            self.ids.remove(&first);
        }
    }
}
