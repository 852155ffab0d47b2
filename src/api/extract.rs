//! Extractors for what a request says: its path, its query and its body, parsed strictly, with our own error texts.

use std::convert::Infallible;
use std::error::Error;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::error_response::ErrorResponse;
use super::timeouts::body_error;
use crate::domain::access::Caller;
use crate::domain::act::Actor;
use crate::domain::bounds::API_BODY_BYTES_MAX;

/// The one name or id in the path.
pub(super) struct PathParameter(pub(super) String);

/// The query; unknown parameters are errors.
pub(super) struct StrictQuery<T>(pub(super) T);

impl<T: DeserializeOwned> StrictQuery<T> {
    /// Parses the text of a query.
    pub(super) fn of(query: &str) -> Result<Self, ErrorResponse> {
        let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
        let uri = uri.map_err(|error| ErrorResponse::invalid(format!("query: {error}")))?;
        Query::try_from_uri(&uri).map(|Query(query)| Self(query)).map_err(|rejection| query_error(&rejection))
    }
}

/// A JSON object as the body; no body at all, or `null`, counts as an empty object.
pub(super) struct JsonBody<T>(pub(super) T);

/// Who is to be recorded for what a request changes.
impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let caller = parts.extensions.get::<Caller>().unwrap_or(&Caller::Local);
        Ok(Self::of(caller))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParameter {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(segment)| Self(segment)).map_err(|rejection| {
            let problem = match &rejection {
                PathRejection::FailedToDeserializePathParams(error) => error.kind().to_string(),
                other => other.to_string(),
            };
            ErrorResponse::invalid(format!("path: {problem}"))
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejection| query_error(&rejection))
    }
}

/// The rejection itself says no more than that the query could not be deserialized; its source says why.
fn query_error(rejection: &QueryRejection) -> ErrorResponse {
    let problem = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
    ErrorResponse::invalid(format!("query: {problem}"))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        let body: Result<Bytes, BytesRejection> = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| match (body_error(&rejection), rejection.status()) {
            (Some(error), _) => error.into(),
            (None, StatusCode::PAYLOAD_TOO_LARGE) => {
                ErrorResponse::too_large(format!("body: larger than {API_BODY_BYTES_MAX} bytes"))
            }
            (None, _) => ErrorResponse::invalid(format!("body: {rejection}")),
        })?;
        match body.trim_ascii() {
            b"" | b"null" => parse(b"{}"),
            // Serde would also accept an array of the fields' values.
            object if object.starts_with(b"{") => parse(object),
            _ => Err(ErrorResponse::invalid("body: expected a JSON object")),
        }
    }
}

fn parse<T: DeserializeOwned>(object: &[u8]) -> Result<JsonBody<T>, ErrorResponse> {
    serde_json::from_slice(object)
        .map(JsonBody)
        .map_err(|error| ErrorResponse::invalid(format!("body: {error}")))
}
