//! Makes one attempt to deliver one webhook: judge the URL, build the request, exchange it, and classify the
//! result.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::Request;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::{self, refused};
use super::messages::{self, Message};
use super::request::{self, MessageRequest, OutboundWebhook, PreparedRequest};
use super::smtp;
use crate::clock::Clock;
use crate::config::{Environment, NotifyConfig, WebhooksConfig};
use crate::domain::bounds::{ATTEMPT_WAIT, RECEIVER_ANSWER_BYTES_MAX};
use crate::domain::delivery::{AttemptReport, AttemptResult, Ending, Fault, Phases};
use crate::domain::members::Members;
use crate::domain::notification::target_of_url;
use crate::domain::ping::target_of_ping;
use crate::domain::signing::SigningKey;
use crate::transport::{BodyStream, ConnectionInfo, Transport, TransportError};

/// Sends webhooks. It is cheap to clone.
#[derive(Clone)]
pub struct Sender {
    transport: Transport,
    environment: Environment,
    clock: Clock,
    settings: Arc<WebhooksConfig>,
    targets: Arc<NotifyConfig>,
}

/// Scheme, host and port of a URL, which identify the receiver behind it. It has no `Debug` or `Display`,
/// because a host may come from a credential.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns whether it belongs to this daemon, of those that share the store.
    pub fn belongs_to_us(&self, members: &Members) -> bool {
        members.owns(&self.0)
    }
}

/// What is sent, ready but for the signature.
enum Prepared<'s> {
    /// With the keys that sign it.
    Request(Box<PreparedRequest>, &'s [SigningKey]),
    Mail(Box<smtp::Mail>),
}

impl Sender {
    /// Returns a sender that uses this transport under the URL policy of `settings`. `environment`
    /// fills the placeholders of URLs and headers anew at each attempt.
    pub fn new(
        transport: Transport,
        environment: Environment,
        clock: Clock,
        settings: WebhooksConfig,
    ) -> Self {
        let transport = transport.with_policy(settings.url.clone());
        Self { transport, environment, clock, settings: Arc::new(settings), targets: Arc::default() }
    }

    /// Returns a sender with other settings, without the connections that were made under these.
    pub fn with_settings(&self, settings: WebhooksConfig) -> Self {
        let sender =
            Self::new(self.transport.clone(), self.environment.clone(), self.clock.clone(), settings);
        sender.with_targets(Arc::clone(&self.targets))
    }

    /// Returns whether it is known where that is, if it stands for a target of notifications.
    pub fn knows(&self, url: &str) -> bool {
        target_of_url(url).is_none_or(|name| self.targets.contains_key(name))
    }

    /// Returns a sender that knows where these targets of notifications are.
    #[must_use]
    pub fn with_targets(self, targets: Arc<NotifyConfig>) -> Self {
        Self { targets, ..self }
    }

    /// Returns the origin of a URL after filling its placeholders. A text that is not a URL is an origin of
    /// its own.
    pub fn origin(&self, url: &str) -> Origin {
        if let Some(name) = target_of_url(url) {
            return Origin(
                self.targets.get(name).map_or_else(|| url.into(), |target| target.to.origin().into()),
            );
        }
        let filled = self.environment.fill(target_of_ping(url).unwrap_or(url)).ok();
        let parsed = filled.and_then(|filled| url::Url::parse(filled.expose()).ok());
        Origin(parsed.map_or_else(|| url.into(), |url| url.origin().ascii_serialization().into()))
    }

    /// Makes one attempt. It never retries, and its report holds no secret.
    pub async fn send(&self, webhook: OutboundWebhook) -> AttemptReport {
        self.send_unless_cancelled(webhook, &CancellationToken::default()).await
    }

    /// Makes one attempt, unless it is cancelled before the request is written: opening a connection may take
    /// ten seconds.
    pub async fn send_unless_cancelled(
        &self,
        webhook: OutboundWebhook,
        cancel: &CancellationToken,
    ) -> AttemptReport {
        match self.prepare_any(webhook) {
            Ok(Prepared::Request(prepared, keys)) => self.exchange(*prepared, keys, cancel).await,
            Ok(Prepared::Mail(mail)) if !cancel.is_cancelled() => smtp::send(*mail, &self.settings).await,
            Ok(Prepared::Mail(_)) => AttemptReport::unanswered(AttemptResult::Withdrawn),
            Err(result) => AttemptReport::unanswered(result),
        }
    }

