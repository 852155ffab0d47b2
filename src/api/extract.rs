//! What a request asks: its path, its query and its body, read strictly, and refused in our words.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;

use super::error_response::ErrorResponse;
use crate::domain::bounds::API_BODY_BYTES_MAX;

/// The one name or id in the path.
pub(super) struct PathName(pub(super) String);

/// The query, with no name that we do not know.
pub(super) struct ApiQuery<T>(pub(super) T);

/// The body; nothing at all, or null, is an empty object.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let named: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        named.map(|Path(name)| Self(name)).map_err(|error| {
            let text = error.body_text();
            ErrorResponse::Invalid(format!("path: {}", text.strip_prefix("Invalid URL: ").unwrap_or(&text)))
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let asked: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        asked.map(|Query(asked)| Self(asked)).map_err(|error| {
            let text = error.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            ErrorResponse::Invalid(format!("query: {text}"))
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| {
            let words = rejection.body_text();
            match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    ErrorResponse::TooLarge(format!("body: larger than {API_BODY_BYTES_MAX} bytes"))
                }
                _ => ErrorResponse::Invalid(format!("body: {words}")),
            }
        })?;
        match body.trim_ascii() {
            b"" | b"null" => read(b"{}"),
            // A list of the values alone would do as well for the library.
            object if object.starts_with(b"{") => read(object),
            _ => Err(ErrorResponse::Invalid("body: expected a JSON object".to_owned())),
        }
    }
}

fn read<T: DeserializeOwned>(object: &[u8]) -> Result<Body<T>, ErrorResponse> {
    serde_json::from_slice(object).map(Body).map_err(|error| ErrorResponse::Invalid(format!("body: {error}")))
}
