//! What is refused: a status and `{"detail": …}`, as the agent server says it.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Documented, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::Api;
use super::wire::Refused;
use crate::config::nearest;
use crate::store::StoreError;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What it names is not there.
    NotFound(String),
    /// It is there, and this is not what may be done with it.
    NotAllowed(String),
    /// It makes no sense.
    Invalid(String),
    /// It cannot be done as things stand.
    Conflict(String),
    /// Its body is larger than any that makes sense.
    TooLarge(String),
    /// The store could not do it.
    Failed(String),
    /// It cannot be done now.
    Unavailable(String),
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

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(detail) => Refusal::Conflict(detail),
            StoreError::TookTooLong => Refusal::Unavailable(error.to_string()),
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
            Refusal::NotAllowed(detail) => (StatusCode::METHOD_NOT_ALLOWED, detail),
            Refusal::Invalid(detail) => (StatusCode::UNPROCESSABLE_ENTITY, detail),
            Refusal::Conflict(detail) => (StatusCode::CONFLICT, detail),
            Refusal::TooLarge(detail) => (StatusCode::PAYLOAD_TOO_LARGE, detail),
            Refusal::Failed(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
            Refusal::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, detail),
        };
        (status, Json(Refused { detail })).into_response()
    }
}

/// For the OpenAPI document: any of ours may be refused like this.
impl IntoResponses for Refusal {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let refused = |description: &str| {
            let schema = Ref::from_schema_name(Refused::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response =
                ResponseBuilder::new().description(description).content("application/json", content);
            RefOr::T(response.build())
        };
        let statuses = [
            ("404", "What it names is not there"),
            ("409", "It cannot be done as things stand"),
            ("413", "Its body is larger than any that makes sense"),
            ("422", "It makes no sense"),
            ("500", "The store could not do it"),
            ("503", "It cannot be done now, or would take too long"),
        ];
        statuses.map(|(status, words)| (status.to_owned(), refused(words))).into()
    }
}
