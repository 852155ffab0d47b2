//! Error responses: a status and `{"detail": …}`, the shape that the agent server uses as well.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as DocumentedResponse, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::timeouts::BodyError;
use super::wire::ErrorBody;
use crate::domain::bounds::TOO_MANY_WAITING_RETRY_AFTER;
use crate::store::StoreError;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum ErrorResponse {
    NotFound(String),
    /// The request is well-formed but makes no sense.
    Invalid(String),
    /// The request asks for nothing, or for something that can never be done.
    BadRequest(String),
    /// The path exists, but not with this method.
    NotAllowed,
    /// It cannot be done in the present state.
    Conflict(String),
    TooLarge(String),
    /// Too much waits already.
    TooManyRequests(String),
    /// The store failed.
    Failed(String),
    /// It cannot be done at the moment.
    Unavailable(String),
    /// The request has no key, or a wrong one.
    Unauthorized(String),
    Forbidden(String),
    /// The body did not arrive in time.
    TooSlow(String),
    NotImplemented(String),
    UnsupportedMediaType(String),
    /// The agent server did not respond, or its response does not say what we have to know.
    BadGateway(String),
    /// The agent server did not respond in time.
    GatewayTimeout(String),
    /// The agent server refused, with this status and message.
    OfAgentServer(StatusCode, String),
}

impl ErrorResponse {
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
            ErrorResponse::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            ErrorResponse::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ErrorResponse::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            ErrorResponse::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            ErrorResponse::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorResponse::BadGateway(_) => StatusCode::BAD_GATEWAY,
            ErrorResponse::GatewayTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            ErrorResponse::OfAgentServer(status, _) => *status,
        }
    }

    /// Returns the human-readable reason.
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
            | ErrorResponse::TooManyRequests(detail)
            | ErrorResponse::Unavailable(detail)
            | ErrorResponse::TooSlow(detail)
            | ErrorResponse::NotImplemented(detail)
            | ErrorResponse::UnsupportedMediaType(detail)
            | ErrorResponse::BadGateway(detail)
            | ErrorResponse::GatewayTimeout(detail)
            | ErrorResponse::OfAgentServer(_, detail) => detail,
            ErrorResponse::NotAllowed => "Method Not Allowed",
        }
    }
}

impl From<StoreError> for ErrorResponse {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_)
            | StoreError::Conflict(_)
            | StoreError::BadRow(_)
            | StoreError::IllegalTransition(_) => ErrorResponse::Conflict(error.to_string()),
            StoreError::TooManyWaiting { .. } => ErrorResponse::TooManyRequests(error.to_string()),
            StoreError::TookTooLong => ErrorResponse::Unavailable(error.to_string()),
            StoreError::Lost(_)
            | StoreError::Taken { .. }
            | StoreError::Unusable { .. }
            | StoreError::Denied { .. }
            | StoreError::Sqlite(_) => ErrorResponse::Failed(error.to_string()),
        }
    }
}

impl From<BodyError> for ErrorResponse {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => ErrorResponse::TooLarge(error.to_string()),
            BodyError::Stalled | BodyError::TooSlow => ErrorResponse::TooSlow(error.to_string()),
        }
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let status = self.status();
        let detail = self.detail().to_owned();
        let mut response = (status, Json(ErrorBody { detail })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = TOO_MANY_WAITING_RETRY_AFTER.as_secs();
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The errors of every operation, for the OpenAPI document.
impl IntoResponses for ErrorResponse {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        let documented = |description: &str| {
            let schema = Ref::from_schema_name(ErrorBody::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response =
                ResponseBuilder::new().description(description).content("application/json", content);
            RefOr::T(response.build())
        };
        let statuses = [
            ("400", "The path is not written plainly, or the request asks for nothing"),
            ("401", "Over TCP, with keys set: the API key is missing or wrong"),
            (
                "403",
                "The caller may not do this: its key has other rights, it has no key, or it is a page of another site",
            ),
            ("404", "Something that the request names does not exist"),
            ("405", "The path does not allow this method"),
            ("408", "The request body did not arrive in time"),
            ("409", "The present state does not allow the request"),
            ("413", "The request body is too large"),
            ("422", "The request is invalid"),
            ("429", "Too many runs wait to start; `retry-after` says when to ask again"),
            ("500", "The store failed"),
            ("503", "The request cannot be handled at the moment, or would take too long"),
        ];
        statuses.map(|(status, description)| (status.to_owned(), documented(description))).into()
    }
}
