//! The receiver itself: reads each request, passes it on to be printed, and responds as configured.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::arrival::Arrival;
use super::connection::{LimitedListener, ResetHandle};
use super::fail::FailMode;
use crate::clock::Clock;
use crate::domain::bounds::{LISTEN_BODIES, LISTEN_BODY_BYTES_MAX, LISTEN_BODY_WAIT, LISTEN_IDS_KEPT};
use crate::domain::signing::{SignedWebhook, VerifyingKey, verify};

/// Longer ids are not ours. Only this much of an id is remembered.
const ID_CHARS_MAX: usize = 200;

#[derive(Clone)]
pub(super) struct Receiver {
    clock: Clock,
    /// The keys that signatures are verified with.
    keys: Arc<[VerifyingKey]>,
    fail: Option<FailMode>,
    arrivals: mpsc::Sender<Arrival>,
    counts: Arc<Mutex<ArrivalCounts>>,
    /// One permit for each body that may be in memory.
    body_permits: Arc<Semaphore>,
}

impl Receiver {
    pub(super) fn new(
        clock: Clock,
        keys: Vec<VerifyingKey>,
        fail: Option<FailMode>,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Self {
        let (counts, body_permits) = (Arc::default(), Arc::new(Semaphore::new(LISTEN_BODIES)));
        Self { clock, keys: keys.into(), fail, arrivals, counts, body_permits }
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, receiver: Receiver) -> std::io::Result<()> {
    let router = Router::new().fallback(receive).with_state(receiver);
    axum::serve(LimitedListener::new(listener), router.into_make_service_with_connect_info::<ResetHandle>())
        .await
}

async fn receive(
    State(receiver): State<Receiver>,
    ConnectInfo(connection): ConnectInfo<ResetHandle>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let number = receiver.accept(&head.method, &head.uri, &head.headers, body).await;
    match (number, receiver.fail) {
        (Err(code), _) => code.into_response(),
        (Ok(number), Some(mode)) if mode.applies_to(number) => mode.respond(&connection).await,
        (Ok(_), Some(_) | None) => StatusCode::OK.into_response(),
    }
}

impl Receiver {
    /// Passes the request on to be printed. Returns how often this webhook has arrived, or the status with which the
    /// request is refused.
    async fn accept(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<u32, StatusCode> {
        let _permit = self.body_permits.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let body: Bytes = timeout(LISTEN_BODY_WAIT, axum::body::to_bytes(body, LISTEN_BODY_BYTES_MAX))
            .await
            .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
            .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let at = self.clock.now();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let webhook_id = header("webhook-id");
        let number = self.counts.lock().unwrap_or_else(PoisonError::into_inner).count(webhook_id);
        let signed = SignedWebhook {
            webhook_id,
            timestamp: header("webhook-timestamp"),
            signatures: header("webhook-signature"),
            body: &body,
        };
        let arrival = Arrival {
            at,
            method: method.to_string(),
            path: uri.to_string(),
            webhook_id: webhook_id.chars().take(ID_CHARS_MAX).collect(),
            number,
            signature: verify(&self.keys, &signed, at),
            answer: match self.fail {
                Some(mode) if mode.applies_to(number) => mode.message(),
                Some(_) | None => "responds with 200".to_owned(),
            },
            body,
        };
        // After Ctrl-C nothing prints arrivals any more.
        let _ = self.arrivals.send(arrival).await;
        Ok(number)
    }
}

/// How often each webhook has arrived. When there are too many, the first ones are forgotten.
#[derive(Default)]
struct ArrivalCounts {
    times: HashMap<String, u32>,
    order: VecDeque<String>,
}

impl ArrivalCounts {
    fn count(&mut self, webhook_id: &str) -> u32 {
        let webhook_id: String = webhook_id.chars().take(ID_CHARS_MAX).collect();
        if !self.times.contains_key(&webhook_id) {
            self.order.push_back(webhook_id.clone());
            if self.order.len() > LISTEN_IDS_KEPT
                && let Some(first) = self.order.pop_front()
            {
                self.times.remove(&first);
            }
        }
        let times = self.times.entry(webhook_id).or_default();
        *times = times.saturating_add(1);
        *times
    }
}
