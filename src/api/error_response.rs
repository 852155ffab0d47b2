//! What is refused: a status and `{"detail": …}`, as the agent server says it.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Documented, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::Api;
use super::wire::Refused;
use crate::config::nearest;
use crate::store::StoreError;

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum ErrorResponse {
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
    /// Its body is larger than any that makes sense.
    TooLarge(String),
    /// The store could not do it.
    Failed(String),
    /// It cannot be done now.
    Unavailable(String),
    /// It is not known who asks.
    Unauthorized(String),
    /// Whoever asks may not.
    Forbidden(String),
    /// Its body does not come.
    TooSlow(String),
    /// This is not done here.
    NotImplemented(String),
    /// The agent server does not answer, or did not say what had to be known.
    BadGateway(String),
    /// The agent server does not answer in time.
    GatewayTimeout(String),
}

impl ErrorResponse {
    /// What it is in HTTP.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            ErrorResponse::NotFound(_) => StatusCode::NOT_FOUND,
            ErrorResponse::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorResponse::BadRequest(_) => StatusCode::BAD_REQUEST,
            ErrorResponse::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorResponse::Conflict(_) => StatusCode::CONFLICT,
            ErrorResponse::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorResponse::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            ErrorResponse::Forbidden(_) => StatusCode::FORBIDDEN,
            ErrorResponse::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorResponse::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ErrorResponse::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            ErrorResponse::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            ErrorResponse::BadGateway(_) => StatusCode::BAD_GATEWAY,
            ErrorResponse::GatewayTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Why.
    pub(super) fn detail(&self) -> &str {
        match self {
            ErrorResponse::NotFound(detail)
            | ErrorResponse::Invalid(detail)
            | ErrorResponse::BadRequest(detail)
            | ErrorResponse::Conflict(detail)
            | ErrorResponse::Failed(detail)
            | ErrorResponse::Unauthorized(detail)
            | ErrorResponse::Forbidden(detail)
            | ErrorResponse::TooLarge(detail)
            | ErrorResponse::Unavailable(detail)
            | ErrorResponse::TooSlow(detail)
            | ErrorResponse::NotImplemented(detail)
            | ErrorResponse::BadGateway(detail)
            | ErrorResponse::GatewayTimeout(detail) => detail,
            ErrorResponse::NotAllowed => "Method Not Allowed",
        }
    }

    /// There is no cron of this name; maybe another was meant.
    pub(super) async fn unknown_cron(api: &Api, name: &str) -> Self {
        let names = match api.store.cron_names().await {
            Ok(names) => names,
            Err(error) => return error.into(),
        };
        let meant = nearest(name, names.iter().map(String::as_str));
        ErrorResponse::NotFound(match meant {
            Some(meant) => format!("there is no cron `{name}`; did you mean `{meant}`?"),
            None => format!("there is no cron `{name}`; `agentcron list` shows all"),
        })
    }
}

impl From<StoreError> for ErrorResponse {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_)
            | StoreError::Conflict(_)
            | StoreError::BadRow(_)
            | StoreError::IllegalTransition(_) => ErrorResponse::Conflict(error.to_string()),
            StoreError::TookTooLong => ErrorResponse::Unavailable(error.to_string()),
            StoreError::Lost(_)
            | StoreError::Taken { .. }
            | StoreError::Unusable { .. }
            | StoreError::Sqlite(_) => ErrorResponse::Failed(error.to_string()),
        }
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let status = self.status();
        let detail = self.detail().to_owned();
        let mut response = (status, Json(Refused { detail })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// For the OpenAPI document: any of ours may be refused like this.
impl IntoResponses for ErrorResponse {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let refused = |description: &str| {
            let schema = Ref::from_schema_name(Refused::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response =
                ResponseBuilder::new().description(description).content("application/json", content);
            RefOr::T(response.build())
        };
        let statuses = [
            ("401", "By TCP, where `http.api_keys` are set: a key is missing or wrong"),
            ("403", "By TCP, where they are not: not a program of this machine asks"),
            ("404", "What it names is not there"),
            ("405", "Its path takes another method"),
            ("408", "Its body does not come"),
            ("409", "It cannot be done as things stand"),
            ("413", "Its body is larger than any that makes sense"),
            ("422", "It makes no sense"),
            ("500", "The store could not do it"),
            ("503", "It cannot be done now, or would take too long"),
        ];
        statuses.map(|(status, words)| (status.to_owned(), refused(words))).into()
    }
}
