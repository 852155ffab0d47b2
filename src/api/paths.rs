//! One spelling for every path, so that no spelling gets past our own routes to the agent server.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Why a path is refused: the agent server might read it in another way than we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("path: `%` must be followed by two hexadecimal digits; write a percent sign as `%25`")]
    InvalidEscape,
    #[error("path: it has another meaning when it is decoded twice; escape it only once")]
    EscapedTwice,
    #[error("path: it contains an escaped control character")]
    ControlCharacter,
    #[error("path: it contains an empty segment, `.` or `..`; write it without them")]
    NotNormal,
}

/// Returns the same URI with its path written plainly, or `None` if it is plain already.
///
/// `/thread/…`, as the agent server's public guide prints it, becomes `/threads/…`, and a letter that is needlessly
/// escaped becomes that letter (RFC 3986 §6.2.2.2).
pub(super) fn plain_path(uri: &Uri) -> Result<Option<Uri>, PathError> {
    let path = uri.path();
    let plain = with_plain_slashes(unescaped(path));
    check_segments(&plain)?;
    // Our own API takes any text as the name of a cron, and nothing below its paths is forwarded to a run.
    if !plain.starts_with("/v1/") {
        check_escapes(path)?;
    }
    let is_singular = path.starts_with("/thread/");
    if !is_singular && !path.contains('%') {
        return Ok(None);
    }
    let unescaped = with_plain_slashes(unescaped(path));
    let path = match unescaped.strip_prefix("/thread/") {
        Some(rest) => format!("/threads/{rest}"),
        None => unescaped,
    };
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    Ok(Uri::from_parts(parts).ok())
}

/// Refuses what a decoder may stumble over. A router that matches by regular expressions, as the agent server's does, may
/// also ignore a line feed at the end.
fn check_escapes(path: &str) -> Result<(), PathError> {
    let decoded = decode(path.as_bytes()).ok_or(PathError::InvalidEscape)?;
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(PathError::ControlCharacter);
    }
    let is_stable = !decoded.windows(3).any(|three| escaped(three).is_some());
    if is_stable { Ok(()) } else { Err(PathError::EscapedTwice) }
}

/// Refuses what a proxy between us and the agent server may remove (RFC 3986 §6.2.2.3).
fn check_segments(path: &str) -> Result<(), PathError> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment == "." || segment == ".." || (segment.is_empty() && !is_last) {
            return Err(PathError::NotNormal);
        }
    }
    Ok(())
}

/// Decodes every escape once (RFC 3986 §2.1), or returns `None` if one is invalid.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            decoded.push(escaped(rest.get(..3)?)?);
            rest = &rest[3..];
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    Some(decoded)
}

