//! A daemon, as people know it: its number in the store, and where it runs.

use std::fmt;

use jiff::Timestamp;

use super::bounds::HOST_CHARS_MAX;
use super::ids::DaemonNumber;
use super::lease;
use super::words::words;

words!(
    /// What is known of a daemon, the worst first.
    Life {
        /// It gives no sign of life, and what it held is not recovered yet.
        Lost = "lost",
        /// It is about to end: it finishes what it has begun, and begins nothing more.
        Draining = "draining",
        /// It works.
        Live = "live",
    }
);

/// Where a daemon runs, and what runs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub host: String,
    pub pid: u32,
    pub version: String,
}

impl Process {
    /// Returns this process. A name of a machine that is too long is cut short.
    pub fn new(host: &str, pid: u32) -> Self {
        let host = host.chars().take(HOST_CHARS_MAX).collect();
        Self { host, pid, version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// The name of a daemon where several share a store. Two may run on one machine, so the name of that alone is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonName {
    pub number: DaemonNumber,
    pub host: String,
}

impl fmt::Display for DaemonName {
    /// Writes `daemon 3 on web-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "daemon {} on {}", self.number.0, self.host)
    }
}

/// Returns what is known of a daemon that shares its store with others and has not left it: when it gave its last sign of life,
/// and when it began to end, if it did.
pub fn life(seen_at: Timestamp, stopped_at: Option<Timestamp>, now: Timestamp) -> Life {
    match (lease::gone_at(seen_at, None) <= now, stopped_at) {
        (true, _) => Life::Lost,
        (false, Some(_)) => Life::Draining,
        (false, None) => Life::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_lost_once_its_lease_is_over_whatever_it_was_about_to_do() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let table = [
            (100, None, 109, Life::Live),
            (100, Some(99), 109, Life::Draining),
            (100, None, 110, Life::Lost),
            (100, Some(99), 110, Life::Lost),
        ];
        for (seen_at, stopped_at, now, expected) in table {
            assert_eq!(life(at(seen_at), stopped_at.map(at), at(now)), expected);
        }
    }

    #[test]
    fn the_name_of_a_machine_is_bounded() {
        assert_eq!(Process::new(&"ä".repeat(1000), 7).host, "ä".repeat(HOST_CHARS_MAX));
    }
}
