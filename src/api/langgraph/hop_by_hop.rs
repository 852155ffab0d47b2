//! Headers that belong to one connection and are not passed on (RFC 9110 §7.6.1).

use axum::http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName};

/// Those that are meant for the next one whether or not `Connection` names them.
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

/// Takes them out, those that `Connection` names first.
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

/// Whether the client wants to go on with this protocol.
pub(super) fn asks_for(protocol: &str, headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[(&str, &str)], left: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        remove(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), left, "{sent:?}");
    }

    #[test]
    fn what_belongs_to_one_connection_ends_with_it() {
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
