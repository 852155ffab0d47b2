//! Decides which URLs webhooks may be sent to, by the text, by the parsed URL, and by every address that a
//! connection would go to. Names and meaning are those of the agent server's `webhooks.url`. Some URLs are
//! refused under any policy.

mod address;

use core::net::IpAddr;

use url::{Host, Url};

use super::words::words;
use address::AddressClass;

/// The policy, with the agent server's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPolicy {
    pub require_https: bool,
    /// Host names, or `*.example.com` for every subdomain. `None` allows all, an empty list none.
    pub allowed_domains: Option<Vec<String>>,
    /// `None` allows all ports but those of other protocols, an empty list none.
    pub allowed_ports: Option<Vec<u16>>,
    /// In characters.
    pub max_url_length: usize,
    /// Refuses this machine.
    pub disable_loopback: bool,
    /// Refuses addresses of private networks.
    pub disable_private_ips: bool,
}

words!(
    /// The rule behind a refusal: a key of the policy, or a rule that applies under any policy.
    Rule {
        MaxUrlLength = "max_url_length",
        /// The text is not a URL, or two parsers might read it differently.
        Text = "text",
        /// The scheme is neither http nor https.
        Scheme = "scheme",
        /// A user or password before the host.
        Userinfo = "userinfo",
        RequireHttps = "require_https",
        AllowedDomains = "allowed_domains",
        AllowedPorts = "allowed_ports",
        /// A port of another protocol.
        Port = "port",
        DisableLoopback = "disable_loopback",
        DisablePrivateIps = "disable_private_ips",
        /// The metadata service of a cloud, which gives credentials to every process that asks.
        Metadata = "metadata",
        /// An address that nobody on the internet owns.
        Reserved = "reserved",
    }
);

/// Why webhooks to a URL or an address are refused. The message quotes at most an address of the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({rule})")]
pub struct PolicyViolation {
    pub rule: Rule,
    message: String,
}

/// Names of this machine, or of the host of a container or a virtual machine.
const LOOPBACK_NAMES: &[&str] = &[
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost4.localdomain4",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
    "host.docker.internal",
    "gateway.docker.internal",
    "host.containers.internal",
];

