//! Headers that belong to one connection and are not forwarded (RFC 9110 §7.6.1).

use axum::http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName};

/// The headers that belong to one connection even if `Connection` does not name them.
const OF_ONE_CONNECTION: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes them, including those that `Connection` names.
pub(super) fn remove(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &OF_ONE_CONNECTION {
        headers.remove(name);
    }
}

/// Whether the client asks to switch to this protocol.
pub(super) fn asks_for(protocol: &str, headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[(&str, &str)], remaining: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        remove(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), remaining, "{sent:?}");
    }

    #[test]
    fn headers_of_one_connection_are_removed() {
        check(&[("connection", "keep-alive"), ("keep-alive", "timeout=5"), ("accept", "*/*")], &["accept"]);
        check(&[("te", "trailers"), ("trailer", "x-sum"), ("transfer-encoding", "chunked")], &[]);
        check(&[("connection", "Upgrade"), ("upgrade", "h2c"), ("accept", "*/*")], &["accept"]);
        check(
            &[("proxy-connection", "close"), ("proxy-authorization", "Basic eA=="), ("via", "1.1 a")],
            &["via"],
        );
        check(&[("connection", "close, X-Own ,te"), ("x-own", "1"), ("x-other", "2")], &["x-other"]);
        check(&[("connection", "close"), ("connection", "x-own"), ("x-own", "1")], &[]);
        check(&[("connection", ",, (x)"), ("content-type", "a/b")], &["content-type"]);
        check(&[("authorization", "Bearer a"), ("cookie", "b")], &["authorization", "cookie"]);
    }

    #[test]
    fn another_protocol_is_found_among_several() {
        let mut headers = HeaderMap::new();
        headers.append(UPGRADE, "h2c, WebSocket".parse().unwrap());
        assert!(asks_for("websocket", &headers));
        assert!(!asks_for("socket", &headers));
    }
}
