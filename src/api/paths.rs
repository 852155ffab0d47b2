//! One spelling for every path, so that no spelling gets past our own routes to the agent server.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Returns the same URI with its path written plainly, or `None` if it is plain already.
///
/// `/thread/…`, as the agent server's public guide prints it, becomes `/threads/…`, and a letter that is needlessly
/// escaped becomes that letter (RFC 3986 §6.2.2.2).
pub(super) fn plain_path(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let is_singular = path.starts_with("/thread/");
    if !is_singular && !path.contains('%') {
        return None;
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
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// Replaces escaped slashes where they can only be slashes.
///
/// The agent server unescapes slashes before it routes. Below the paths of runs and threads, whose segments are words
/// and ids, an escaped slash can be nothing else; elsewhere it may be part of a name.
fn with_plain_slashes(path: String) -> String {
    let slashed = path.replace("%2F", "/").replace("%2f", "/");
    let is_ours = ["/runs/", "/threads/", "/thread/"].iter().any(|ours| slashed.starts_with(ours));
    if is_ours { slashed } else { path }
}

/// Undoes the escapes of characters that need none.
fn unescaped(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
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
            ("/threads/a/runs?x=%61", None),
            ("/thread/a/runs/wait?x=%61", Some("/threads/a/runs/wait?x=%61")),
            ("/threads/a/%72uns", Some("/threads/a/runs")),
            ("/%74hread/a", Some("/threads/a")),
            ("/store/items/a%2Fb%", Some("/store/items/a%2Fb%")),
            ("/runs/%+1%zz%7", Some("/runs/%+1%zz%7")),
            ("/runs%2Fcrons", Some("/runs/crons")),
            ("/%74hread%2fa%2Fruns", Some("/threads/a/runs")),
            ("/runs%252Fcrons", Some("/runs%252Fcrons")),
            ("/threading", None),
            ("/thread", None),
        ] {
            let found = plain_path(&Uri::try_from(written).unwrap());
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), plain, "{written}");
        }
    }
}
