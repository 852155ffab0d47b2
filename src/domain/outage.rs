//! Outages: times in which something that the daemon depends on was away, or the daemon itself.

use jiff::Timestamp;

use super::reason::ReasonCode;
use super::words::words;

words!(
    /// What was away.
    Away {
        /// The agent server: it could not be reached, did not answer, or refused our credentials.
        Backend = "backend",
        /// A receiver of webhooks: it could not be reached, did not answer, or answered that it is in trouble.
        Receiver = "receiver",
        /// The disk: the store could not commit, because it was full or another program had locked the file.
        Disk = "disk",
        /// The daemon: it was stopped, had been killed, or the machine was off or asleep.
        Daemon = "daemon",
    }
);

/// Why the outage of a receiver is over although it is not known to be back: the end of its `why`.
pub const NOTHING_WAITS: &str = "nothing waits for it any more";

impl Away {
    /// Returns what was away, if an outage is the reason.
    pub fn of_reason(code: ReasonCode) -> Option<Self> {
        Self::ALL.iter().copied().find(|what| what.reason_code() == Some(code))
    }

    /// Returns the reason of occurrences that did not run because of such an outage; `None` if none depends on it.
    pub fn reason_code(self) -> Option<ReasonCode> {
        match self {
            Away::Backend => Some(ReasonCode::BackendAway),
            Away::Disk => Some(ReasonCode::DiskFull),
            Away::Daemon => Some(ReasonCode::DaemonDown),
            Away::Receiver => None,
        }
    }
}

/// One outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    pub what: Away,
    /// Which receiver it was: scheme and host of its URL, with placeholders as written, and the path if only that URL was
    /// away; empty for everything else.
    pub subject: String,
    pub since: Timestamp,
    /// `None` while it lasts.
    pub until: Option<Timestamp>,
    /// A human-readable sentence.
    pub why: String,
}

/// Puts outages that are known to last into those that are stored, which may be older.
pub fn merge(stored: &mut Vec<Outage>, lasting: Vec<Outage>) {
    stored.retain(|outage| {
        !lasting.iter().any(|now| now.is_of(outage.what, &outage.subject) && now.since == outage.since)
    });
    stored.extend(lasting);
    stored.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.subject.cmp(&b.subject)));
}

/// Puts the outage of a daemon that has ended into those that are stored: whatever else lasted then is known no longer.
pub fn with_daemon_away(stored: &mut Vec<Outage>, away: Outage) {
    for outage in stored.iter_mut().filter(|outage| outage.until.is_none()) {
        outage.until = Some(outage.since.max(away.since));
    }
    merge(stored, vec![away]);
}

impl Outage {
    /// Whether this instant falls into it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until)
    }

    pub fn is_of(&self, what: Away, subject: &str) -> bool {
        self.what == what && self.subject == subject
    }

    /// Returns what was the matter, as a sentence.
    pub fn sentence(&self) -> String {
        let what = match self.what {
            Away::Backend => "the agent server was away",
            Away::Receiver => "the receiver was away",
            Away::Disk => "the store could not commit",
            Away::Daemon => "agentcron was not running",
        };
        format!("{what} ({})", self.why)
    }

    /// Returns how texts name what was away.
    pub fn called(&self) -> String {
        match self.what {
            Away::Receiver => format!("receiver {}", self.subject),
            Away::Backend | Away::Disk | Away::Daemon => self.what.to_string(),
        }
    }
}
