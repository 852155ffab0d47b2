//! Notifications: what people are told of when a state changes, and in which words.

mod decide;
mod wording;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::words::words;
pub use decide::{Change, Changes, Group, decide};
pub use wording::notification;

words!(
    /// What a notification is about.
    NotificationKind {
        /// A cron fails.
        Failing = "failing",
        /// A cron works again.
        Recovered = "recovered",
        /// Occurrences of a cron were missed.
        Missed = "missed",
        /// A cron, or all of them, is paused, or is not paused any more.
        Paused = "paused",
        /// A run waits although it was due a while ago, or it does no longer.
        Late = "late",
        /// A run has been in progress for long, or it no longer is.
        StillRunning = "still_running",
        /// Something that the daemon depends on is away, or is back.
        Outage = "outage",
        /// The configuration has mistakes, or has none any more.
        Configuration = "configuration",
    }
);

words!(
    /// How bad it is, in the words of PagerDuty.
    Severity {
        Critical = "critical",
        Error = "error",
        Warning = "warning",
        Info = "info",
    }
);

impl NotificationKind {
    /// Returns the kind under which it is told that this begins, or that it has ended.
    pub fn told_as(self, ended: bool) -> Self {
        match (self, ended) {
            (Self::Failing | Self::Recovered, true) => Self::Recovered,
            (kind, _) => kind,
        }
    }

    /// Whether it is over as soon as it is known.
    pub fn is_momentary(self) -> bool {
        self == Self::Missed
    }

    /// Whether it is about crons, of which a target may choose some.
    pub fn is_of_crons(self) -> bool {
        match self {
            Self::Failing | Self::Recovered | Self::Missed | Self::Late | Self::StillRunning => true,
            Self::Paused => true,
            Self::Outage | Self::Configuration => false,
        }
    }

    fn severity(self, ended: bool) -> Severity {
        match self {
            _ if ended => Severity::Info,
            Self::Outage => Severity::Critical,
            Self::Failing | Self::Configuration => Severity::Error,
            Self::Missed | Self::Paused | Self::Late | Self::StillRunning => Severity::Warning,
            Self::Recovered => Severity::Info,
        }
    }
}

/// Something that is so, or was so until a short while ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: NotificationKind,
    /// What tells it from others of its kind.
    pub subject: String,
    /// How people call it.
    pub name: String,
    pub since: Timestamp,
    /// `None` while it lasts.
    pub until: Option<Timestamp>,
    /// What is to be said of it, human-readable.
    pub text: String,
}

/// What was told last of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub kind: NotificationKind,
    pub subject: String,
    pub name: String,
    /// Whether it was told that it is so, and not that it is over.
    pub holds: bool,
    /// Since when it was so.
    pub since: Timestamp,
    pub told_at: Timestamp,
    /// How many times in a row it was told of with little time in between.
    pub burst: u32,
    /// The last of its beginnings that was seen, and how many were seen that nobody was told of.
    pub seen_since: Timestamp,
    pub untold: u32,
    /// The notification that told of its beginning.
    pub incident: Uuid,
}

/// The scheme of the URLs that stand for targets.
const TARGET: &str = "notify://";

/// Returns the URL that stands for a target in the store and in what people see: where it is may be a secret.
pub fn url_of_target(name: &str) -> String {
    format!("{TARGET}{name}")
}

/// Returns the name of the target for which a URL stands, if it stands for one.
pub fn target_of_url(url: &str) -> Option<&str> {
    url.strip_prefix(TARGET)
}

/// A notification, as it is stored, and as a receiver of generic JSON gets it: the envelope is that of Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    #[serde(rename = "type")]
    pub event: String,
    pub timestamp: String,
    pub data: NotificationData,
}

impl Notification {
    /// Returns one that is about nothing, to see whether it arrives.
    pub fn test(host: &str, now: Timestamp) -> Self {
        Self {
            event: "agentcron.test".to_owned(),
            timestamp: now.to_string(),
            data: NotificationData {
                kind: "test".to_owned(),
                ended: false,
                incident: Uuid::new_v5(&Uuid::nil(), now.to_string().as_bytes()).to_string(),
                severity: Severity::Info.to_string(),
                title: "this is a test of your notifications".to_owned(),
                items: Vec::new(),
                more: 0,
                host: host.to_owned(),
            },
        }
    }

    /// Returns what is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns what was stored; `None` if it was by another version.
    pub fn of_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationData {
    /// A [`NotificationKind`], or `test`.
    pub kind: String,
    /// Whether it is over.
    pub ended: bool,
    /// Tells one beginning from another: the notification of the end has the same.
    pub incident: String,
    /// A [`Severity`].
    pub severity: String,
    /// One line that says it all.
    pub title: String,
    /// What it is about.
    pub items: Vec<NotificationItem>,
    /// How many more it is about that `items` does not name.
    pub more: usize,
    /// The machine of the daemon.
    pub host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationItem {
    pub name: String,
    pub since: String,
    pub until: Option<String>,
    pub text: String,
}