/// Returns the byte that `%XX` stands for.
fn escaped(three: &[u8]) -> Option<u8> {
    let [b'%', high, low] = three else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// The first segments below which we have routes whose segments are words and ids.
const WORDS_AND_IDS: [&str; 5] = ["a2a", "agent-server", "runs", "thread", "threads"];

/// Replaces escaped slashes where they can only be slashes.
///
/// The agent server unescapes slashes before it routes. Between words and ids an escaped slash can be nothing else; elsewhere
/// it may be part of a name.
fn with_plain_slashes(path: String) -> String {
    let slashed = path.replace("%2F", "/").replace("%2f", "/");
    let first = slashed.split('/').nth(1).unwrap_or_default();
    if WORDS_AND_IDS.contains(&first) { slashed } else { path }
}

/// Undoes the escapes of characters that need none.
fn unescaped(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let code = rest.as_bytes().get(before.len()..before.len() + 3).and_then(escaped);
        match code {
            Some(code) if code.is_ascii_alphanumeric() || b"-._~".contains(&code) => {
                plain.push(char::from(code));
                rest = &after[2..];
            }
            Some(_) | None => {
                plain.push('%');
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_has_one_spelling() {
        for (written, plain) in [
            ("/threads/a/runs?x=%61", Ok(None)),
            ("/thread/a/runs/wait?x=%61", Ok(Some("/threads/a/runs/wait?x=%61"))),
            ("/threads/a/%72uns", Ok(Some("/threads/a/runs"))),
            ("/%74hread/a", Ok(Some("/threads/a"))),
            ("/store/items/a%2Fb", Ok(Some("/store/items/a%2Fb"))),
            ("/store/items/100%25", Ok(Some("/store/items/100%25"))),
            ("/runs%2Fcrons", Ok(Some("/runs/crons"))),
            ("/%74hread%2fa%2Fruns", Ok(Some("/threads/a/runs"))),
            ("/a2a%2Fagent", Ok(Some("/a2a/agent"))),
            ("/%61gent-server%2fmetrics", Ok(Some("/agent-server/metrics"))),
            ("/a2a-x%2Fagent", Ok(Some("/a2a-x%2Fagent"))),
            ("/threading", Ok(None)),
            ("/thread", Ok(None)),
            ("/runs?x=%zz%", Ok(None)),
            ("/mcp/", Ok(None)),
            ("/v1/crons/%0A", Ok(Some("/v1/crons/%0A"))),
            ("/v1/crons/100%2541", Ok(Some("/v1/crons/100%2541"))),
            ("/v1/../runs%0A", Err(PathError::NotNormal)),
            ("/v1/%2e%2e/runs", Err(PathError::NotNormal)),
            ("/", Ok(None)),
            ("//runs", Err(PathError::NotNormal)),
            ("/runs//wait", Err(PathError::NotNormal)),
            ("/x/../runs", Err(PathError::NotNormal)),
            ("/./runs", Err(PathError::NotNormal)),
            ("/x/%2e%2E/runs", Err(PathError::NotNormal)),
            ("/runs%2F%2Fcrons", Err(PathError::NotNormal)),
            ("/store/items/a%2Fb%", Err(PathError::InvalidEscape)),
            ("/runs/%+1%zz%7", Err(PathError::InvalidEscape)),
            ("/%%37%32uns", Err(PathError::InvalidEscape)),
            ("/runs%252Fcrons", Err(PathError::EscapedTwice)),
            ("/%2572uns", Err(PathError::EscapedTwice)),
            ("/%25%37%32uns", Err(PathError::EscapedTwice)),
            ("/runs%0A", Err(PathError::ControlCharacter)),
            ("/runs%00/wait", Err(PathError::ControlCharacter)),
            ("/runs/wait%7f", Err(PathError::ControlCharacter)),
        ] {
            let found = plain_path(&Uri::try_from(written).unwrap());
            let found = found.map(|uri| uri.map(|uri| uri.to_string()));
            assert_eq!(found.as_ref().map(Option::as_deref).map_err(|error| *error), plain, "{written}");
        }
    }

    /// However a route's letters are escaped, once or several times: it is that route, or it is refused.
    #[test]
    fn no_spelling_of_a_route_is_another_path() {
        let routes = [
            "/a2a/agent",
            "/agent-server/metrics",
            "/runs",
            "/runs/wait",
            "/runs/batch",
            "/runs/crons",
            "/runs/stream",
            "/threads/t/runs",
            "/threads/t/runs/crons",
            "/threads/t/runs/wait",
        ];
        let spellings: [fn(u8) -> String; 7] = [
            |byte| char::from(byte).to_string(),
            |byte| format!("%{byte:02x}"),
            |byte| format!("%{byte:02X}"),
            |byte| format!("%25{byte:02x}"),
            |byte| {
                format!(
                    "%%{:02x}{:02x}",
                    b"0123456789abcdef"[usize::from(byte >> 4)],
                    b"0123456789abcdef"[usize::from(byte & 15)]
                )
            },
            |byte| {
                format!(
                    "%{:02x}%{:02x}%{:02x}",
                    b'%',
                    b"0123456789abcdef"[usize::from(byte >> 4)],
                    b"0123456789abcdef"[usize::from(byte & 15)]
                )
            },
            |byte| format!("{}%0a", char::from(byte)),
        ];
        let (mut cases, mut refused) = (0, 0);
        for route in routes {
            for place in 1..route.len() {
                for spelling in spellings {
                    let written = format!(
                        "{}{}{}",
                        &route[..place],
                        spelling(route.as_bytes()[place]),
                        &route[place + 1..]
                    );
                    let Ok(uri) = Uri::try_from(&written) else { continue };
                    cases += 1;
                    match plain_path(&uri) {
                        Ok(plain) => assert_eq!(plain.unwrap_or(uri).path(), route, "{written}"),
                        Err(_) => refused += 1,
                    }
                }
            }
        }
        assert!(cases >= 500 && refused >= 250, "{cases} spellings, {refused} refused");
    }
}
