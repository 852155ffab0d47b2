//! What is refused: a status and `{"detail": …}`, as the agent server says it.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Api;
use crate::config::nearest;
use crate::store::StoreError;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What it names is not there.
    NotFound(String),
    /// It makes no sense.
    Invalid(String),
    /// It asks for nothing, or for what can never be.
    BadRequest(String),
    /// The path is there, but not for this method.
    NotAllowed,
    /// It cannot be done as things stand.
    Conflict(String),
    /// The store could not do it.
    Failed(String),
    /// It is not known who asks.
    Unauthorized(String),
    /// Whoever asks may not.
    Forbidden(String),
    /// Its body is longer than anybody needs.
    TooLarge(String),
    /// Its body does not come.
    TooSlow(String),
    /// This is not done here.
    NotImplemented(String),
    /// The agent server does not answer, or did not say what had to be known.
    BadGateway(String),
    /// The agent server does not answer in time.
    GatewayTimeout(String),
}

impl Refusal {
    /// What it is in HTTP.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::BadRequest(_) => StatusCode::BAD_REQUEST,
            Refusal::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Refusal::BadGateway(_) => StatusCode::BAD_GATEWAY,
            Refusal::GatewayTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Why.
    pub(super) fn detail(&self) -> &str {
        match self {
            Refusal::NotFound(detail)
            | Refusal::Invalid(detail)
            | Refusal::BadRequest(detail)
            | Refusal::Conflict(detail)
            | Refusal::Failed(detail)
            | Refusal::Unauthorized(detail)
            | Refusal::Forbidden(detail)
            | Refusal::TooLarge(detail)
            | Refusal::TooSlow(detail)
            | Refusal::NotImplemented(detail)
            | Refusal::BadGateway(detail)
            | Refusal::GatewayTimeout(detail) => detail,
            Refusal::NotAllowed => "Method Not Allowed",
        }
    }

    /// There is no cron of this name; maybe another was meant.
    pub(super) async fn unknown_cron(api: &Api, name: &str) -> Self {
        let names = match api.store.cron_names().await {
            Ok(names) => names,
            Err(error) => return error.into(),
        };
        let meant = nearest(name, names.iter().map(String::as_str));
        Refusal::NotFound(match meant {
            Some(meant) => format!("there is no cron `{name}`; did you mean `{meant}`?"),
            None => format!("there is no cron `{name}`; `agentcron list` shows all"),
        })
    }
}

/// The body of a request; nothing at all is an empty object.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::Invalid(format!("body: {error}")))
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(detail) => Refusal::Conflict(detail),
            StoreError::Lost(_)
            | StoreError::Taken { .. }
            | StoreError::Unusable { .. }
            | StoreError::Sqlite(_) => Refusal::Failed(error.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let detail = self.detail();
        let mut response = (status, Json(json!({ "detail": detail }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
