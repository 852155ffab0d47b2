//! Sends requests to the agent server: its address, our credentials, and bounds on bytes and time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use humantime::format_duration;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::answer::{self, Answer};
use super::call_error::CallError;
use super::contact::Contact;
use crate::config::Credentials;
use crate::domain::bounds::ANSWER_BYTES_MAX;
use crate::domain::secrets::Secrets;
use crate::domain::trace::{TRACEPARENT, TraceParent};
use crate::transport::{BodyStream, Transport, TransportError, read_body};

/// Where agent servers say that they are well. One without this path is well too if it says so.
const HEALTH_PATH: &str = "/ok";

/// A client of one agent server. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct AgentClient {
    transport: Transport,
    base: Url,
    credentials: Credentials,
    request_timeout: Duration,
    /// The secrets that answers may quote; they are redacted from error texts.
    secrets: Secrets,
    contact: Contact,
}

impl AgentClient {
    pub fn new(transport: Transport, base: Url, credentials: Credentials, request_timeout: Duration) -> Self {
        let secrets = credentials.secrets().clone();
        let contact = Contact::default();
        Self { transport, base, credentials, request_timeout, secrets, contact }
    }

    /// Returns a client that also redacts these secrets, which were filled into a run's request, from error
    /// texts.
    pub fn redacting(&self, secrets: Secrets) -> Self {
        Self { secrets: secrets.and(self.secrets.clone()), ..self.clone() }
    }

    /// Returns the server's own message in this body after a colon and a space, or an empty text.
    pub fn error_text(&self, body: &[u8]) -> String {
        answer::message(body, &self.secrets)
    }

    /// Returns the secrets that an answer to this client may quote.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub fn has_credentials(&self) -> bool {
        !self.credentials.headers().is_empty()
    }

    /// Returns a client that acts under other credentials.
    pub(super) fn with_credentials(&self, credentials: Credentials) -> Self {
        Self { credentials, ..self.clone() }
    }

    /// Returns the names of the headers that are to let agentcron in.
    pub fn sent_with(&self) -> String {
        let names: Vec<_> = self.credentials.headers().keys().map(http::HeaderName::as_str).collect();
        if names.is_empty() { "no credentials".to_owned() } else { names.join(", ") }
    }

    /// Returns the headers that let agentcron in.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Sends a request and returns its answer as soon as the head has arrived.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<BodyStream>, TransportError> {
        self.exchange(self.request(method, path, body)?).await
    }

    /// Does the same with a request that belongs to a trace. A configured header of that name says otherwise.
    pub(super) async fn open_in(
        &self,
        trace: TraceParent,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Response<BodyStream>, TransportError> {
        let mut request = self.request(method, path, Some(body))?;
        if let (false, Ok(value)) =
            (request.headers().contains_key(TRACEPARENT), HeaderValue::try_from(trace.to_string()))
        {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        self.exchange(request).await
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let within = self.request_timeout;
        let began = Instant::now();
        let timed_out = || TransportError::Broken(format!("no answer within {}", format_duration(within)));
        let answer = tokio::time::timeout(within, self.transport.send(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(timed_out()));
        match &answer {
            // If it is the fault of this request alone, the server is well when it is asked.
            Ok(response) if response.status().is_server_error() => {
                self.contact.unanswered(began, format!("it answered {}", response.status().as_u16()));
            }
            Ok(_) => self.contact.heard(),
            Err(error) => self.contact.unanswered(began, error.to_string()),
        }
        answer
    }

    /// Asks the server whether it is there, which its contact then shows.
    pub async fn ask_whether_it_is_there(&self, within: Duration) {
        let _ = Self { request_timeout: within, ..self.clone() }.open(Method::GET, HEALTH_PATH, None).await;
    }

    /// Returns what is known about whether the server answers.
    pub fn contact(&self) -> &Contact {
        &self.contact
    }

    /// Sends a request and returns its answer with the whole body.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, TransportError> {
        let whole = async {
            let response = self.open(method, path, body).await?;
            let (parts, body) = response.into_parts();
            let body = read_body(body, ANSWER_BYTES_MAX, self.request_timeout).await?;
            Ok(Answer { status: parts.status, headers: parts.headers, body, secrets: self.secrets.clone() })
        };
        // One timeout for the head and one for the body, even if its bytes keep arriving slowly.
        match tokio::time::timeout(self.request_timeout * 2, whole).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Broken("the answer did not end in time".to_owned())),
        }
    }

    /// Sends a request without a body and returns the JSON of the answer.
    pub(super) async fn ask_json(&self, method: Method, path: &str) -> Result<Value, CallError> {
        let answer = self.ask(method, path, None).await?;
        match answer.status {
            status if status.is_success() => serde_json::from_slice(&answer.body).map_err(|error| {
                CallError::Unreachable(format!(
                    "its answer to {path} is not JSON ({error}){}",
                    answer.message()
                ))
            }),
            _ => Err(answer.failure()),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Bytes>, TransportError> {
        let base = self.base.as_str().trim_end_matches('/');
        let mut builder = Request::builder().method(method).uri(format!("{base}{path}"));
        if let Some(headers) = builder.headers_mut() {
            headers.clone_from(self.credentials.headers());
        }
        let bytes = match body {
            None => Bytes::new(),
            Some(body) => {
                builder = builder.header(http::header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
        };
        builder.body(bytes).map_err(|error| TransportError::NotSent(error.to_string()))
    }
}
