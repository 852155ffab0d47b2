//! The `Host` of a request, and the host in an `Origin`, read strictly: what two parsers might read differently is
//! refused.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::Version;
use axum::http::header::HOST;
use axum::http::request::Parts;

use crate::api::error_response::ErrorResponse;

/// A host with an optional port (RFC 3986 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// In lower case, and without the brackets of an IPv6 address.
    host: String,
    port: Option<u16>,
}

/// Returns whom a request is addressed to, by its `Host` and by its target.
pub(super) fn authorities(parts: &Parts) -> Result<Vec<Authority>, ErrorResponse> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    // RFC 9112 §3.2.
    if second.is_some() {
        return Err(ErrorResponse::bad_request("this request has more than one Host"));
    }
    if first.is_none() && parts.version == Version::HTTP_11 {
        return Err(ErrorResponse::bad_request("this request has no Host"));
    }
    let of_header = first.map(|host| host.to_str().unwrap_or_default());
    let of_target = parts.uri.authority().map(|authority| authority.as_str());
    let malformed =
        || ErrorResponse::bad_request("the Host of this request is not a host with an optional port");
    of_header.into_iter().chain(of_target).map(|text| Authority::parse(text).ok_or_else(malformed)).collect()
}

impl Authority {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, after)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (host, after) = text.split_at(end);
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                (!host.is_empty() && host.bytes().all(is_name)).then_some(())?;
                (host, after)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None if port.is_empty() => None,
            None => return None,
        };
        Some(Self { host: host.to_ascii_lowercase(), port })
    }

    /// Returns the host of an origin, with the default port of its scheme.
    pub(super) fn of_origin(origin: &str) -> Option<(Self, u16)> {
        let (scheme, rest) = origin.split_once("://")?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some((Self::parse(rest)?, default_port))
    }

    /// Whether both name the same, if a missing port means this one.
    pub(super) fn equals(&self, other: &Self, default_port: u16) -> bool {
        self.host == other.host && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }

    /// Whether it names this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }

    /// Whether it is a name without a domain and without a port.
    pub(super) fn is_single_word(&self) -> bool {
        self.port.is_none() && !self.host.contains(['.', ':'])
    }
}