/// Names under which clouds offer their metadata service.
const METADATA_NAMES: &[&str] =
    &["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Ports of protocols that an HTTP request could talk to by accident: the "bad ports" of the Fetch standard,
/// and 0.
const OTHER_PROTOCOLS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Returns whether an address belongs to the internet: neither to this machine, nor to a private network or another
/// special purpose.
pub fn is_public(address: IpAddr) -> bool {
    address::class_of(address) == AddressClass::Public
}

impl UrlPolicy {
    /// Returns the strictest policy, which refuses every URL.
    pub fn nothing() -> Self {
        Self {
            require_https: true,
            allowed_domains: Some(Vec::new()),
            allowed_ports: Some(Vec::new()),
            max_url_length: 0,
            disable_loopback: true,
            disable_private_ips: true,
        }
    }

    /// Judges everything about a URL except the addresses of its name, and returns the parsed URL.
    /// Connections must use this parsed form, because another parser might find another host in the text.
    pub fn judge_url(&self, text: &str) -> Result<Url, PolicyViolation> {
        self.judge_text(text)?;
        let url = Url::parse(text).map_err(|error| violation(Rule::Text, format!("not a URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(userinfo_violation());
        }
        if self.require_https && url.scheme() != "https" {
            return Err(violation(Rule::RequireHttps, "it is not https"));
        }
        let Some(host) = url.host() else { return Err(violation(Rule::Text, "there is no host")) };
        self.judge_domain(&host)?;
        self.judge_port(url.port_or_known_default().unwrap_or(0))?;
        match host {
            Host::Domain(name) => self.judge_name(name)?,
            Host::Ipv4(address) => self.judge_address(address.into())?,
            Host::Ipv6(address) => self.judge_address(address.into())?,
        }
        Ok(url)
    }

    /// Judges an address that a connection would go to, whether it is literal or was looked up.
    pub fn judge_address(&self, address: IpAddr) -> Result<(), PolicyViolation> {
        match address::class_of(address) {
            AddressClass::Public => Ok(()),
            AddressClass::Loopback if !self.disable_loopback => Ok(()),
            AddressClass::Private if !self.disable_private_ips => Ok(()),
            AddressClass::Loopback => {
                Err(violation(Rule::DisableLoopback, format!("{address} is this machine")))
            }
            AddressClass::Private => {
                Err(violation(Rule::DisablePrivateIps, format!("{address} is in a private network")))
            }
            AddressClass::Metadata => {
                Err(violation(Rule::Metadata, format!("{address} is a cloud metadata service")))
            }
            AddressClass::Reserved(what) => Err(violation(Rule::Reserved, format!("{address} is {what}"))),
        }
    }

    /// Judges the text before it is parsed, because parsers accept suspicious texts, each in its own way.
    fn judge_text(&self, text: &str) -> Result<(), PolicyViolation> {
        if text.chars().count() > self.max_url_length {
            return Err(violation(
                Rule::MaxUrlLength,
                format!("it is longer than {} characters", self.max_url_length),
            ));
        }
        if text.contains(|char: char| char.is_control() || char.is_whitespace() || char == '\\') {
            return Err(violation(Rule::Text, "it contains whitespace, a control character or a backslash"));
        }
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let rest = match &scheme {
            Some((scheme, rest)) if matches!(scheme.as_str(), "http" | "https") => rest,
            Some(_) | None => {
                return Err(violation(Rule::Scheme, "expected http:// or https:// and a host"));
            }
        };
        let Some(rest) = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/')) else {
            return Err(violation(Rule::Text, "expected two slashes after the scheme"));
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(userinfo_violation());
        }
        Ok(())
    }

    fn judge_domain(&self, host: &Host<&str>) -> Result<(), PolicyViolation> {
        let Some(allowed) = &self.allowed_domains else { return Ok(()) };
        let host = host.to_string();
        let host = host.trim_end_matches('.');
        let matches = |pattern: &String| match pattern.strip_prefix("*.") {
            Some(domain) => {
                let below = host.strip_suffix(ascii(domain).as_str()).unwrap_or_default();
                below.len() > 1 && below.ends_with('.')
            }
            None => ascii(pattern) == host,
        };
        if allowed.iter().any(matches) {
            return Ok(());
        }
        Err(violation(Rule::AllowedDomains, "its host is not in the list"))
    }

    fn judge_port(&self, port: u16) -> Result<(), PolicyViolation> {
        match &self.allowed_ports {
            Some(allowed) if port != 0 && allowed.contains(&port) => Ok(()),
            Some(_) => Err(violation(Rule::AllowedPorts, format!("port {port} is not in the list"))),
            None if OTHER_PROTOCOLS.contains(&port) => {
                Err(violation(Rule::Port, format!("port {port} belongs to another protocol")))
            }
            None => Ok(()),
        }
    }

    /// Judges a name whose meaning is known without a lookup.
    fn judge_name(&self, name: &str) -> Result<(), PolicyViolation> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Err(violation(Rule::Metadata, "its host is a cloud metadata service"));
        }
        let is_loopback = LOOPBACK_NAMES.contains(&name.as_str()) || name.ends_with(".localhost");
        if is_loopback && self.disable_loopback {
            return Err(violation(Rule::DisableLoopback, "its host is this machine"));
        }
        Ok(())
    }
}

/// Returns a listed domain in the form that a parsed URL would have.
fn ascii(domain: &str) -> String {
    let parsed = Host::parse(domain).map(|host| host.to_string());
    parsed.unwrap_or_else(|_| domain.to_ascii_lowercase()).trim_end_matches('.').to_owned()
}

fn userinfo_violation() -> PolicyViolation {
    violation(Rule::Userinfo, "it contains a user or password; put the token into the query or a header")
}

fn violation(rule: Rule, message: impl Into<String>) -> PolicyViolation {
    PolicyViolation { rule, message: message.into() }
}

#[cfg(test)]
mod tests;
