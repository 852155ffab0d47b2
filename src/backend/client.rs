//! Requests to the agent server: address, key, bounds in bytes and time.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::answer::{self, Answer};
use crate::config::Secret;
use crate::domain::bounds::ANSWER_BYTES_MAX;
use crate::domain::secrets::Secrets;
use crate::transport::{BodyStream, Transport, TransportError, read_body};

/// A client of one agent server; cheap to clone.
#[derive(Clone, Debug)]
pub struct AgentClient {
    transport: Transport,
    base: Url,
    api_key: Option<Secret>,
    request_timeout: Duration,
    /// What answers may quote and nobody else should read.
    secrets: Secrets,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server does not know what we ask about.
    #[error("backend answered 404{0}")]
    NotFound(String),
    /// It answered something else than we asked for.
    #[error("backend answered {code}{detail}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// Its words, with a colon before them.
        detail: String,
    },
    /// Its answer is longer than we read.
    #[error("backend answered with more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    /// There was no answer, or none that can be read.
    #[error("backend unreachable: {0}")]
    Unreachable(String),
}

impl From<TransportError> for CallError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::TooLarge(bytes_max) => CallError::TooLarge { bytes_max },
            TransportError::NotSent(_)
            | TransportError::Tls(_)
            | TransportError::Denied(_)
            | TransportError::Broken(_) => CallError::Unreachable(error.to_string()),
        }
    }
}

impl AgentClient {
    /// A client for the server at `base`.
    pub fn new(transport: Transport, base: Url, api_key: Option<Secret>, request_timeout: Duration) -> Self {
        let mut secrets = Secrets::default();
        api_key.iter().for_each(|key| secrets.add(key.expose()));
        Self { transport, base, api_key, request_timeout, secrets }
    }

    /// The same client for one run, into whose request these were filled.
    pub fn redacting(&self, secrets: Secrets) -> Self {
        Self { secrets: secrets.and(self.secrets.clone()), ..self.clone() }
    }

    /// What the server says in this body, with a colon before it, or nothing.
    pub fn error_text(&self, body: &[u8]) -> String {
        answer::words(body, &self.secrets)
    }

    pub(super) fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    /// How long one request may take.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<BodyStream>, TransportError> {
        let request = self.request(method, path, body)?;
        match tokio::time::timeout(self.request_timeout, self.transport.send(request)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Broken(format!(
                "nothing heard within {}",
                humantime::format_duration(self.request_timeout)
            ))),
        }
    }

    /// Sends a request and reads the whole answer.
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
            Ok(Answer { status: parts.status, headers: parts.headers, body, secrets: self.secrets() })
        };
        // Twice: once for the head and once for the body, however slowly it drips.
        match tokio::time::timeout(self.request_timeout * 2, whole).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::Broken("the answer did not end in time".to_owned())),
        }
    }

    /// Asks a question whose answer is JSON.
    pub(super) async fn ask_json(&self, method: Method, path: &str) -> Result<Value, CallError> {
        let answer = self.ask(method, path, None).await?;
        match answer.status {
            status if status.is_success() => serde_json::from_slice(&answer.body).map_err(|error| {
                CallError::Unreachable(format!("its answer to {path} is no JSON ({error}){}", answer.words()))
            }),
            StatusCode::NOT_FOUND => Err(CallError::NotFound(answer.words())),
            status => Err(CallError::Status { code: status.as_u16(), detail: answer.words() }),
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
        if let Some(key) = &self.api_key {
            builder = builder.header("x-api-key", answer::sensitive(key.expose())?);
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
