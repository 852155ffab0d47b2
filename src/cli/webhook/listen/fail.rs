//! How `webhook listen --fail` misbehaves.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clap::ValueEnum;
use futures_util::stream;

use super::connection::ResetHandle;
use super::gzip_bomb;

/// The `Retry-After` of a 429.
const RETRY_AFTER_SECONDS: u64 = 10;
/// The size of one piece of an endless body.
const FLOOD_BYTES: usize = 16 << 10;

/// How to misbehave, other than by a plain status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Misbehaviour {
    Hang,
    Drip,
    Flood,
    Gzip,
    Reset,
    Redirect,
    Gone,
    Abort,
    Disable,
}

/// The value of `--fail`, such as `500x3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FailMode {
    reaction: Reaction,
    /// How many requests of each webhook it applies to; `None` means all.
    times: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Status(StatusCode),
    Misbehave(Misbehaviour),
}

impl FromStr for FailMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, times) = match text.rsplit_once('x') {
            Some((what, times)) if times.bytes().all(|byte| byte.is_ascii_digit()) && !times.is_empty() => {
                let times = times.parse().ok().filter(|times| *times > 0);
                (what, Some(times.ok_or("expected a number of requests after the x, at least 1")?))
            }
            Some(_) | None => (text, None),
        };
        let reaction = match what.parse::<u16>() {
            // 1xx is not a final response.
            Ok(code @ 200..=599) => {
                StatusCode::from_u16(code).map(Reaction::Status).map_err(|e| e.to_string())?
            }
            Ok(_) => return Err("expected a status from 200 to 599".to_owned()),
            Err(_) => Reaction::Misbehave(Misbehaviour::from_str(what, false).map_err(|_| {
                let names = Misbehaviour::value_variants().iter().filter_map(Misbehaviour::to_possible_value);
                let names: Vec<_> = names.map(|name| name.get_name().to_owned()).collect();
                format!("expected a status such as 500, or one of {}", names.join(", "))
            })?),
        };
        Ok(Self { reaction, times })
    }
}

impl fmt::Display for FailMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        match self.times {
            None => f.write_str(", always"),
            Some(1) => f.write_str(", to the first request of each webhook"),
            Some(times) => write!(f, ", to the first {times} requests of each webhook"),
        }
    }
}

impl FailMode {
    /// Whether it applies to a webhook's request with this number, counted from 1.
    pub(super) fn applies_to(self, number: u32) -> bool {
        self.times.is_none_or(|times| number <= times)
    }

    /// Returns what the receiver does, as a verb phrase.
    pub(super) fn message(self) -> String {
        match self.reaction {
            Reaction::Status(code) => format!("responds with {}", code.as_u16()),
            Reaction::Misbehave(misbehaviour) => match misbehaviour {
                Misbehaviour::Hang => "never responds".to_owned(),
                Misbehaviour::Drip => "responds with 500, one byte per second".to_owned(),
                Misbehaviour::Flood => "responds with 500 and an endless body".to_owned(),
                Misbehaviour::Gzip => "responds with 500 and a gzip bomb".to_owned(),
                Misbehaviour::Reset => "resets the connection".to_owned(),
                Misbehaviour::Redirect => "responds with 307".to_owned(),
                Misbehaviour::Gone => "responds with 410".to_owned(),
                Misbehaviour::Abort => "responds with 400, webhook-delivery: abort-message".to_owned(),
                Misbehaviour::Disable => "responds with 400, webhook-delivery: disable".to_owned(),
            },
        }
    }

    /// Misbehaves as chosen.
    pub(super) async fn respond(self, connection: &ResetHandle) -> Response {
        match self.reaction {
            Reaction::Status(StatusCode::TOO_MANY_REQUESTS) => {
                let headers = [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))];
                (StatusCode::TOO_MANY_REQUESTS, headers).into_response()
            }
            Reaction::Status(code) => code.into_response(),
            Reaction::Misbehave(misbehaviour) => misbehaviour.respond(connection).await,
        }
    }
}

impl Misbehaviour {
    async fn respond(self, connection: &ResetHandle) -> Response {
        const DELIVERY: HeaderName = HeaderName::from_static("webhook-delivery");
        let endless = |pieces| (StatusCode::INTERNAL_SERVER_ERROR, pieces).into_response();
        match self {
            Self::Hang => std::future::pending().await,
            Self::Drip => endless(Body::from_stream(stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b".")), ()))
            }))),
            Self::Flood => endless(endless_body(Bytes::new(), Bytes::from(vec![b'x'; FLOOD_BYTES]))),
            Self::Gzip => {
                let mut bomb = endless(endless_body(gzip_bomb::beginning(), gzip_bomb::more()));
                bomb.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                bomb
            }
            Self::Reset => {
                // The connection ends when this response is written.
                connection.reset();
                StatusCode::OK.into_response()
            }
            Self::Redirect => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response()
            }
            Self::Gone => StatusCode::GONE.into_response(),
            Self::Abort => (StatusCode::BAD_REQUEST, [(DELIVERY, "abort-message")]).into_response(),
            Self::Disable => (StatusCode::BAD_REQUEST, [(DELIVERY, "disable")]).into_response(),
        }
    }
}

/// Returns a body of `first` and then `then` again and again.
fn endless_body(first: Bytes, then: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(first), move |first| {
        let piece = first.filter(|first| !first.is_empty()).unwrap_or_else(|| then.clone());
        async move { Some((Ok::<_, std::io::Error>(piece), None)) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fail_mode_is_a_status_or_a_misbehaviour_and_how_often() {
        for (text, applies) in [
            ("500x3", [true, true, false]),
            ("500x2", [true, false, false]),
            ("429", [true, true, true]),
            ("hangx2", [true, false, false]),
            ("gzip", [true, true, true]),
        ] {
            let mode: FailMode = text.parse().unwrap();
            assert_eq!([mode.applies_to(2), mode.applies_to(3), mode.applies_to(4)], applies, "{text}");
        }
        for misbehaviour in Misbehaviour::value_variants() {
            let name = misbehaviour.to_possible_value().unwrap();
            assert!(name.get_name().parse::<FailMode>().is_ok(), "{misbehaviour:?}");
        }
        for text in [
            "",
            "x",
            "x3",
            "500x",
            "500x0",
            "500x99999999999",
            "100",
            "600",
            "99",
            "-1",
            "explode",
            "hang x3",
        ] {
            assert!(text.parse::<FailMode>().is_err(), "{text}");
        }
    }
}
