//! The bad receivers that `webhook listen --fail` plays.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clap::ValueEnum;
use futures_util::stream;

use super::bomb;
use super::line::Cut;

/// What a receiver that asks for patience asks for.
const RETRY_AFTER_SECONDS: u64 = 10;
/// A piece of an endless body.
const FLOOD_BYTES: usize = 16 << 10;

/// How to misbehave, other than by a plain status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Vice {
    /// Never answers.
    Hang,
    /// 500, and then a byte of the body every second, for ever.
    Drip,
    /// 500, and then a body without end.
    Flood,
    /// 500, and then a body labelled gzip that unpacks to 158 times its size, without end.
    Gzip,
    /// Resets the connection (RST) once it has the request.
    Reset,
    /// 307 to another path of itself.
    Redirect,
    /// 410.
    Gone,
    /// 400 with `webhook-delivery: abort-message`.
    Abort,
    /// 400 with `webhook-delivery: disable`.
    Disable,
}

/// `500x3`: what is done to the first three requests of each webhook, or to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    kind: Kind,
    times: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Status(StatusCode),
    Vice(Vice),
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, times) = match text.rsplit_once('x') {
            Some((what, times)) if times.bytes().all(|byte| byte.is_ascii_digit()) && !times.is_empty() => {
                let times = times.parse().ok().filter(|times| *times > 0);
                (what, Some(times.ok_or("expected a number of requests after the x, and not 0")?))
            }
            Some(_) | None => (text, None),
        };
        let kind = match what.parse::<u16>() {
            // 1xx is no final answer.
            Ok(code @ 200..=599) => {
                StatusCode::from_u16(code).map(Kind::Status).map_err(|e| e.to_string())?
            }
            Ok(_) => return Err("expected a status of 200 to 599".to_owned()),
            Err(_) => Kind::Vice(vice(what)?),
        };
        Ok(Self { kind, times })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told())?;
        match self.times {
            None => f.write_str(", always"),
            Some(1) => f.write_str(", at the first request of each webhook"),
            Some(times) => write!(f, ", at the first {times} requests of each webhook"),
        }
    }
}

impl Fault {
    /// Whether it is done to the request of this number (from 1) of one webhook.
    pub(super) fn strikes(self, number: u32) -> bool {
        self.times.is_none_or(|times| number <= times)
    }

    /// In words, for whoever watches.
    pub(super) fn told(self) -> String {
        match self.kind {
            Kind::Status(code) => format!("answers {}", code.as_u16()),
            Kind::Vice(vice) => match vice {
                Vice::Hang => "gives no answer".to_owned(),
                Vice::Drip => "answers 500, a byte a second".to_owned(),
                Vice::Flood => "answers 500 without end".to_owned(),
                Vice::Gzip => "answers 500 with a gzip bomb".to_owned(),
                Vice::Reset => "resets the connection".to_owned(),
                Vice::Redirect => "answers 307".to_owned(),
                Vice::Gone => "answers 410".to_owned(),
                Vice::Abort => "answers 400, webhook-delivery: abort-message".to_owned(),
                Vice::Disable => "answers 400, webhook-delivery: disable".to_owned(),
            },
        }
    }

    /// Misbehaves.
    pub(super) async fn play(self, cut: &Cut) -> Response {
        const DELIVERY: HeaderName = HeaderName::from_static("webhook-delivery");
        let endless = |pieces| (StatusCode::INTERNAL_SERVER_ERROR, pieces).into_response();
        match self.kind {
            Kind::Status(StatusCode::TOO_MANY_REQUESTS) => {
                let asked = [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))];
                (StatusCode::TOO_MANY_REQUESTS, asked).into_response()
            }
            Kind::Status(code) => code.into_response(),
            Kind::Vice(Vice::Hang) => std::future::pending().await,
            Kind::Vice(Vice::Drip) => endless(Body::from_stream(stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b".")), ()))
            }))),
            Kind::Vice(Vice::Flood) => {
                endless(over_and_over(Bytes::new(), Bytes::from(vec![b'x'; FLOOD_BYTES])))
            }
            Kind::Vice(Vice::Gzip) => {
                let mut bomb = endless(over_and_over(bomb::beginning(), bomb::more()));
                bomb.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                bomb
            }
            Kind::Vice(Vice::Reset) => {
                // What is written from now on is the end of the connection.
                cut.pull();
                StatusCode::OK.into_response()
            }
            Kind::Vice(Vice::Redirect) => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response()
            }
            Kind::Vice(Vice::Gone) => StatusCode::GONE.into_response(),
            Kind::Vice(Vice::Abort) => {
                (StatusCode::BAD_REQUEST, [(DELIVERY, "abort-message")]).into_response()
            }
            Kind::Vice(Vice::Disable) => (StatusCode::BAD_REQUEST, [(DELIVERY, "disable")]).into_response(),
        }
    }
}

fn vice(word: &str) -> Result<Vice, String> {
    Vice::from_str(word, false).map_err(|_| {
        let names = Vice::value_variants().iter().filter_map(Vice::to_possible_value);
        let names: Vec<_> = names.map(|name| name.get_name().to_owned()).collect();
        format!("expected a status such as 500, or one of {}", names.join(", "))
    })
}

fn over_and_over(first: Bytes, then: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(first), move |first| {
        let piece = first.filter(|first| !first.is_empty()).unwrap_or_else(|| then.clone());
        async move { Some((Ok::<_, std::io::Error>(piece), None)) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_status_or_a_vice_and_how_often() {
        for (text, strikes) in [
            ("500x3", [true, true, false]),
            ("500x2", [true, false, false]),
            ("429", [true, true, true]),
            ("hangx2", [true, false, false]),
            ("gzip", [true, true, true]),
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!([fault.strikes(2), fault.strikes(3), fault.strikes(4)], strikes, "{text}");
        }
        for vice in Vice::value_variants() {
            let name = vice.to_possible_value().unwrap();
            assert!(name.get_name().parse::<Fault>().is_ok(), "{vice:?}");
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
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
