//! What is refused: a status and `{"detail": …}`, as the agent server says it.

use axum::Json;
use axum::http::StatusCode;
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
    /// Its body is longer than anybody needs.
    TooLarge(String),
    /// The agent server did not say what had to be known.
    BadGateway(String),
    /// It cannot be done as things stand.
    Conflict(String),
    /// The store could not do it.
    Failed(String),
}

impl Refusal {
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
        let (status, detail) = match self {
            Refusal::NotFound(detail) => (StatusCode::NOT_FOUND, detail),
            Refusal::Invalid(detail) => (StatusCode::UNPROCESSABLE_ENTITY, detail),
            Refusal::BadRequest(detail) => (StatusCode::BAD_REQUEST, detail),
            Refusal::NotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()),
            Refusal::TooLarge(detail) => (StatusCode::PAYLOAD_TOO_LARGE, detail),
            Refusal::BadGateway(detail) => (StatusCode::BAD_GATEWAY, detail),
            Refusal::Conflict(detail) => (StatusCode::CONFLICT, detail),
            Refusal::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
        };
        (status, Json(json!({ "detail": detail }))).into_response()
    }
}
