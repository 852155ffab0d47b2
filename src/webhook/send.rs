//! One attempt to deliver one webhook: judge the URL, build the request, one exchange, and what it came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::Request;
use tokio::time::{Instant, timeout_at};

use super::answer;
use super::request::{self, Prepared};
use crate::clock::Clock;
use crate::config::{Environment, WebhooksConfig};
use crate::domain::bounds::{ATTEMPT_WAIT, RECEIVER_ANSWER_BYTES_MAX};
use crate::domain::delivery::{AttemptReport, AttemptResult, Ending, Pace, Phases};
use crate::transport::{BodyStream, FarEnd, Transport, TransportError};

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
    /// The receiver's key against doubles, see [`super::webhook_id`].
    pub webhook_id: String,
    /// Where to; placeholders still in it.
    pub url: String,
    /// The exact bytes.
    pub body: Vec<u8>,
}

/// Calls attempts back: those that share it, and of which nothing is written yet. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// From now on nothing is written any more.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Scheme, host and port of a URL: who is behind it. It does not show itself, for a host may come from a credential.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// By this text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Sender {
    /// A sender over this transport, which is put under the policy of `webhooks`; `environment` fills the placeholders
    /// of URLs and headers, at each attempt anew.
    pub fn new(
        transport: Transport,
        environment: Environment,
        clock: Clock,
        webhooks: WebhooksConfig,
    ) -> Self {
        let transport = transport.judging(webhooks.url.clone());
        Self { transport, environment, clock, webhooks: Arc::new(webhooks) }
    }

    /// The same sender under other settings, without the connections that were made under these.
    pub fn under(&self, webhooks: WebhooksConfig) -> Self {
        Self::new(self.transport.clone(), self.environment.clone(), self.clock.clone(), webhooks)
    }

    /// Whose receiver it is. What is no URL is nobody else's.
    pub fn origin(&self, url: &str) -> Origin {
        let filled = self.environment.fill(url).ok();
        let parsed = filled.and_then(|filled| url::Url::parse(filled.expose()).ok());
        Origin(parsed.map_or_else(|| url.to_owned(), |url| url.origin().ascii_serialization()))
    }

    /// Makes one attempt. It never retries, and what it reports holds no secret.
    pub async fn send(&self, attempt: Attempt) -> AttemptReport {
        self.send_unless(attempt, &CancelToken::default()).await
    }

    /// The same, unless it is called back before it is written: a connection may take ten seconds to come about.
    pub async fn send_unless(&self, attempt: Attempt, cancel: &CancelToken) -> AttemptReport {
        match self.prepare(attempt) {
            Ok(prepared) => self.exchange(prepared, cancel).await,
            Err(result) => AttemptReport::unanswered(result),
        }
    }

    fn prepare(&self, attempt: Attempt) -> Result<Prepared, AttemptResult> {
        let not_now = |detail| refused(detail, Pace::Usual);
        let url = self.environment.fill(&attempt.url);
        let url = url.map_err(|error| not_now(format!("its URL: {error}")))?;
        let url = self.webhooks.url.judge_url(url.expose()).map_err(|refusal| AttemptResult::Final {
            ending: Ending::Blocked,
            code: None,
            detail: format!("the policy refuses its URL: {refusal}"),
        })?;
        request::prepare(attempt, &url, &self.webhooks, &self.environment).map_err(not_now)
    }

    async fn exchange(&self, prepared: Prepared, cancel: &CancelToken) -> AttemptReport {
        let Prepared { request, mut secrets, webhook_id } = prepared;
        let start = Instant::now();
        let until = start + ATTEMPT_WAIT;
        let keys = &self.webhooks.signing_secrets;
        let mut cancelled = false;
        // Look-up and connection take their time; receivers hold the timestamp against their own clock.
        let mut sign = |request: &mut Request<Bytes>| {
            if cancel.is_cancelled() {
                cancelled = true;
                return Err(TransportError::NotSent("it was called back".to_owned()));
            }
            let signatures = request::sign(request, &webhook_id, keys, self.clock.now());
            let signatures = signatures.map_err(TransportError::NotSent)?;
            signatures.split([' ', ',']).for_each(|signature| secrets.add(signature));
            Ok(())
        };
        let exchanged = timeout_at(until, self.transport.send_signed(request, &mut sign)).await;
        let response = match exchanged {
            Ok(Ok(response)) => response,
            Ok(Err(_)) if cancelled => return AttemptReport::unanswered(AttemptResult::Withdrawn),
            Ok(Err(error)) => return AttemptReport::unanswered(unsent(&error)),
            Err(_) => {
                let detail = format!("no answer within {}", humantime::format_duration(ATTEMPT_WAIT));
                return AttemptReport::unanswered(refused(detail, Pace::Usual));
            }
        };
        let head_took = start.elapsed();
        let (head, body) = response.into_parts();
        // The head has said it all; a body that never ends changes nothing about it.
        let mut read = BytesMut::new();
        let _ = timeout_at(until, read_some(body, &mut read)).await;
        let result = answer::judge(&head, self.clock.now());
        let accepted = matches!(result, AttemptResult::Accepted { .. });
        let far_end = head.extensions.get::<FarEnd>();
        AttemptReport {
            address: far_end.map(|far_end| far_end.address.to_string()),
            phases: Phases {
                head: Some(head_took),
                ..far_end.map(|far_end| far_end.opening).unwrap_or_default()
            },
            answer: if accepted { None } else { answer::kept(&read, &secrets) },
            receiver_clock: answer::date(&head.headers),
            result,
        }
    }
}

fn unsent(error: &TransportError) -> AttemptResult {
    match error {
        TransportError::NotSent(detail) => refused(format!("cannot connect: {detail}"), Pace::Usual),
        TransportError::Tls(detail) => refused(format!("TLS: {detail}"), Pace::Slow),
        TransportError::Denied(refusal) => {
            refused(format!("not sent, for the policy refuses where its name leads: {refusal}"), Pace::Usual)
        }
        TransportError::Broken(detail) => refused(format!("no answer: {detail}"), Pace::Usual),
        TransportError::TooLarge(_) => refused(error.to_string(), Pace::Usual),
    }
}

fn refused(detail: String, pace: Pace) -> AttemptResult {
    AttemptResult::Refused { code: None, detail: answer::in_one_line(&detail), retry_after: None, pace }
}

/// Reads so far that the connection can usually be used again; an endless answer is left, and its connection closed.
async fn read_some(mut body: BodyStream, read: &mut BytesMut) {
    while read.len() < RECEIVER_ANSWER_BYTES_MAX {
        let Some(Ok(piece)) = body.next().await else { return };
        let room = RECEIVER_ANSWER_BYTES_MAX - read.len();
        let piece: &Bytes = &piece;
        read.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

#[cfg(test)]
mod tests;
