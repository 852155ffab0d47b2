//! Who may use the API.
//!
//! Over the Unix socket, everybody who may open the file. Over TCP, everybody who sends one of `http.api_keys` or, if
//! no keys are set, every program on this machine, but no web page that is open in a browser here. A page of another
//! site can send requests to loopback (they then carry an `Origin`), and can even read the responses if it points a
//! name of its own at loopback (DNS rebinding; the requests then carry that name as their `Host`).

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use sha2::{Digest, Sha256};

use super::error_response::ErrorResponse;
use crate::config::Secret;

/// The agent server's own header for a key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The rules for one listener.
#[derive(Clone)]
pub(super) struct Auth {
    listener: ListenerKind,
    keys: KeyDigests,
}

#[derive(Clone, Copy)]
enum ListenerKind {
    UnixSocket,
    Tcp,
}

/// What is known about the sender of an accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// It used the Unix socket or sent a key: the operator trusts it.
    Authenticated,
    /// It is some program on this machine.
    Local,
}

/// SHA-256 digests of the keys: how long it takes to compare digests reveals nothing about the keys.
#[derive(Clone)]
struct KeyDigests(Vec<[u8; 32]>);

impl Auth {
    pub(super) fn unix_socket(keys: &[Secret]) -> Self {
        Self { listener: ListenerKind::UnixSocket, keys: KeyDigests::of(keys) }
    }

    pub(super) fn tcp(keys: &[Secret]) -> Self {
        Self { listener: ListenerKind::Tcp, keys: KeyDigests::of(keys) }
    }

    /// Accepts or rejects a request by its headers, and removes our own keys from them, so that they reach neither the
    /// handlers nor the agent server.
    pub(super) fn authenticate(&self, uri: &Uri, headers: &mut HeaderMap) -> Result<Caller, ErrorResponse> {
        let has_key = self.keys.remove_from(headers);
        match self.listener {
            ListenerKind::UnixSocket => Ok(Caller::Authenticated),
            ListenerKind::Tcp if has_key => Ok(Caller::Authenticated),
            ListenerKind::Tcp if self.keys.0.is_empty() => check_local(uri, headers).map(|()| Caller::Local),
            ListenerKind::Tcp => {
                let message = "the API key is missing or wrong: send one of http.api_keys as x-api-key or as \
                               Authorization: Bearer";
                Err(ErrorResponse::Unauthorized(message.to_owned()))
            }
        }
    }
}

impl KeyDigests {
    fn of(keys: &[Secret]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key.expose()).into()).collect())
    }

    /// Removes our keys from the headers and returns whether there was one. Other keys, such as one for the agent
    /// server, stay.
    fn remove_from(&self, headers: &mut HeaderMap) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let in_own_header = headers.get_all(X_API_KEY).iter().any(|value| self.has(value.as_bytes()));
        let as_bearer =
            headers.get_all(AUTHORIZATION).iter().filter_map(bearer_token).any(|token| self.has(token));
        if in_own_header {
            headers.remove(X_API_KEY);
        }
        if as_bearer {
            headers.remove(AUTHORIZATION);
        }
        in_own_header || as_bearer
    }

    fn has(&self, key: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.0.contains(&digest)
    }
}

/// Returns the token in `Bearer …`; the scheme may be in any case (RFC 9110 §11.1).
fn bearer_token(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn check_local(uri: &Uri, headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let advice = "without http.api_keys only programs on this machine may use the API";
    let host = headers.get(HOST).map(|host| host.to_str().unwrap_or("?")).or_else(|| uri.host());
    // HTTP/1.0 has no Host; no browser speaks it.
    if host.is_some_and(|host| !is_loopback(host)) {
        return Err(ErrorResponse::Forbidden(format!(
            "the Host of this request is not this machine: {advice}"
        )));
    }
    let is_foreign = |origin: &HeaderValue| {
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        !host.is_some_and(is_loopback)
    };
    if headers.get_all(ORIGIN).iter().any(is_foreign) {
        return Err(ErrorResponse::Forbidden(format!(
            "this request comes from a page of another site: {advice}"
        )));
    }
    Ok(())
}

/// Whether `host` or `host:port`, as in `Host` and at the end of `Origin`, names this machine.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = host.to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Secret> {
        ["first-key-of-two", "second-key-of-two"].map(Secret::new).to_vec()
    }

    /// Checks what becomes of a request with these headers, and which of them remain.
    fn check(auth: &Auth, sent: &[(&str, &str)], expected: Result<Caller, u16>, remaining: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let result = auth.authenticate(&Uri::from_static("/info"), &mut headers);
        assert_eq!(result.map_err(|error| error.status().as_u16()), expected, "{sent:?}");
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), remaining, "{sent:?}");
    }

    #[test]
    fn with_keys_set_one_of_them_is_required_and_is_removed() {
        let auth = Auth::tcp(&keys());
        let authenticated = Ok(Caller::Authenticated);
        check(&auth, &[("x-api-key", "second-key-of-two")], authenticated, &[]);
        check(&auth, &[("authorization", "bearer first-key-of-two")], authenticated, &[]);
        let both = [("authorization", "Bearer of-the-server"), ("x-api-key", "first-key-of-two")];
        check(&auth, &both, authenticated, &["authorization"]);
        check(&auth, &[("x-api-key", "first-key-of-twO")], Err(401), &["x-api-key"]);
        check(&auth, &[("x-api-key", "")], Err(401), &["x-api-key"]);
        check(&auth, &[("authorization", "Basic first-key-of-two")], Err(401), &["authorization"]);
        check(&auth, &[("host", "localhost")], Err(401), &["host"]);
        check(&auth, &[], Err(401), &[]);
    }

    #[test]
    fn the_unix_socket_needs_no_key_and_removes_ours() {
        let auth = Auth::unix_socket(&keys());
        check(&auth, &[("host", "anything.example")], Ok(Caller::Authenticated), &["host"]);
        check(&auth, &[("x-api-key", "first-key-of-two")], Ok(Caller::Authenticated), &[]);
        let twice = [("x-api-key", "of-the-server"), ("x-api-key", "first-key-of-two")];
        check(&auth, &twice, Ok(Caller::Authenticated), &[]);
    }

    #[test]
    fn without_keys_programs_on_this_machine_are_accepted_and_pages_of_other_sites_are_not() {
        let auth = Auth::tcp(&[]);
        let hosts =
            ["localhost", "LOCALHOST:2025", "127.0.0.1:2025", "127.8.9.1", "[::1]:2025", "a.localhost:1"];
        for host in hosts {
            check(&auth, &[("host", host)], Ok(Caller::Local), &["host"]);
            let origin = format!("http://{host}");
            check(&auth, &[("host", host), ("origin", &origin)], Ok(Caller::Local), &["host", "origin"]);
        }
        let others =
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""];
        for host in others {
            check(&auth, &[("host", host)], Err(403), &["host"]);
            let origin = format!("https://{host}");
            check(&auth, &[("host", "localhost"), ("origin", &origin)], Err(403), &["host", "origin"]);
        }
        check(&auth, &[("host", "localhost"), ("origin", "null")], Err(403), &["host", "origin"]);
    }
}
