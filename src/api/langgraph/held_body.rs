//! Bodies of requests that must be read as a whole before they are forwarded. All of them together have a bound.

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::gateway::Gateway;
use crate::api::error_response::ErrorResponse;
use crate::api::timeouts::{body_error, bound_body};
use crate::domain::bounds::{HELD_BODY_WAIT, HTTP_BODY_BYTES_MAX};

/// Returns the whole body, and its share of the memory that all bodies have together.
pub(super) async fn read_body(
    gateway: &Gateway,
    body: Body,
) -> Result<(Bytes, OwnedSemaphorePermit), ErrorResponse> {
    let expected = HttpBody::size_hint(&body).upper().and_then(|bytes| usize::try_from(bytes).ok());
    let body = bound_body(body).await?;
    let share = u32::try_from(expected.unwrap_or(HTTP_BODY_BYTES_MAX)).unwrap_or(u32::MAX);
    let held = std::sync::Arc::clone(&gateway.held_bodies).acquire_many_owned(share).await;
    let mut held = held.map_err(|closed| ErrorResponse::Failed(closed.to_string()))?;
    // Other requests wait for this share, so even a body that never stalls must not take forever.
    let whole = tokio::time::timeout(HELD_BODY_WAIT, body.collect()).await;
    let whole = whole.map_err(|_| ErrorResponse::TooSlow("the body takes too long".to_owned()))?;
    let whole = whole.map_err(|error| match body_error(&error) {
        Some(error) => error.into(),
        None => ErrorResponse::Invalid(format!("the body did not arrive: {error}")),
    })?;
    let whole = whole.to_bytes();
    // The part of the share that was not needed must not be held for as long as the agent server takes.
    drop(held.split(held.num_permits().saturating_sub(whole.len())));
    Ok((whole, held))
}
