//! The network between the daemon and the world. Anything can happen on it to a request or to its answer, as
//! the seed decides. What the far side has received goes on there even if the daemon dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentcron::transport::{BodyStream, Transport, TransportError};
use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tower::ServiceExt;

use super::random::Random;

/// How bad the network is; `calm` makes it perfect.
#[derive(Clone)]
pub(super) struct Network {
    random: Random,
    faults_percent: u64,
    calm: Arc<AtomicBool>,
    /// Whether nothing gets through, in either direction.
    down: Arc<AtomicBool>,
}

/// What stands between a daemon and the world. It is shut while the daemon is paused.
#[derive(Clone)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(true)))
    }

    pub(super) fn set(&self, open: bool) {
        self.0.send_replace(open);
    }

    /// Waits until it is open.
    pub(super) async fn opened(&self) {
        let mut open = self.0.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Refused,
    LostRequest,
    LostAnswer,
    Late,
    ErrorAfter,
    ErrorBefore,
    TooMany,
    CutBody,
    Silence,
    /// As `Silence`, and the request is lost too.
    NoAnswer,
    Garbage,
}

const FAULTS: [Fault; 10] = [
    Fault::Refused,
    Fault::LostRequest,
    Fault::LostAnswer,
    Fault::Late,
    Fault::ErrorAfter,
    Fault::ErrorBefore,
    Fault::TooMany,
    Fault::CutBody,
    Fault::Silence,
    Fault::Garbage,
];

/// How much later a request may arrive after its sender has given it up.
const LATE_MOST: Duration = Duration::from_secs(200);

impl Network {
    pub(super) fn new(random: Random, faults_percent: u64) -> Self {
        Self { random, faults_percent, calm: Arc::default(), down: Arc::default() }
    }

    /// Lets nothing through until it is called with `false`.
    pub(super) fn go_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub(super) fn to(&self, router: Router) -> Transport {
        let network = self.clone();
        Transport::function(move |request| {
            let (network, router) = (network.clone(), router.clone());
            Box::pin(async move { network.exchange(router, request).await })
        })
    }

    /// The same for a daemon that may be paused: then it neither sends nor hears anything.
    pub(super) fn behind(&self, gate: &Gate, router: Router) -> Transport {
        let (network, gate) = (self.clone(), gate.clone());
        Transport::function(move |request| {
            let (network, gate, router) = (network.clone(), gate.clone(), router.clone());
            Box::pin(async move {
                gate.opened().await;
                let answer = network.exchange(router, request).await;
                gate.opened().await;
                answer
            })
        })
    }

    fn draw(&self) -> Fault {
        const DOWN: [Fault; 4] = [Fault::Refused, Fault::LostRequest, Fault::ErrorBefore, Fault::NoAnswer];
        if self.is_down() {
            return DOWN[usize::try_from(self.random.below(DOWN.len() as u64)).unwrap()];
        }
        if self.calm.load(Ordering::SeqCst) || !self.random.percent(self.faults_percent) {
            return Fault::None;
        }
        FAULTS[usize::try_from(self.random.below(FAULTS.len() as u64)).unwrap()]
    }

    fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    async fn exchange(
        &self,
        router: Router,
        request: Request<Bytes>,
    ) -> Result<Response<BodyStream>, TransportError> {
        let fault = self.draw();
        tokio::time::sleep(self.random.wait(Duration::from_millis(30))).await;
        let broken = || Err(TransportError::Broken("the connection broke".to_owned()));
        match fault {
            Fault::Refused => return Err(TransportError::NotSent("connection refused".to_owned())),
            Fault::LostRequest => return broken(),
            Fault::ErrorBefore => return Ok(answer(StatusCode::BAD_GATEWAY, "bad gateway")),
            Fault::NoAnswer => return std::future::pending().await,
            Fault::TooMany => return Ok(answer(StatusCode::TOO_MANY_REQUESTS, "slow down")),
            Fault::Late => {
                let wait = self.random.wait(LATE_MOST);
                #[expect(clippy::disallowed_methods, reason = "a request under way survives the daemon")]
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = forward(router, request).await;
                });
                return broken();
            }
            Fault::None
            | Fault::LostAnswer
            | Fault::ErrorAfter
            | Fault::CutBody
            | Fault::Silence
            | Fault::Garbage => {}
        }
        // The far side works on, even if the daemon dies while it waits for the answer.
        #[expect(clippy::disallowed_methods, reason = "what was received survives the daemon")]
        let response = tokio::spawn(forward(router, request)).await.unwrap();
        tokio::time::sleep(self.random.wait(Duration::from_millis(30))).await;
        match fault {
            _ if self.is_down() => broken(),
            Fault::LostAnswer => broken(),
            Fault::ErrorAfter => Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, "internal error")),
            Fault::Garbage => Ok(answer(StatusCode::OK, "<html>please log in</html>")),
            Fault::Silence => std::future::pending().await,
            Fault::CutBody => {
                let (parts, _) = response.into_parts();
                let broke = Err(TransportError::Broken("the connection broke".to_owned()));
                let cut = [Ok(Bytes::from_static(b"{\"run_")), broke];
                Ok(Response::from_parts(parts, Box::pin(futures_util::stream::iter(cut)) as BodyStream))
            }
            Fault::None
            | Fault::Refused
            | Fault::LostRequest
            | Fault::Late
            | Fault::ErrorBefore
            | Fault::NoAnswer
            | Fault::TooMany => Ok(response),
        }
    }
}

async fn forward(router: Router, request: Request<Bytes>) -> Response<BodyStream> {
    use futures_util::TryStreamExt;
    let response = router.oneshot(request.map(axum::body::Body::from)).await.unwrap();
    response.map(|body| {
        let stream = body.into_data_stream().map_err(|error| TransportError::Broken(error.to_string()));
        Box::pin(stream) as BodyStream
    })
}

fn answer(status: StatusCode, text: &'static str) -> Response<BodyStream> {
    let body = futures_util::stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
    Response::builder().status(status).body(Box::pin(body) as BodyStream).unwrap()
}
