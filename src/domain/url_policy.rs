//! Which URLs may be told: judged on the text, on the parsed form, and on every address that a connection would go to.
//! Names and meaning are those of the server's `webhooks.url`; what no policy allows is refused whatever it says.

mod address;

use core::net::IpAddr;

use url::{Host, Url};

use super::words::words;
use address::Kind;

/// The policy, with the server's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Nothing but https.
    pub require_https: bool,
    /// Host names, or `*.example.com` for every subdomain; `None`: all, an empty list: none.
    pub allowed_domains: Option<Vec<String>>,
    /// `None`: all but those of other protocols, an empty list: none.
    pub allowed_ports: Option<Vec<u16>>,
    /// In characters.
    pub max_url_length: usize,
    /// This machine is not told.
    pub disable_loopback: bool,
    /// Addresses of private networks are not told.
    pub disable_private_ips: bool,
}

words!(
    /// What a refusal goes by: a key of the policy, or a rule that no policy turns off.
    Rule {
        /// Too long.
        MaxUrlLength = "max_url_length",
        /// No URL, or one that two readers might read differently.
        Text = "text",
        /// Neither http nor https.
        Scheme = "scheme",
        /// A user or password before the host.
        Userinfo = "userinfo",
        /// Plain http.
        RequireHttps = "require_https",
        /// A host that is not listed.
        AllowedDomains = "allowed_domains",
        /// A port that is not listed.
        AllowedPorts = "allowed_ports",
        /// A port of another protocol.
        Port = "port",
        /// This machine.
        DisableLoopback = "disable_loopback",
        /// A private network.
        DisablePrivateIps = "disable_private_ips",
        /// The metadata service of a cloud: it gives credentials to whoever asks.
        Metadata = "metadata",
        /// An address that is nobody's on the internet.
        Reserved = "reserved",
    }
);

/// Why a URL or an address may not be told. It quotes no more of a URL than an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words} ({rule})")]
pub struct PolicyViolation {
    /// What it goes by.
    pub rule: Rule,
    words: String,
}

/// Names of this machine, or of the one that the container or virtual machine runs on.
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

/// Names by which clouds offer their metadata service.
const METADATA_NAMES: &[&str] =
    &["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Ports of protocols that can be talked to by accident: "bad ports" of the Fetch standard, and 0.
const OTHER_PROTOCOLS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

impl UrlPolicy {
    /// The strictest there is: nothing may be told.
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

    /// Judges all of a URL that can be judged without looking its host up, and parses it. The parsed form is the one
    /// to connect by: whoever parses the text again may find another host in it.
    pub fn judge_url(&self, text: &str) -> Result<Url, PolicyViolation> {
        self.judge_text(text)?;
        let url = Url::parse(text).map_err(|error| refuse(Rule::Text, format!("not a URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(with_userinfo());
        }
        if self.require_https && url.scheme() != "https" {
            return Err(refuse(Rule::RequireHttps, "it is not https"));
        }
        let Some(host) = url.host() else { return Err(refuse(Rule::Text, "there is no host")) };
        self.judge_domain(&host)?;
        self.judge_port(url.port_or_known_default().unwrap_or(0))?;
        match host {
            Host::Domain(name) => self.judge_name(name)?,
            Host::Ipv4(address) => self.judge_address(address.into())?,
            Host::Ipv6(address) => self.judge_address(address.into())?,
        }
        Ok(url)
    }

    /// Judges an address that a connection would go to, literal or looked up.
    pub fn judge_address(&self, address: IpAddr) -> Result<(), PolicyViolation> {
        match address::kind(address) {
            Kind::Public => Ok(()),
            Kind::Loopback if !self.disable_loopback => Ok(()),
            Kind::Private if !self.disable_private_ips => Ok(()),
            Kind::Loopback => Err(refuse(Rule::DisableLoopback, format!("{address} is this machine"))),
            Kind::Private => {
                Err(refuse(Rule::DisablePrivateIps, format!("{address} is of a private network")))
            }
            Kind::Metadata => {
                Err(refuse(Rule::Metadata, format!("{address} is the metadata service of a cloud")))
            }
            Kind::Reserved(what) => Err(refuse(Rule::Reserved, format!("{address} is {what}"))),
        }
    }

    /// Before it is parsed: parsers forgive what nobody writes in good faith, each in its own way.
    fn judge_text(&self, text: &str) -> Result<(), PolicyViolation> {
        if text.chars().count() > self.max_url_length {
            return Err(refuse(
                Rule::MaxUrlLength,
                format!("it is longer than {} characters", self.max_url_length),
            ));
        }
        if text.contains(|char: char| char.is_control() || char.is_whitespace() || char == '\\') {
            return Err(refuse(Rule::Text, "a blank, a control character or a backslash is in it"));
        }
        let scheme = text.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
        let rest = match &scheme {
            Some((scheme, rest)) if matches!(scheme.as_str(), "http" | "https") => rest,
            Some(_) | None => {
                return Err(refuse(Rule::Scheme, "expected http:// or https:// and a host"));
            }
        };
        let Some(rest) = rest.strip_prefix("//").filter(|rest| !rest.starts_with('/')) else {
            return Err(refuse(Rule::Text, "expected two slashes after its scheme"));
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(with_userinfo());
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
        Err(refuse(Rule::AllowedDomains, "its host is not in the list"))
    }

    fn judge_port(&self, port: u16) -> Result<(), PolicyViolation> {
        match &self.allowed_ports {
            Some(allowed) if port != 0 && allowed.contains(&port) => Ok(()),
            Some(_) => Err(refuse(Rule::AllowedPorts, format!("port {port} is not in the list"))),
            None if OTHER_PROTOCOLS.contains(&port) => {
                Err(refuse(Rule::Port, format!("port {port} is of another protocol")))
            }
            None => Ok(()),
        }
    }

    /// What a name means is known before it is looked up for some.
    fn judge_name(&self, name: &str) -> Result<(), PolicyViolation> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Err(refuse(Rule::Metadata, "its host is the metadata service of a cloud"));
        }
        let is_loopback = LOOPBACK_NAMES.contains(&name.as_str()) || name.ends_with(".localhost");
        if is_loopback && self.disable_loopback {
            return Err(refuse(Rule::DisableLoopback, "its host is this machine"));
        }
        Ok(())
    }
}

/// A listed domain as a parsed URL would have it.
fn ascii(domain: &str) -> String {
    let parsed = Host::parse(domain).map(|host| host.to_string());
    parsed.unwrap_or_else(|_| domain.to_ascii_lowercase()).trim_end_matches('.').to_owned()
}

fn with_userinfo() -> PolicyViolation {
    refuse(Rule::Userinfo, "a user or password is in it; put the token into the query or a header")
}

fn refuse(rule: Rule, words: impl Into<String>) -> PolicyViolation {
    PolicyViolation { rule, words: words.into() }
}

#[cfg(test)]
mod tests;
