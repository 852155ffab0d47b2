//! Checks whether a webhook to a URL would be sent, and reports what it would meet on the way, using the code
//! that sends webhooks up to the point where it would write.

use std::net::IpAddr;

use url::{Host, Url};

use super::answer::single_line;
use crate::domain::url_policy::{PolicyViolation, UrlPolicy};
use crate::transport::{Certificate, ConnectionInfo, JudgedAddress, Probe, ProbeReport, TransportError};

/// What an examination of a URL has found.
#[derive(Clone, Debug)]
pub struct Examination {
    pub verdict: DestinationVerdict,
    /// The addresses that webhooks would go to.
    pub addresses: Vec<JudgedAddress>,
    /// The connection that was tried; `None` if the policy allows none.
    pub connection: Option<Result<ConnectionInfo, TransportError>>,
    /// The certificates that the receiver presented in the TLS handshake, its own first.
    pub certificates: Vec<Certificate>,
}

/// Whether webhooks to a URL would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationVerdict {
    Allowed,
    /// The policy refuses the URL, or an address of its host.
    Refused(PolicyViolation),
    /// There was no address to judge: the lookup of the host failed, with this message.
    NoAddress(String),
}

/// The name given to a failed lookup where a rule of the policy is expected.
const LOOKUP: &str = "lookup";

impl DestinationVerdict {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// Returns the rule that decided against the URL.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Allowed => None,
            Self::Refused(violation) => Some(violation.rule.as_str()),
            Self::NoAddress(_) => Some(LOOKUP),
        }
    }

    /// Returns a human-readable reason against the URL.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Allowed => None,
            Self::Refused(violation) => Some(violation.to_string()),
            Self::NoAddress(message) => Some(message.clone()),
        }
    }
}

impl Examination {
    /// Returns in one line why there was no connection. Part of it may be text of the receiver.
    pub fn problem(&self) -> Option<String> {
        match self.connection.as_ref()? {
            Ok(_) => None,
            Err(error) => Some(single_line(&error.to_string())),
        }
    }

    /// Returns in one line why the TLS handshake failed, if that is why there was no connection.
    pub fn tls_problem(&self) -> Option<String> {
        match self.connection.as_ref()? {
            Err(TransportError::Tls(_)) => self.problem(),
            Ok(_)
            | Err(
                TransportError::NotSent(_)
                | TransportError::Denied(_)
                | TransportError::Broken(_)
                | TransportError::TooLarge(_),
            ) => None,
        }
    }
}

/// Examines a URL whose placeholders are filled.
pub async fn examine(text: &str, policy: &UrlPolicy, probe: &Probe) -> Examination {
    let url = match policy.judge_url(text) {
        Ok(url) => url,
        Err(violation) => {
            let judged = |address| JudgedAddress { address, violation: policy.judge_address(address).err() };
            return Examination {
                verdict: DestinationVerdict::Refused(violation),
                addresses: literal_address(text).map(judged).into_iter().collect(),
                connection: None,
                certificates: Vec::new(),
            };
        }
    };
    let ProbeReport { addresses, connection, certificates } = probe.inspect(&url).await;
    let violation = addresses.iter().find_map(|address| address.violation.clone());
    let verdict = match (violation, &connection) {
        (Some(violation), _) => DestinationVerdict::Refused(violation),
        (None, Err(error)) if addresses.is_empty() => DestinationVerdict::NoAddress(error.to_string()),
        (None, Ok(_) | Err(_)) => DestinationVerdict::Allowed,
    };
    let connection = verdict.is_allowed().then_some(connection);
    Examination { verdict, addresses, connection, certificates }
}

/// Returns the host of a URL if it is a literal address.
fn literal_address(text: &str) -> Option<IpAddr> {
    match Url::parse(text).ok()?.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}
