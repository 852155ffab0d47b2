//! How an outage is described to a person.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{first_words, times};
use crate::domain::outage::{ANOTHER_SENDS, Away, NOTHING_WAITS, Outage};

/// Returns what began, without when.
pub fn began(outage: &Outage) -> String {
    let what = match outage.what {
        Away::Backend => "agent server away",
        Away::Access => "agent server refuses us",
        Away::Receiver => return format!("receiver {} away: {}", outage.subject, why(outage)),
        Away::Disk => "the store cannot commit",
        Away::Store => "server of the store away",
        Away::Daemon => "agentcron down",
        Away::Record => "record lost",
    };
    format!("{what}: {}", why(outage))
}

/// Returns why, and which daemon says so if several share the store.
pub fn why(outage: &Outage) -> String {
    match &outage.seen_by {
        Some(name) => format!("{} ({name})", outage.why),
        None => outage.why.clone(),
    }
}

/// Returns what ended, without when.
pub fn ended(outage: &Outage) -> String {
    match outage.what {
        Away::Backend => "agent server reachable again".to_owned(),
        Away::Access => "agent server lets us in again".to_owned(),
        Away::Receiver if outage.why.ends_with(NOTHING_WAITS) => {
            format!("receiver {}: {NOTHING_WAITS}", outage.subject)
        }
        Away::Receiver if outage.why.ends_with(ANOTHER_SENDS) => {
            format!("receiver {}: {ANOTHER_SENDS}", outage.subject)
        }
        Away::Receiver => format!("receiver {} well again", outage.subject),
        Away::Disk => "the store can commit again".to_owned(),
        Away::Store => "server of the store reachable again".to_owned(),
        Away::Daemon => "agentcron running again".to_owned(),
        Away::Record => "the store was restored".to_owned(),
    }
}

/// Returns `11:29:50-11:31:40 (1 min 50 s): agent server away: connection refused` of an outage that ended at `until`.
pub fn past(outage: &Outage, until: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (since, ended) = (times::short(outage.since, now, zone), times::short(until, outage.since, zone));
    let took = times::took(until.duration_since(outage.since));
    format!("{since}-{ended} ({took}): {}", first_words(&began(outage)))
}

/// Returns when it lasted, as in `from 11:29:50 to 11:31:40 (1 min 50 s)`.
pub fn lasted(outage: &Outage, zone: &TimeZone) -> String {
    let since = times::local_with_day(outage.since, zone);
    match outage.until {
        Some(until) => {
            let took = times::took(until.duration_since(outage.since));
            format!("from {since} to {} ({took})", times::time_of_day(until, zone))
        }
        None => format!("since {since}"),
    }
}
