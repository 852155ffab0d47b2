//! Whatever we do not answer ourselves is passed on to the agent server, and its answer is passed back: bodies as they
//! come, both ways, each side no faster than the other takes it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, LOCATION, MAX_FORWARDS, VIA};
use axum::http::request::Parts;
use axum::http::uri::{Authority, Parts as UriParts, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;

use super::{Gateway, hop_by_hop};
use crate::api::auth::{Caller, X_API_KEY};
use crate::api::error_response::ErrorResponse;
use crate::api::serving::Peer;
use crate::api::timeouts::{BodyFault, body_fault, bounded};
use crate::backend::AgentClient;
use crate::config::Secret;
use crate::domain::ids::{RunId, ThreadId};
use crate::transport::{Relay, RelayError};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// By it a circle is found out: RFC 9110 §7.6.3.
const OWN_VIA: &str = "1.1 agentcron";

/// Passes a request on as it is.
pub(super) async fn pass_on(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, ErrorResponse> {
    let server = gateway.agent_server()?;
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = answered_here(&mut parts)? {
        return Ok(answer);
    }
    let body = bounded(body).await?;
    let outbound = server.outbound(parts, body)?;
    let response = server.send(outbound).await.map_err(|error| server.failed(&error))?;
    passed_back(response)
}

/// What is not for the agent server, whatever the path.
fn answered_here(parts: &mut Parts) -> Result<Option<Response>, ErrorResponse> {
    if hop_by_hop::asks_for("websocket", &parts.headers) {
        let words = "websockets are not passed on; runs are streamed by server-sent events";
        return Err(ErrorResponse::NotImplemented(words.to_owned()));
    }
    match parts.method {
        // They are about the way itself, and its answers would show what others have added to the request.
        Method::CONNECT | Method::TRACE => {
            return Err(ErrorResponse::NotImplemented(format!("{} is not passed on", parts.method)));
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

/// The answer as the client gets it.
pub(super) fn passed_back(mut response: Response<Body>) -> Result<Response, ErrorResponse> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let words = "the agent server wants to go on with another protocol";
        return Err(ErrorResponse::BadGateway(words.to_owned()));
    }
    hop_by_hop::remove(response.headers_mut());
    Ok(response)
}

/// The agent server behind us.
#[derive(Clone, Debug)]
pub struct AgentServer {
    relay: Relay,
    /// For what we ask ourselves.
    client: AgentClient,
    scheme: Scheme,
    authority: Authority,
    /// Before every path; without a slash at its end.
    prefix: String,
    /// Our key, lent to those whom the operator trusts.
    key: Option<HeaderValue>,
}

impl AgentServer {
    /// At the address of the configuration; `None` if no request can be sent there.
    pub fn new(relay: Relay, client: AgentClient, url: &url::Url, key: Option<&Secret>) -> Option<Self> {
        let parts = url.as_str().parse::<Uri>().ok()?.into_parts();
        let prefix = parts.path_and_query.map(|path| path.path().trim_end_matches('/').to_owned());
        let key = key.map(|key| HeaderValue::from_str(key.expose())).transpose().ok()?;
        Some(Self {
            relay,
            client,
            scheme: parts.scheme?,
            authority: parts.authority?,
            prefix: prefix.unwrap_or_default(),
            key: key.map(sensitive),
        })
    }

    /// Sends what was prepared by `outbound`.
    pub(super) async fn send(&self, request: Request) -> Result<Response<Body>, RelayError> {
        let mut response = self.relay.send(request).await?;
        self.lead_back_here(response.headers_mut());
        Ok(response)
    }

    /// Whoever follows it must not leave us: an address of the agent server becomes a path.
    fn lead_back_here(&self, headers: &mut HeaderMap) {
        let base = format!("{}://{}{}", self.scheme, self.authority, self.prefix);
        let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| to.strip_prefix(&base));
        let path = to.filter(|path| path.starts_with('/')).map(HeaderValue::from_str);
        if let Some(Ok(path)) = path {
            headers.insert(LOCATION, path);
        }
    }

    /// The thread that it has made for a run of ours, if it tells which.
    pub(super) async fn thread_of(&self, run_id: RunId) -> Option<ThreadId> {
        match self.client.threads_of(run_id).await.as_deref() {
            Ok([thread_id]) => Some(*thread_id),
            Ok(_) | Err(_) => None,
        }
    }

    /// The request as the agent server gets it.
    pub(super) fn outbound(&self, mut parts: Parts, body: Body) -> Result<Request, ErrorResponse> {
        if comes_from_us(&parts.headers) {
            return Err(ErrorResponse::BadGateway("backend.url leads back here".to_owned()));
        }
        let entered = parts.extensions.get::<Caller>().copied();
        let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.0);
        let headers = &mut parts.headers;
        hop_by_hop::remove(headers);
        // We have said `continue` ourselves by then.
        headers.remove(EXPECT);
        if body.size_hint().exact().is_none() {
            headers.remove(CONTENT_LENGTH);
        }
        if let Some(peer) = peer {
            append(headers, X_FORWARDED_FOR, &peer.to_string());
            headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
        }
        // The agent server's own name takes its place.
        if let Some(host) = headers.remove(HOST) {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        append(headers, VIA, OWN_VIA);
        // Ours is lent to whom the operator trusts; whoever has a key to the agent server uses that.
        let has_own = headers.contains_key(X_API_KEY) || headers.contains_key(AUTHORIZATION);
        if let (false, Some(Caller::Trusted), Some(key)) = (has_own, entered, &self.key) {
            headers.insert(X_API_KEY, key.clone());
        }
        parts.uri = self.uri(&parts.uri)?;
        Ok(Request::from_parts(parts, body))
    }

    /// Why there is no answer.
    pub(super) fn failed(&self, error: &RelayError) -> ErrorResponse {
        if let Some(fault) = body_fault(error) {
            return fault.into();
        }
        tracing::debug!(%error, "a request could not be passed on");
        let place = &self.authority;
        ErrorResponse::BadGateway(match error {
            RelayError::NotSent(_) => format!("the agent server at {place} cannot be reached: {error}"),
            RelayError::Broken(_) => format!("the agent server at {place} did not answer: {error}"),
        })
    }

    fn uri(&self, asked: &Uri) -> Result<Uri, ErrorResponse> {
        let invalid = || ErrorResponse::Invalid("this is no path".to_owned());
        let path =
            asked.path_and_query().filter(|path| path.as_str().starts_with('/')).ok_or_else(invalid)?;
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

fn comes_from_us(headers: &HeaderMap) -> bool {
    headers.get_all(VIA).iter().any(|via| via.to_str().is_ok_and(|via| via.contains(OWN_VIA)))
}

/// At the end of a list that may be there already.
fn append(headers: &mut HeaderMap, name: HeaderName, item: &str) {
    let before: Vec<&str> = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    let list = if before.is_empty() { item.to_owned() } else { format!("{}, {item}", before.join(", ")) };
    if let Ok(value) = HeaderValue::try_from(list) {
        headers.insert(name, value);
    }
}

/// No log shows it.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

impl From<BodyFault> for ErrorResponse {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => ErrorResponse::TooLarge(fault.to_string()),
            BodyFault::Silent => ErrorResponse::TooSlow(fault.to_string()),
        }
    }
}
