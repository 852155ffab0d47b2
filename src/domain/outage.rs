//! Outages: times in which something that the daemon depends on was away, or the daemon itself.

use jiff::Timestamp;

use super::daemon::DaemonName;
use super::reason::ReasonCode;
use super::run::Status;
use super::words::words;

words!(
    /// What was away.
    Away {
        /// The agent server: it could not be reached, did not answer, or answered that it is in trouble.
        Backend = "backend",
        /// Access to the agent server: it refused our credentials.
        Access = "access",
        /// A receiver of webhooks: it could not be reached, did not answer, or answered that it is in trouble.
        Receiver = "receiver",
        /// The disk: the store could not commit, because it was full or another program had locked the file.
        Disk = "disk",
        /// The server of the store: it could not be reached, or did not commit.
        Store = "store",
        /// The daemon: it was stopped, had been killed, or the machine was off or asleep.
        Daemon = "daemon",
        /// The record: the store was restored from a backup, and what happened since is not known.
        Record = "record",
    }
);

/// Why the outage of a receiver is over although it is not known to be back: the end of its `why`.
pub const NOTHING_WAITS: &str = "nothing waits for it any more";
/// The same, where several daemons share the store.
pub const ANOTHER_SENDS: &str = "another daemon sends to it now";

impl Away {
    /// Returns what is away while the store cannot commit.
    pub fn of_store(is_on_server: bool) -> Self {
        if is_on_server { Self::Store } else { Self::Disk }
    }

    /// Returns what was away, if an outage is the reason.
    pub fn of_reason(code: ReasonCode) -> Option<Self> {
        Self::ALL.iter().copied().find(|what| what.reason_code() == Some(code))
    }

    /// Returns the reason of occurrences that did not run because of such an outage; `None` if none depends on it.
    pub fn reason_code(self) -> Option<ReasonCode> {
        match self {
            Away::Backend => Some(ReasonCode::BackendAway),
            Away::Access => Some(ReasonCode::BackendDenied),
            Away::Disk => Some(ReasonCode::DiskFull),
            Away::Store => Some(ReasonCode::StoreAway),
            Away::Daemon => Some(ReasonCode::DaemonDown),
            Away::Record => Some(ReasonCode::Restored),
            Away::Receiver => None,
        }
    }
}

/// What is known of a disk by a daemon that has left nothing but the time.
pub const DISK_WHY: &str = "no room on the disk, or the file locked by another program";

/// Whether whoever asks what went wrong wants to know of an occurrence that ended like this: it failed, or it did not run
/// and nobody wanted it so.
pub fn went_wrong(status: Status, code: Option<ReasonCode>) -> bool {
    match status {
        Status::Error | Status::Timeout | Status::Missed => true,
        Status::Skipped => code.and_then(Away::of_reason).is_some(),
        Status::Success | Status::Interrupted | Status::Cancelled => false,
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
    /// The daemon that saw it, if several share the store and it is not the matter of all of them.
    pub seen_by: Option<DaemonName>,
}

/// Puts outages that are known to last into those that are stored, which may be older.
pub fn merge(stored: &mut Vec<Outage>, lasting: Vec<Outage>) {
    stored.retain(|outage| {
        !lasting.iter().any(|now| {
            now.is_of(outage.what, &outage.subject)
                && (now.since, &now.seen_by) == (outage.since, &outage.seen_by)
        })
    });
    stored.extend(lasting);
    stored.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.subject.cmp(&b.subject)));
}

/// Ends all outages that are not known to last any more, because their daemon has ended.
pub fn end_all(outages: &mut [Outage], at: Timestamp) {
    for outage in outages.iter_mut().filter(|outage| outage.until.is_none()) {
        outage.until = Some(at.max(outage.since));
    }
}

/// Takes the outage that goes on out of those that a former daemon knew at its end: a new daemon that has not heard of this
/// subject yet, and finds it away, sees the same outage.
pub fn take(former: &mut Vec<Outage>, what: Away, subject: &str) -> Option<Outage> {
    let index = former.iter().position(|outage| outage.is_of(what, subject))?;
    Some(former.swap_remove(index))
}

impl Outage {
    /// Returns an outage of what there is only one of.
    pub fn new(what: Away, since: Timestamp, until: Option<Timestamp>, why: impl Into<String>) -> Self {
        Self { what, subject: String::new(), since, until, why: why.into(), seen_by: None }
    }

    /// Whether this instant falls into it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && self.until.is_none_or(|until| at <= until)
    }

    /// Whether runs depend on it because the agent server did not serve us.
    pub fn is_of_backend(&self) -> bool {
        matches!(self.what, Away::Backend | Away::Access)
    }

    pub fn is_of(&self, what: Away, subject: &str) -> bool {
        self.what == what && self.subject == subject
    }

    /// Returns what was the matter, as a sentence.
    pub fn sentence(&self) -> String {
        let what = match self.what {
            Away::Backend => "the agent server was away",
            Away::Access => "the agent server refused us",
            Away::Receiver => "the receiver was away",
            Away::Disk => "the store could not commit",
            Away::Store => "the server of the store was away",
            Away::Daemon => "agentcron was not running",
            Away::Record => "the record of that time is lost",
        };
        format!("{what} ({})", self.why)
    }

    /// Returns how texts name what was away.
    pub fn called(&self) -> String {
        match self.what {
            Away::Backend => "agent server".to_owned(),
            Away::Access => "access to the agent server".to_owned(),
            Away::Receiver => format!("receiver {}", self.subject),
            Away::Store => "server of the store".to_owned(),
            Away::Disk | Away::Daemon | Away::Record => self.what.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_lasted_is_over_with_its_daemon_and_goes_on_once() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let receiver =
            Outage { subject: "https://a".to_owned(), ..Outage::new(Away::Receiver, at(9), None, "500") };
        let over = Outage::new(Away::Backend, at(1), Some(at(2)), "refused");
        let mut outages = vec![over, Outage::new(Away::Backend, at(3), None, "refused"), receiver];
        end_all(&mut outages, at(7));
        assert_eq!(
            outages.iter().map(|one| one.until).collect::<Vec<_>>(),
            [Some(at(2)), Some(at(7)), Some(at(9))]
        );
        outages.remove(0);
        assert_eq!(take(&mut outages, Away::Receiver, "https://b"), None);
        assert_eq!(take(&mut outages, Away::Backend, "").map(|one| one.since), Some(at(3)));
        assert_eq!(take(&mut outages, Away::Backend, ""), None);
    }

    #[test]
    fn what_a_person_wants_to_know_of() {
        let codes = || ReasonCode::ALL.iter().copied().map(Some).chain([None]);
        let mut table = String::new();
        for status in Status::ALL.iter().copied() {
            let wrong: Vec<_> = codes().filter(|code| went_wrong(status, *code)).collect();
            let which = match wrong.len() {
                0 => "never".to_owned(),
                all if all == codes().count() => "always".to_owned(),
                _ => wrong.into_iter().flatten().map(ReasonCode::as_str).collect::<Vec<_>>().join(" "),
            };
            table.push_str(&format!("{status:11} {which}\n"));
        }
        expect![[r#"
            success     never
            error       always
            timeout     always
            interrupted never
            cancelled   never
            skipped     backend_denied backend_away daemon_down disk_full store_away restored
            missed      always
        "#]]
        .assert_eq(&table);
    }
}
