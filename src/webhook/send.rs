//! One attempt to deliver one webhook.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, StatusCode, header};

use super::request;
use crate::clock::Clock;
use crate::config::{Environment, WebhooksConfig};
use crate::domain::bounds::{ATTEMPT_WAIT, RECEIVER_ANSWER_BYTES_MAX};
use crate::domain::delivery::AttemptResult;
use crate::domain::ids::RunId;
use crate::transport::{BodyStream, Transport, TransportError};

/// Sends webhooks; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    transport: Transport,
    environment: Environment,
    clock: Clock,
    webhooks: Arc<WebhooksConfig>,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The run it tells about: the receiver's key against doubles.
    pub run_id: RunId,
    /// Where to; placeholders still in it.
    pub url: String,
    /// The exact bytes.
    pub body: Vec<u8>,
}

impl Sender {
    /// A sender over this transport; `environment` fills the placeholders of URLs and headers, at each attempt anew.
    pub fn new(
        transport: Transport,
        environment: Environment,
        clock: Clock,
        webhooks: WebhooksConfig,
    ) -> Self {
        Self { transport, environment, clock, webhooks: Arc::new(webhooks) }
    }

    /// Makes one attempt. It never retries, and its errors hold no secret.
    pub async fn send(&self, attempt: Attempt) -> AttemptResult {
        let request = match self.request(attempt) {
            Ok(request) => request,
            Err(detail) => return AttemptResult::Refused { code: None, detail, retry_after: None },
        };
        match tokio::time::timeout(ATTEMPT_WAIT, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => AttemptResult::Refused {
                code: None,
                detail: format!("no answer within {}", humantime::format_duration(ATTEMPT_WAIT)),
                retry_after: None,
            },
        }
    }

    fn request(&self, attempt: Attempt) -> Result<Request<Bytes>, String> {
        let url = self.environment.fill(&attempt.url).map_err(|error| format!("its URL: {error}"))?;
        request::request(attempt, url.expose(), self.clock.now(), &self.webhooks, &self.environment)
    }

    async fn exchange(&self, request: Request<Bytes>) -> AttemptResult {
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) => {
                return AttemptResult::Refused {
                    code: None,
                    detail: transport_words(&error),
                    retry_after: None,
                };
            }
        };
        let (parts, body) = response.into_parts();
        drain(body).await;
        judge(parts.status, retry_after(&parts.headers))
    }
}

fn transport_words(error: &TransportError) -> String {
    match error {
        TransportError::NotSent(detail) => format!("cannot connect: {detail}"),
        TransportError::Broken(detail) => format!("no answer: {detail}"),
        TransportError::TooLarge(_) => error.to_string(),
    }
}

/// A little of the answer is read, so that the connection can be used again; an endless one is left.
async fn drain(mut body: BodyStream) {
    let mut read = 0_usize;
    while read < RECEIVER_ANSWER_BYTES_MAX {
        match body.next().await {
            Some(Ok(piece)) => read += piece.len(),
            Some(Err(_)) | None => return,
        }
    }
}

fn judge(status: StatusCode, retry_after: Option<Duration>) -> AttemptResult {
    let code = status.as_u16();
    match status {
        status if status.is_success() => AttemptResult::Accepted { code },
        StatusCode::GONE => AttemptResult::Final {
            code: Some(code),
            detail: "the receiver answered 410: gone for good".to_owned(),
        },
        status if status.is_redirection() => AttemptResult::Refused {
            code: Some(code),
            detail: format!("the receiver answered {code}, a redirect; redirects are not followed"),
            retry_after,
        },
        _ => AttemptResult::Refused {
            code: Some(code),
            detail: format!("the receiver answered {code}"),
            retry_after,
        },
    }
}

/// `Retry-After` in seconds; nonsense counts as none.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
