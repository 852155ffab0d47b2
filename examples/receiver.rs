//! A receiver of agentcron's webhooks, small and whole: it verifies the signature, refuses what is stale, takes each
//! webhook once, answers at once and works afterwards.
//!
//! ```sh
//! WEBHOOK_SECRET=whsec_… cargo run --example receiver        # then webhook = "http://127.0.0.1:8787/" in a cron
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
/// agentcron's own limit is `webhooks.body_bytes_max`, 1 MiB unless it is set.
const BODY_BYTES_MAX: usize = 2 << 20;
/// Runs that wait to be worked on. When it is full we say so, and agentcron sends it again later.
const QUEUED: usize = 100;
/// Webhooks that we know to have taken. A program that keeps records keeps the ids there, in the same transaction.
const IDS_KEPT: usize = 10_000;

#[tokio::main]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "it is a program of its own")]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("WEBHOOK_SECRET").map_err(|_| "set WEBHOOK_SECRET to the secret, whsec_…")?;
    let (queue, mut runs) = mpsc::channel::<Value>(QUEUED);
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

/// What the receiver knows.
#[derive(Clone)]
struct Receiver {
    webhook: Arc<Webhook>,
    queue: mpsc::Sender<Value>,
    taken: Arc<Mutex<Taken>>,
}

/// The receiver as a router, which hands runs on to a queue.
pub(crate) fn receiver(webhook: Webhook, queue: mpsc::Sender<Value>) -> Router {
    let receiver = Receiver { webhook: Arc::new(webhook), queue, taken: Arc::default() };
    Router::new().route("/", post(receive)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(receiver)
}

/// The body as bytes: what is signed is what was sent, not what a parser makes of it.
async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // Wrong, absent, or older than five minutes.
    if receiver.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let webhook_id = headers.get("webhook-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(run) = serde_json::from_slice(&body) else { return StatusCode::BAD_REQUEST };
    let mut taken = receiver.taken.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.ids.contains(webhook_id) {
        // Our answer to the first one may have been lost: it is fine, and done.
        return StatusCode::OK;
    }
    match receiver.queue.try_send(run) {
        Ok(()) => taken.add(webhook_id),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE,
    }
    StatusCode::OK
}

/// The ids of the last webhooks.
#[derive(Default)]
struct Taken {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Taken {
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
