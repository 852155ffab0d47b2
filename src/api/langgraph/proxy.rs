//! Requests that we do not handle ourselves are forwarded to the agent server, and its responses are passed back. Responses and
//! long bodies are streamed, each side no faster than the other reads.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::MAX_FORWARDS;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::gateway::Gateway;
use super::hop_by_hop;
use crate::api::error_response::ErrorResponse;

/// Forwards a request as it is.
pub(super) async fn forward(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let server = gateway.agent_server()?;
    let (mut parts, body) = request.into_parts();
    if let Some(response) = own_response(&mut parts)? {
        return Ok(response);
    }
    let body = gateway.streamed_bodies.admit(body).await?;
    let outbound = server.outbound(parts, body)?;
    let response = server.send(outbound).await.map_err(|error| server.error_response(&error))?;
    client_response(response)
}

/// Returns our own response to a request that is not for the agent server, whatever its path.
fn own_response(parts: &mut Parts) -> Result<Option<Response>, ErrorResponse> {
    if hop_by_hop::asks_for("websocket", &parts.headers) {
        let message = "websockets are not forwarded; runs are streamed by server-sent events";
        return Err(ErrorResponse::not_implemented(message));
    }
    match parts.method {
        // They concern the connection itself, and a response to TRACE would show the headers that others have added.
        Method::CONNECT | Method::TRACE => {
            return Err(ErrorResponse::not_implemented(format!("{} is not forwarded", parts.method)));
        }
        // RFC 9110 §7.6.2.
        Method::OPTIONS => {
            let left =
                parts.headers.get(MAX_FORWARDS).and_then(|left| left.to_str().ok()?.parse::<u32>().ok());
            match left.map(|left| left.checked_sub(1)) {
                Some(None) => return Ok(Some(StatusCode::NO_CONTENT.into_response())),
                Some(Some(left)) => drop(parts.headers.insert(MAX_FORWARDS, left.into())),
                None => {}
            }
        }
        _ => {}
    }
    Ok(None)
}

/// Returns the agent server's response as the client gets it.
pub(super) fn client_response(mut response: Response<Body>) -> Result<Response, ErrorResponse> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let message = "the agent server wants to switch to another protocol";
        return Err(ErrorResponse::bad_gateway(message));
    }
    hop_by_hop::remove(response.headers_mut());
    Ok(response)
}
