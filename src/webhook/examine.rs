//! Would a webhook to this URL be sent, and what is met on the way? By the code that sends them, up to where it would
//! send.

use std::net::IpAddr;

use url::{Host, Url};

use super::answer::in_one_line;
use crate::domain::url_policy::{PolicyViolation, UrlPolicy};
use crate::transport::{Certificate, FarEnd, JudgedAddress, Probe, Sight, TransportError};

/// What an examination has found.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Whether webhooks would be sent.
    pub finding: Finding,
    /// Where they would go.
    pub addresses: Vec<JudgedAddress>,
    /// The connection that was tried, if the policy lets one be made.
    pub connection: Option<Result<FarEnd, TransportError>>,
    /// What the receiver showed in the TLS handshake, its own certificate first.
    pub certificates: Vec<Certificate>,
}

/// Whether webhooks would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// They would.
    Allowed,
    /// The policy refuses the URL, or an address that its name leads to.
    Refused(PolicyViolation),
    /// Nothing to judge: its name leads nowhere.
    NoAddress(String),
}

/// What a name that leads nowhere is refused by; it is no rule of the policy.
const LOOKUP: &str = "lookup";

impl Finding {
    /// Whether they would be sent.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// The rule that decided against it.
    pub fn rule(&self) -> Option<&'static str> {
        match self {
            Self::Allowed => None,
            Self::Refused(refusal) => Some(refusal.rule.as_str()),
            Self::NoAddress(_) => Some(LOOKUP),
        }
    }

    /// Why not, in words.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Allowed => None,
            Self::Refused(refusal) => Some(refusal.to_string()),
            Self::NoAddress(words) => Some(words.clone()),
        }
    }
}

impl Examination {
    /// Why there was no connection, in a line: some of it may be the far end's own words.
    pub fn problem(&self) -> Option<String> {
        match self.connection.as_ref()? {
            Ok(_) => None,
            Err(error) => Some(in_one_line(&error.to_string())),
        }
    }

    /// Why what was shown in the handshake is not trusted.
    pub fn distrust(&self) -> Option<String> {
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
        Err(refusal) => {
            let addresses = literal(text).map(|address| judged(address, policy)).into_iter().collect();
            let finding = Finding::Refused(refusal);
            return Examination { finding, addresses, connection: None, certificates: Vec::new() };
        }
    };
    let Sight { addresses, connection, certificates } = probe.look(&url).await;
    let refused = addresses.iter().find_map(|address| address.refusal.clone());
    let finding = match (refused, &connection) {
        (Some(refusal), _) => Finding::Refused(refusal),
        (None, Err(error)) if addresses.is_empty() => Finding::NoAddress(error.to_string()),
        (None, Ok(_) | Err(_)) => Finding::Allowed,
    };
    let connection = (finding == Finding::Allowed).then_some(connection);
    Examination { finding, addresses, connection, certificates }
}

/// The address that stands in the place of a host.
fn literal(text: &str) -> Option<IpAddr> {
    match Url::parse(text).ok()?.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

fn judged(address: IpAddr, policy: &UrlPolicy) -> JudgedAddress {
    JudgedAddress { address, refusal: policy.judge_address(address).err() }
}
