//! The receiver itself: takes each request in, says what arrived, and answers as it is told.

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
use super::fault::Fault;
use super::line::{ConnectionLimit, Cut};
use crate::clock::Clock;
use crate::domain::bounds::{LISTEN_BODIES, LISTEN_BODY_BYTES_MAX, LISTEN_BODY_WAIT, LISTEN_IDS_KEPT};
use crate::domain::signing::{SignedWebhook, VerifyingKey, verify};

/// Longer ids are no ids of ours; what is remembered of them is bounded.
const ID_CHARS_MAX: usize = 200;

/// How the receiver takes and answers requests.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) clock: Clock,
    /// What signatures are held against.
    pub(super) keys: Arc<[VerifyingKey]>,
    /// How it misbehaves, if it shall.
    pub(super) fault: Option<Fault>,
    /// Whom it tells.
    pub(super) told: mpsc::Sender<Arrival>,
    /// How often each webhook has arrived.
    pub(super) seen: Arc<Mutex<Seen>>,
    /// Bodies in hand.
    pub(super) bodies: Arc<Semaphore>,
}

impl Receiver {
    pub(super) fn new(
        clock: Clock,
        keys: Vec<VerifyingKey>,
        fault: Option<Fault>,
        told: mpsc::Sender<Arrival>,
    ) -> Self {
        let (seen, bodies) = (Arc::default(), Arc::new(Semaphore::new(LISTEN_BODIES)));
        Self { clock, keys: keys.into(), fault, told, seen, bodies }
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, receiver: Receiver) -> std::io::Result<()> {
    let router = Router::new().fallback(receive).with_state(receiver);
    axum::serve(ConnectionLimit::new(listener), router.into_make_service_with_connect_info::<Cut>()).await
}

async fn receive(
    State(receiver): State<Receiver>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let number = receiver.take_in(&head.method, &head.uri, &head.headers, body).await;
    match (number, receiver.fault) {
        (Err(code), _) => code.into_response(),
        (Ok(number), Some(fault)) if fault.strikes(number) => fault.play(&cut).await,
        (Ok(_), Some(_) | None) => StatusCode::OK.into_response(),
    }
}

impl Receiver {
    /// Tells what has arrived; answers how often this webhook has, or with which status it is refused.
    async fn take_in(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<u32, StatusCode> {
        let _in_hand = self.bodies.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let body: Bytes = timeout(LISTEN_BODY_WAIT, axum::body::to_bytes(body, LISTEN_BODY_BYTES_MAX))
            .await
            .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
            .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        let at = self.clock.now();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let webhook_id = header("webhook-id");
        let number = self.seen.lock().unwrap_or_else(PoisonError::into_inner).count(webhook_id);
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
            answer: match self.fault {
                Some(fault) if fault.strikes(number) => fault.told(),
                Some(_) | None => "answers 200".to_owned(),
            },
            body,
        };
        // Nobody listens any more once Ctrl-C was pressed.
        let _ = self.told.send(arrival).await;
        Ok(number)
    }
}

/// How often each webhook has arrived; of very many the first are forgotten.
#[derive(Default)]
pub(super) struct Seen {
    times: HashMap<String, u32>,
    order: VecDeque<String>,
}

impl Seen {
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
