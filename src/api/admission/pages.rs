//! Requests that web pages send: which may come in, preflights, and the headers by which a browser lets a page read the
//! response (the Fetch standard, <https://fetch.spec.whatwg.org/#http-cors-protocol>).

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::ListenerKind;
use super::authority::Authority;
use super::rules::AccessRules;
use crate::api::error_response::ErrorResponse;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// A page of a public site asks whether it may call a private network
/// (<https://wicg.github.io/private-network-access/>).
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// How long a browser may remember the answer to a preflight, in seconds: as the agent server says.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// The response headers that a page may read: the ids of a run, and what a list continues with.
const EXPOSED: [&str; 5] =
    ["content-location", "location", "retry-after", "x-pagination-total", "x-pagination-next"];
const PREFIX: &str = "access-control-";

/// What a request says about the web page that sent it; most requests come from none.
pub(super) struct Page {
    origin: Option<HeaderValue>,
    site: Option<Site>,
}

/// Where the page is, seen from us (`Sec-Fetch-Site`), which no page can forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    /// The page is ours, or the user typed the address.
    Own,
    Other,
}

/// What a browser is told with the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum Cors {
    Allowed(HeaderValue),
    Denied,
    /// No origins are configured for TCP: what the agent server says stays.
    AsTheyAre,
}

impl Page {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ErrorResponse> {
        let single = |name: &HeaderName| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (value, None) => Ok(value.cloned()),
                (_, Some(_)) => {
                    Err(ErrorResponse::bad_request(format!("this request has more than one {name}")))
                }
            }
        };
        let origin = single(&ORIGIN)?;
        let site = single(&SEC_FETCH_SITE)?.map(|site| match site.as_bytes() {
            b"same-origin" | b"none" => Site::Own,
            _ => Site::Other,
        });
        Ok(Self { origin, site })
    }

    /// Returns the origin as the browser wrote it.
    pub(super) fn origin(&self) -> Option<&str> {
        self.origin.as_ref()?.to_str().ok()
    }

    /// Whether the page is on one of these hosts, which are the hosts of its request.
    pub(super) fn is_of(&self, hosts: &[Authority]) -> bool {
        let Some((host, default_port)) = self.origin().and_then(Authority::of_origin) else { return false };
        self.site != Some(Site::Other) && hosts.iter().any(|own| own.equals(&host, default_port))
    }

    fn is_loopback(&self) -> bool {
        self.origin().and_then(Authority::of_origin).is_some_and(|(host, _)| host.is_loopback())
    }

    /// Refuses other sites where no key is needed. A link to us may be followed: its response is shown to the user only.
    pub(super) fn check_on_this_machine(&self, parts: &Parts) -> Result<(), ErrorResponse> {
        let is_navigation = parts.headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
        let is_link = is_navigation && parts.method == Method::GET;
        let is_cross_site = parts.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site");
        if self.origin.is_some() || (is_cross_site && !is_link) {
            let message = "this request comes from a page of another site: without http.api_keys only programs on this \
                           machine and the pages in http.allow_origins may use the API";
            return Err(ErrorResponse::forbidden(message));
        }
        Ok(())
    }

    /// Refuses to let a page act that is neither ours nor allowed. Without both headers it is no browser.
    pub(super) fn check_may_act(&self) -> Result<(), ErrorResponse> {
        match (self.site, &self.origin) {
            (Some(Site::Own), _) | (None, None) => Ok(()),
            (Some(Site::Other), _) | (None, Some(_)) => {
                let message = "this request comes from a web page that may not act: name its origin in http.allow_origins \
                               if it should";
                Err(ErrorResponse::forbidden(message))
            }
        }
    }
}

impl Cors {
    pub(super) fn of(page: &Page, rules: &AccessRules, listener: ListenerKind) -> Self {
        let is_open = rules.keys.is_empty() && listener == ListenerKind::Tcp;
        let has_list = !rules.allow_origins.is_empty();
        let is_allowed = rules.allows(page.origin()) || (is_open && !has_list && page.is_loopback());
        match &page.origin {
            Some(origin) if is_allowed => Cors::Allowed(origin.clone()),
            // What comes through the socket has the rights of the operator, so the agent server's `*` must not open it.
            _ if has_list || listener == ListenerKind::UnixSocket => Cors::Denied,
            _ => Cors::AsTheyAre,
        }
    }

    /// Returns a response with what the browser must know, in place of what the agent server said.
    pub(in crate::api) fn response(self, response: impl IntoResponse) -> Response {
        let mut response = response.into_response();
        let origin = match self {
            Cors::AsTheyAre => return response,
            Cors::Denied => None,
            Cors::Allowed(origin) => Some(origin),
        };
        let headers = response.headers_mut();
        let exposed = exposed(headers);
        let theirs: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
        theirs.iter().for_each(|name| drop(headers.remove(name)));
        add_vary(headers);
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        response
    }
}

/// Returns our response to a preflight, or `None` if the request is none.
pub(super) fn preflight(parts: &Parts, page: &Page, cors: &Cors) -> Result<Option<Response>, ErrorResponse> {
    let asked = &parts.headers;
    let is_preflight = parts.method == Method::OPTIONS && asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight || page.origin.is_none() {
        return Ok(None);
    }
    let Cors::Allowed(origin) = cors else {
        let message = "no page of this origin may call: name it in http.allow_origins";
        return Err(ErrorResponse::forbidden(message));
    };
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if asked.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked == "true") {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    let vary = "origin, access-control-request-method, access-control-request-headers, \
                access-control-request-private-network";
    headers.insert(VARY, HeaderValue::from_static(vary));
    Ok(Some(response))
}

/// Returns the headers that a page may read: ours, and those that the agent server names.
fn exposed(headers: &HeaderMap) -> HeaderValue {
    let theirs = headers.get_all(ACCESS_CONTROL_EXPOSE_HEADERS).iter();
    let theirs = theirs.filter_map(|names| names.to_str().ok()).flat_map(|names| names.split(','));
    let theirs = theirs.map(|name| name.trim().to_ascii_lowercase());
    let mut names: Vec<String> = EXPOSED.map(str::to_owned).to_vec();
    for name in theirs.filter(|name| !name.is_empty()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("location"))
}

/// Says that the response depends on the origin, so that no cache gives it to another page.
fn add_vary(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter().filter_map(|names| names.to_str().ok());
    let has_origin =
        names.flat_map(|names| names.split(',')).any(|name| name.trim().eq_ignore_ascii_case("origin"));
    if !has_origin {
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
