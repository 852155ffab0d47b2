//! The agent server that requests are forwarded to.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, LOCATION, VIA};
use axum::http::request::Parts;
use axum::http::uri::{Authority, Parts as UriParts, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;
use hyper::body::Body as _;

use super::hop_by_hop;
use crate::api::admission::X_API_KEY;
use crate::api::error_response::ErrorResponse;
use crate::api::peer::Peer;
use crate::api::timeouts::body_error;
use crate::backend::AgentClient;
use crate::domain::access::Caller;
use crate::domain::ids::{InstallationId, RunId, ThreadId};
use crate::transport::{Relay, RelayError};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Our entry in `Via`, by which a request that comes back to us is recognised (RFC 9110 §7.6.3).
const OWN_VIA: &str = "1.1 agentcron";

#[derive(Clone, Debug)]
pub struct AgentServer {
    relay: Relay,
    /// For our own requests. Its credentials are lent to requests of authenticated callers.
    client: AgentClient,
    scheme: Scheme,
    authority: Authority,
    /// Goes before every path; without a slash at its end.
    prefix: String,
}

impl AgentServer {
    /// Returns `None` if no request can be sent to `url`.
    pub fn new(relay: Relay, client: AgentClient, url: &url::Url) -> Option<Self> {
        let parts = url.as_str().parse::<Uri>().ok()?.into_parts();
        let prefix = parts.path_and_query.map(|path| path.path().trim_end_matches('/').to_owned());
        Some(Self {
            relay,
            client,
            scheme: parts.scheme?,
            authority: parts.authority?,
            prefix: prefix.unwrap_or_default(),
        })
    }

    /// Sends a request that [`Self::outbound`] has prepared.
    pub(super) async fn send(&self, request: Request) -> Result<Response<Body>, RelayError> {
        let mut response = self.relay.send(request).await?;
        self.rewrite_location(response.headers_mut());
        Ok(response)
    }

    /// Turns a redirect to an address of the agent server into a path, so that a client that follows it comes back here.
    fn rewrite_location(&self, headers: &mut HeaderMap) {
        let base = format!("{}://{}{}", self.scheme, self.authority, self.prefix);
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let path = location.and_then(|location| location.strip_prefix(&base));
        let path = path.filter(|path| path.starts_with('/')).map(HeaderValue::from_str);
        if let Some(Ok(path)) = path {
            headers.insert(LOCATION, path);
        }
    }

    /// Returns the thread that the agent server created for a run of ours, if it can be found.
    pub(super) async fn thread_of(&self, run_id: RunId, installation_id: InstallationId) -> Option<ThreadId> {
        match self.client.threads_of(run_id, installation_id).await.as_deref() {
            Ok([thread_id]) => Some(*thread_id),
            Ok(_) | Err(_) => None,
        }
    }

    /// Prepares a client's request for the agent server: its address, its headers, its credentials.
    pub(super) fn outbound(&self, mut parts: Parts, body: Body) -> Result<Request, ErrorResponse> {
        if has_own_via(&parts.headers) {
            return Err(ErrorResponse::bad_gateway("backend.url leads back to agentcron"));
        }
        let may_use_ours = parts.extensions.get::<Caller>().is_some_and(Caller::may_use_backend_credentials);
        let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.address);
        let headers = &mut parts.headers;
        // Before any header is removed: a request that came with credentials of its own never goes out with ours.
        let has_own_credentials = self.has_credentials(headers);
        hop_by_hop::remove(headers);
        // By now we have sent `100 Continue` ourselves.
        headers.remove(EXPECT);
        if body.size_hint().exact().is_none() {
            headers.remove(CONTENT_LENGTH);
        }
        if let Some(peer) = peer {
            append(headers, X_FORWARDED_FOR, &peer.to_string());
            headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        }
        // `Host` becomes the agent server's own name.
        if let Some(host) = headers.remove(HOST) {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        append(headers, VIA, OWN_VIA);
        if may_use_ours && !has_own_credentials {
            headers.extend(self.client.credentials().headers().clone());
        }
        parts.uri = self.uri(&parts.uri)?;
        Ok(Request::from_parts(parts, body))
    }

    /// Whether a request has a header that may let it in at the agent server.
    fn has_credentials(&self, headers: &HeaderMap) -> bool {
        let names = [X_API_KEY, AUTHORIZATION];
        names.iter().chain(self.client.credentials().headers().keys()).any(|name| headers.contains_key(name))
    }

    /// Returns the error response for a request that got no response.
    pub(super) fn error_response(&self, error: &RelayError) -> ErrorResponse {
        if let Some(error) = body_error(error) {
            return error.into();
        }
        tracing::debug!(%error, "request not forwarded");
        let address = &self.authority;
        ErrorResponse::bad_gateway(match error {
            RelayError::NotSent(_) => format!("the agent server at {address} cannot be reached: {error}"),
            RelayError::Broken(_) => format!("the agent server at {address} did not respond: {error}"),
        })
    }

    fn uri(&self, requested: &Uri) -> Result<Uri, ErrorResponse> {
        let invalid = || ErrorResponse::invalid("the request target is not a path");
        let path =
            requested.path_and_query().filter(|path| path.as_str().starts_with('/')).ok_or_else(invalid)?;
        let path = match self.prefix.as_str() {
            "" => path.clone(),
            prefix => PathAndQuery::try_from(format!("{prefix}{path}")).map_err(|_| invalid())?,
        };
        let mut parts = UriParts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| invalid())
    }
}

fn has_own_via(headers: &HeaderMap) -> bool {
    headers.get_all(VIA).iter().any(|via| via.to_str().is_ok_and(|via| via.contains(OWN_VIA)))
}

/// Appends to a header that is a list and may exist already.
fn append(headers: &mut HeaderMap, name: HeaderName, item: &str) {
    let before: Vec<&str> = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    let list = if before.is_empty() { item.to_owned() } else { format!("{}, {item}", before.join(", ")) };
    if let Ok(value) = HeaderValue::try_from(list) {
        headers.insert(name, value);
    }
}
