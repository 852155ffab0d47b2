//! Who may come in. By the Unix socket: whoever may open the file. By TCP: whoever has one of `http.api_keys`; without
//! keys, programs of this machine, but no web page that somebody has open in a browser here. A page of another site can
//! send requests to loopback (it then bears an `Origin`), and, by a name of its own that it points at loopback
//! (DNS rebinding), even read the answers (the request then bears that name as its `Host`).

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use sha2::{Digest, Sha256};

use super::error_response::ErrorResponse;
use crate::config::Secret;

/// The agent server's own header for a key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A way in.
#[derive(Clone)]
pub(super) struct Auth {
    kind: Kind,
    keys: Keys,
}

#[derive(Clone, Copy)]
enum Kind {
    Socket,
    Network,
}

/// Somebody who came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody whom the operator trusts: by the Unix socket, or with a key.
    Trusted,
    /// Some program of this machine.
    Local,
}

/// Digests of the keys: comparing these tells nothing, by the time that it takes, about the keys themselves.
#[derive(Clone)]
struct Keys(Vec<[u8; 32]>);

impl Auth {
    /// The Unix socket.
    pub(super) fn socket(keys: &[Secret]) -> Self {
        Self { kind: Kind::Socket, keys: Keys::of(keys) }
    }

    /// TCP.
    pub(super) fn network(keys: &[Secret]) -> Self {
        Self { kind: Kind::Network, keys: Keys::of(keys) }
    }

    /// Judges a request by its headers, and takes our own keys out of them: they are nobody else's business.
    pub(super) fn judge(&self, uri: &Uri, headers: &mut HeaderMap) -> Result<Caller, ErrorResponse> {
        let bears_key = self.keys.take_out_of(headers);
        match self.kind {
            Kind::Socket => Ok(Caller::Trusted),
            Kind::Network if bears_key => Ok(Caller::Trusted),
            Kind::Network if self.keys.0.is_empty() => judge_local(uri, headers).map(|()| Caller::Local),
            Kind::Network => {
                let words = "a key is missing or wrong: send one of http.api_keys as x-api-key or as Authorization: \
                             Bearer";
                Err(ErrorResponse::Unauthorized(words.to_owned()))
            }
        }
    }
}

impl Keys {
    fn of(keys: &[Secret]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key.expose()).into()).collect())
    }

    /// Whether there was one. Another key, say of the agent server, stays where it is.
    fn take_out_of(&self, headers: &mut HeaderMap) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let in_own_header = headers.get_all(X_API_KEY).iter().any(|value| self.has(value.as_bytes()));
        let as_bearer = headers.get_all(AUTHORIZATION).iter().filter_map(bearer).any(|token| self.has(token));
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

/// The token in `Bearer …`; the word in any case (RFC 9110 §11.1).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn judge_local(uri: &Uri, headers: &HeaderMap) -> Result<(), ErrorResponse> {
    let advice = "without http.api_keys only programs of this machine are answered";
    let host = headers.get(HOST).map(|host| host.to_str().unwrap_or("?")).or_else(|| uri.host());
    // HTTP/1.0 knows no Host; no browser speaks it.
    if host.is_some_and(|host| !is_loopback(host)) {
        return Err(ErrorResponse::Forbidden(format!(
            "the host of this request is not this machine: {advice}"
        )));
    }
    let is_foreign = |origin: &HeaderValue| {
        let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        !host.is_some_and(is_loopback)
    };
    if headers.get_all(ORIGIN).iter().any(is_foreign) {
        return Err(ErrorResponse::Forbidden(format!("a page of another site asks: {advice}")));
    }
    Ok(())
}

/// Of `host` or `host:port`, as in `Host` and at the end of `Origin`.
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

    /// How a request with these headers is judged, and which of them are left.
    fn check(auth: &Auth, sent: &[(&str, &str)], expected: Result<Caller, u16>, left: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let judged = auth.judge(&Uri::from_static("/info"), &mut headers);
        let judged = judged.map_err(|refusal| refusal.status().as_u16());
        assert_eq!(judged, expected, "{sent:?}");
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), left, "{sent:?}");
    }

    #[test]
    fn with_keys_one_of_them_is_needed_and_goes_no_further() {
        let auth = Auth::network(&keys());
        let trusted = Ok(Caller::Trusted);
        check(&auth, &[("x-api-key", "second-key-of-two")], trusted, &[]);
        check(&auth, &[("authorization", "bearer first-key-of-two")], trusted, &[]);
        let both = [("authorization", "Bearer of-the-server"), ("x-api-key", "first-key-of-two")];
        check(&auth, &both, trusted, &["authorization"]);
        check(&auth, &[("x-api-key", "first-key-of-twO")], Err(401), &["x-api-key"]);
        check(&auth, &[("x-api-key", "")], Err(401), &["x-api-key"]);
        check(&auth, &[("authorization", "Basic first-key-of-two")], Err(401), &["authorization"]);
        check(&auth, &[("host", "localhost")], Err(401), &["host"]);
        check(&auth, &[], Err(401), &[]);
    }

    #[test]
    fn who_may_open_the_socket_needs_no_key_and_none_goes_further() {
        let auth = Auth::socket(&keys());
        check(&auth, &[("host", "anything.example")], Ok(Caller::Trusted), &["host"]);
        check(&auth, &[("x-api-key", "first-key-of-two")], Ok(Caller::Trusted), &[]);
        let twice = [("x-api-key", "of-the-server"), ("x-api-key", "first-key-of-two")];
        check(&auth, &twice, Ok(Caller::Trusted), &[]);
    }

    #[test]
    fn without_keys_programs_of_this_machine_come_in_and_pages_of_other_sites_do_not() {
        let auth = Auth::network(&[]);
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
