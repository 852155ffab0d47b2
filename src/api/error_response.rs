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
pub(super) struct ErrorResponse {
    pub(super) status: StatusCode,
    /// The human-readable reason.
    pub(super) detail: String,
}

/// Declares a constructor for each status.
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $status:ident;)+) => {
        impl ErrorResponse {
            $($(#[$doc])* pub(super) fn $name(detail: impl Into<String>) -> Self {
                Self { status: StatusCode::$status, detail: detail.into() }
            })+
        }
    };
}

errors! {
    /// The request asks for nothing, or for something that can never be done.
    bad_request = BAD_REQUEST;
    /// The request has no key, or a wrong one.
    unauthorized = UNAUTHORIZED;
    forbidden = FORBIDDEN;
    not_found = NOT_FOUND;
    /// The path exists, but not with this method.
    not_allowed = METHOD_NOT_ALLOWED;
    /// The body did not arrive in time.
    too_slow = REQUEST_TIMEOUT;
    /// It cannot be done in the present state.
    conflict = CONFLICT;
    too_large = PAYLOAD_TOO_LARGE;
    unsupported_media_type = UNSUPPORTED_MEDIA_TYPE;
    /// The request is well-formed but makes no sense.
    invalid = UNPROCESSABLE_ENTITY;
    too_many_requests = TOO_MANY_REQUESTS;
    /// The store failed.
    failed = INTERNAL_SERVER_ERROR;
    not_implemented = NOT_IMPLEMENTED;
    /// The agent server did not respond, or its response does not say what we have to know.
    bad_gateway = BAD_GATEWAY;
    /// It cannot be done at the moment.
    unavailable = SERVICE_UNAVAILABLE;
    /// The agent server did not respond in time.
    gateway_timeout = GATEWAY_TIMEOUT;
}

impl From<StoreError> for ErrorResponse {
    fn from(error: StoreError) -> Self {
        let of_status = match error {
            StoreError::NotFound(_) | StoreError::Conflict(_) => Self::conflict,
            StoreError::BadRow(_) | StoreError::IllegalTransition(_) | StoreError::NotHeld => Self::conflict,
            StoreError::TooManyWaiting { .. } => Self::too_many_requests,
            StoreError::TookTooLong | StoreError::Ousted => Self::unavailable,
            ref error if error.passes() => Self::unavailable,
            StoreError::NoRoom { .. } | StoreError::Unconfirmed => Self::unavailable,
            StoreError::ServerAway { .. } => Self::unavailable,
            StoreError::ServerUnusable { .. } | StoreError::ServerDenied { .. } => Self::failed,
            StoreError::Lost(_) | StoreError::Taken { .. } => Self::failed,
            StoreError::Unusable { .. } | StoreError::Denied { .. } => Self::failed,
            StoreError::Sqlite(_) | StoreError::Postgres(_) => Self::failed,
        };
        of_status(error.to_string())
    }
}

impl From<BodyError> for ErrorResponse {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::too_large(error.to_string()),
            BodyError::Stalled | BodyError::TooSlow => Self::too_slow(error.to_string()),
        }
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let Self { status, detail } = self;
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
