//! Which web pages may use the API: origins (RFC 6454) as browsers write them, and patterns for them.

use url::Url;

/// An origin, or every origin of one label below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// `https://` of `https://*.example.app:8443`.
    scheme: String,
    /// `*` stands for exactly one label.
    label: Label,
    /// What follows the label: host and port, or `.example.app:8443`.
    rest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    None,
    Any,
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginMistake {
    #[error("expected an origin such as https://app.example.com or https://*.example.app")]
    NotAnOrigin,
    #[error("an origin has no path, query or user: end it after the host and port")]
    MoreThanOrigin,
    #[error("every site could use the API: name the origins, such as https://app.example.com")]
    EverySite,
    #[error("`*` stands for one label at the beginning, such as in https://*.example.app")]
    Wildcard,
}

impl OriginPattern {
    /// Parses `https://app.example.com`, `http://localhost:3000` or `https://*.example.app`.
    pub fn parse(text: &str) -> Result<Self, OriginMistake> {
        if matches!(text, "*" | "null") {
            return Err(OriginMistake::EverySite);
        }
        let (scheme, host) = text.split_once("://").ok_or(OriginMistake::NotAnOrigin)?;
        let (label, plain) = match host.strip_prefix("*.") {
            Some(domain) => (Label::Any, format!("{scheme}://label.{domain}")),
            None => (Label::None, text.to_owned()),
        };
        if plain.contains('*') {
            return Err(OriginMistake::Wildcard);
        }
        let url = Url::parse(&plain).map_err(|_| OriginMistake::NotAnOrigin)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(OriginMistake::NotAnOrigin);
        }
        let has_user = !url.username().is_empty() || url.password().is_some() || plain.contains('@');
        let has_path = host.contains(['/', '?', '#', '\\']);
        if has_user || has_path {
            return Err(OriginMistake::MoreThanOrigin);
        }
        // As a browser writes it: in lower case, without a default port (RFC 6454 §6.2).
        let origin = url.origin().ascii_serialization();
        let scheme = format!("{}://", url.scheme());
        let host = origin.strip_prefix(&scheme).ok_or(OriginMistake::NotAnOrigin)?;
        let rest = match label {
            Label::None => host.to_owned(),
            Label::Any => host.strip_prefix("label").ok_or(OriginMistake::Wildcard)?.to_owned(),
        };
        // `https://*.com` would be half of the web.
        if label == Label::Any
            && rest.matches('.').count() < 2
            && rest != ".localhost"
            && !rest.starts_with(".localhost:")
        {
            return Err(OriginMistake::EverySite);
        }
        Ok(Self { scheme, label, rest })
    }

    /// Returns whether the value of an `Origin` header is one of these origins.
    pub fn matches(&self, origin: &str) -> bool {
        let Some(host) = origin.strip_prefix(self.scheme.as_str()) else { return false };
        match self.label {
            Label::None => host == self.rest,
            Label::Any => host.strip_suffix(self.rest.as_str()).is_some_and(is_label),
        }
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_origins_and_no_others() {
        let cases = [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://app.example.com.evil.example", false),
            ("https://app.example.com", "https://xapp.example.com", false),
            ("https://app.example.com", "https://app.example.com@evil.example", false),
            ("https://App.Example.com:443", "https://app.example.com", true),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://localhost:3000", "http://localhost", false),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("https://münchen.example", "https://xn--mnchen-3ya.example", true),
            ("https://*.example.app", "https://one.example.app", true),
            ("https://*.example.app", "https://one.two.example.app", false),
            ("https://*.example.app", "https://example.app", false),
            ("https://*.example.app", "https://.example.app", false),
            ("https://*.example.app", "https://oneexample.app", false),
            ("https://*.example.app", "https://evil.example/.example.app", false),
            ("https://*.example.app", "https://evil@x.example.app", false),
            ("https://*.example.app:8443", "https://one.example.app:8443", true),
            ("https://*.example.app:8443", "https://one.example.app", false),
            ("http://*.localhost:3000", "http://one.localhost:3000", true),
            ("https://app.example.com", "null", false),
        ];
        for (pattern, origin, expected) in cases {
            assert_eq!(
                OriginPattern::parse(pattern).unwrap().matches(origin),
                expected,
                "{pattern} {origin}"
            );
        }
    }

    #[test]
    fn what_is_not_a_pattern_is_refused() {
        let cases = [
            ("*", OriginMistake::EverySite),
            ("null", OriginMistake::EverySite),
            ("https://*.com", OriginMistake::EverySite),
            ("", OriginMistake::NotAnOrigin),
            ("app.example.com", OriginMistake::NotAnOrigin),
            ("https://", OriginMistake::NotAnOrigin),
            ("ftp://app.example.com", OriginMistake::NotAnOrigin),
            ("file://", OriginMistake::NotAnOrigin),
            ("https://app.example.com/", OriginMistake::MoreThanOrigin),
            ("https://app.example.com/x", OriginMistake::MoreThanOrigin),
            ("https://app.example.com?x", OriginMistake::MoreThanOrigin),
            ("https://user@app.example.com", OriginMistake::MoreThanOrigin),
            ("https://a.*.example.app", OriginMistake::Wildcard),
            ("https://*app.example.com", OriginMistake::Wildcard),
            ("https://*.*.example.app", OriginMistake::Wildcard),
            ("https://*", OriginMistake::Wildcard),
        ];
        for (text, mistake) in cases {
            assert_eq!(OriginPattern::parse(text), Err(mistake), "{text}");
        }
    }
}
