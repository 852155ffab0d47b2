//! The targets of notifications, as `[notify.NAME]` describes them.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::include::matches;
use super::secret::Secret;
use crate::domain::notification::NotificationKind;
use crate::domain::words::words;

words!(
    /// What a target of notifications is.
    TargetType {
        Slack = "slack",
        PagerDuty = "pagerduty",
        Ntfy = "ntfy",
        Email = "email",
        /// Generic JSON by Standard Webhooks.
        Webhook = "webhook",
        /// A dead man's switch, which hears from the daemon and is told of nothing.
        Ping = "ping",
    }
);

/// The targets of notifications, by their names.
pub type NotifyConfig = BTreeMap<String, NotifyTarget>;

/// Who is notified.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifyTarget {
    pub to: Destination,
    /// Of what.
    pub on: Vec<NotificationKind>,
    /// Patterns with `*`; of crons, only those that one of them matches. `None` means all.
    pub crons: Option<Vec<String>>,
}

/// Where and in which form a notification is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    Slack {
        url: Secret,
    },
    PagerDuty {
        url: Secret,
        routing_key: Secret,
    },
    Ntfy {
        url: Secret,
        topic: Secret,
        token: Option<Secret>,
    },
    Webhook {
        url: Secret,
    },
    /// A dead man's switch, and how often it hears from the daemon.
    Ping {
        url: Secret,
        every: Duration,
    },
    Email(EmailDestination),
}

/// A server that takes mail, and the mail's sender and recipients.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailDestination {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// User and password.
    pub login: Option<(String, Secret)>,
    pub from: String,
    pub to: Vec<String>,
}

/// How a connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the beginning (`smtps`).
    Wrapped,
    /// By STARTTLS, without which nothing is sent.
    StartTls,
    /// By STARTTLS if the server offers it; only to this machine.
    IfOffered,
}

impl Destination {
    pub fn target_type(&self) -> TargetType {
        match self {
            Self::Slack { .. } => TargetType::Slack,
            Self::PagerDuty { .. } => TargetType::PagerDuty,
            Self::Ntfy { .. } => TargetType::Ntfy,
            Self::Webhook { .. } => TargetType::Webhook,
            Self::Ping { .. } => TargetType::Ping,
            Self::Email(_) => TargetType::Email,
        }
    }

    /// Returns the URL, if it is reached by HTTP.
    pub fn url(&self) -> Option<&Secret> {
        match self {
            Self::Slack { url } | Self::Webhook { url } => Some(url),
            Self::PagerDuty { url, .. } | Self::Ntfy { url, .. } | Self::Ping { url, .. } => Some(url),
            Self::Email(_) => None,
        }
    }

    /// Returns where it is, in a form that may be shown: the path of a URL may be a secret.
    pub fn shown(&self) -> String {
        match self {
            Self::Email(email) => format!("{} by {}", email.to.join(", "), email.server()),
            other => other.origin(),
        }
    }

    /// Returns scheme, host and port.
    pub fn origin(&self) -> String {
        match self {
            Self::Email(email) => email.server(),
            other => {
                let url = other.url().and_then(|url| Url::parse(url.expose()).ok());
                url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
            }
        }
    }
}

impl EmailDestination {
    /// Returns the mail server as a URL, which is the receiver for whoever limits attempts.
    pub fn server(&self) -> String {
        let scheme = if self.tls == SmtpTls::Wrapped { "smtps" } else { "smtp" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl NotifyTarget {
    /// Whether it is told of this cron.
    pub fn is_told_of(&self, cron: &str) -> bool {
        let is_match = |pattern: &String| matches(pattern.as_bytes(), cron.as_bytes());
        self.crons.as_ref().is_none_or(|patterns| patterns.iter().any(is_match))
    }
}