    /// Prepares a webhook, or a notification in the form that its target reads.
    fn prepare_any(&self, webhook: OutboundWebhook) -> Result<Prepared<'_>, AttemptResult> {
        let signed =
            |prepared| Prepared::Request(Box::new(prepared), self.settings.signing_secrets.as_slice());
        if let Some(url) = target_of_ping(&webhook.url) {
            return self.prepare_ping(url, webhook.body);
        }
        let Some(name) = target_of_url(&webhook.url) else { return self.prepare(webhook).map(signed) };
        let target = self.targets.get(name).ok_or_else(|| AttemptResult::Final {
            ending: Ending::Blocked,
            code: None,
            detail: format!("there is no [notify.{name}] in the configuration"),
        })?;
        match messages::message(&target.to, webhook)? {
            Message::Webhook(webhook) => self.prepare(webhook).map(signed),
            Message::Mail(mail) => Ok(Prepared::Mail(mail)),
            Message::Request(request) => self.prepare_request(request),
        }
    }

    fn prepare_ping(&self, url: &str, body: Vec<u8>) -> Result<Prepared<'_>, AttemptResult> {
        let url = self.environment.fill(url);
        let url = url.map_err(|error| AttemptResult::NoValue { detail: format!("URL: {error}") })?;
        self.prepare_request(MessageRequest { url, body, token: None, secrets: Vec::new() })
    }

    fn prepare_request(&self, request: MessageRequest) -> Result<Prepared<'_>, AttemptResult> {
        let url = self.judge(request.url.expose())?;
        let prepared = request::prepare_message(request, &url);
        let prepared = prepared.map_err(|detail| refused(detail, Fault::Ours))?;
        Ok(Prepared::Request(Box::new(prepared), &[]))
    }

    fn judge(&self, url: &str) -> Result<url::Url, AttemptResult> {
        self.settings.url.judge_url(url).map_err(|violation| AttemptResult::Final {
            ending: Ending::Blocked,
            code: None,
            detail: format!("the policy refuses the URL: {violation}"),
        })
    }

    fn prepare(&self, webhook: OutboundWebhook) -> Result<PreparedRequest, AttemptResult> {
        let retryable = |detail| refused(detail, Fault::Ours);
        let url = self.environment.fill(&webhook.url);
        let url = url.map_err(|error| AttemptResult::NoValue { detail: format!("URL: {error}") })?;
        let url = self.judge(url.expose())?;
        request::prepare(webhook, &url, &self.settings, &self.environment).map_err(retryable)
    }

    async fn exchange(
        &self,
        prepared: PreparedRequest,
        keys: &[SigningKey],
        cancel: &CancellationToken,
    ) -> AttemptReport {
        let PreparedRequest { request, mut secrets, webhook_id } = prepared;
        let start = Instant::now();
        let deadline = start + ATTEMPT_WAIT;
        let mut cancelled = false;
        // Signed only now, because lookup and connection take time, and receivers compare the timestamp with
        // their clock.
        let mut sign = |request: &mut Request<Bytes>| {
            if cancel.is_cancelled() {
                cancelled = true;
                return Err(TransportError::NotSent("cancelled before it was written".to_owned()));
            }
            let signatures = request::sign(request, &webhook_id, keys, self.clock.now());
            let signatures = signatures.map_err(TransportError::NotSent)?;
            signatures.split([' ', ',']).for_each(|signature| secrets.add(signature));
            Ok(())
        };
        let exchanged = timeout_at(deadline, self.transport.send_signed(request, &mut sign)).await;
        let response = match exchanged {
            Ok(Ok(response)) => response,
            Ok(Err(_)) if cancelled => return AttemptReport::unanswered(AttemptResult::Withdrawn),
            Ok(Err(error)) => return AttemptReport::unanswered(failed(&error)),
            Err(_) => {
                let detail = format!("no answer within {}", humantime::format_duration(ATTEMPT_WAIT));
                return AttemptReport::unanswered(refused(detail, Fault::Trouble));
            }
        };
        let head_took = start.elapsed();
        let (head, body) = response.into_parts();
        // The head decides the result, so a body that never ends does not change it.
        let mut body_start = BytesMut::new();
        let _ = timeout_at(deadline, read_start(body, &mut body_start)).await;
        let result = answer::judge(&head, self.clock.now());
        let accepted = matches!(result, AttemptResult::Accepted { .. });
        let connection = head.extensions.get::<ConnectionInfo>();
        AttemptReport {
            address: connection.map(|connection| connection.address.to_string()),
            phases: Phases {
                head: Some(head_took),
                ..connection.map(|connection| connection.opening).unwrap_or_default()
            },
            answer: if accepted { None } else { answer::excerpt(&body_start, &secrets) },
            receiver_clock: answer::receiver_clock(&head.headers),
            result,
        }
    }
}

fn failed(error: &TransportError) -> AttemptResult {
    match error {
        TransportError::NotSent(detail) => refused(format!("cannot connect: {detail}"), Fault::NoConnection),
        TransportError::Tls(detail) => refused(format!("TLS: {detail}"), Fault::Tls),
        TransportError::Denied(violation) => {
            refused(format!("not sent: the policy refuses an address of the host: {violation}"), Fault::Ours)
        }
        TransportError::Broken(detail) => refused(format!("no answer: {detail}"), Fault::Trouble),
        TransportError::TooLarge(_) => refused(error.to_string(), Fault::Trouble),
    }
}

/// Reads a body up to [`RECEIVER_ANSWER_BYTES_MAX`]. That is usually all of it, so that the connection can be
/// used again; the connection of a longer answer is closed.
async fn read_start(mut body: BodyStream, read: &mut BytesMut) {
    while read.len() < RECEIVER_ANSWER_BYTES_MAX {
        let Some(Ok(chunk)) = body.next().await else { return };
        let room = RECEIVER_ANSWER_BYTES_MAX - read.len();
        let chunk: &Bytes = &chunk;
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}

#[cfg(test)]
mod tests;
