//! How often and for how long things were away since the daemon started.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::backoff;
use crate::domain::outage::{Away, Outage};

/// How often something was away, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutageTotal {
    /// How many of its outages last.
    pub lasting: u64,
    /// How many there were, those that last among them.
    pub count: u64,
    /// How long all of them took together; several receivers can be away at once.
    pub took: Duration,
}

impl OutageTotal {
    /// Adds an outage that lasts, as far as it was after `began`.
    pub fn add_lasting(&mut self, since: Timestamp, began: Timestamp, now: Timestamp) {
        self.lasting += 1;
        self.add(since, began, now);
    }

    fn add(&mut self, since: Timestamp, began: Timestamp, until: Timestamp) {
        self.count += 1;
        self.took += backoff::between(since.max(began), until);
    }
}

/// The outages that are over.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// When the daemon started: what was before is not counted.
    began: Timestamp,
    over: HashMap<Away, OutageTotal>,
}

impl Totals {
    pub(super) fn since(began: Timestamp) -> Self {
        Self { began, over: HashMap::new() }
    }

    /// Counts an outage that is over now.
    pub(super) fn add(&mut self, outage: &Outage, until: Timestamp) {
        self.over.entry(outage.what).or_default().add(outage.since, self.began, until);
    }

    /// Returns the total of one kind, with those that last.
    pub(super) fn of(&self, what: Away, lasting: &[Outage], now: Timestamp) -> OutageTotal {
        let mut total = self.over.get(&what).copied().unwrap_or_default();
        for outage in lasting.iter().filter(|outage| outage.what == what) {
            total.add_lasting(outage.since, self.began, now);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_since_the_start_counts_and_what_lasts_counts_already() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let outage = |what, since| Outage::new(what, at(since), None, "");
        let mut totals = Totals::since(at(100));
        totals.add(&outage(Away::Backend, 40), at(110));
        totals.add(&outage(Away::Backend, 120), at(125));
        let lasting = [outage(Away::Backend, 200), outage(Away::Receiver, 205)];
        let total = |what| totals.of(what, &lasting, at(207));
        let took = Duration::from_secs;
        assert_eq!(total(Away::Backend), OutageTotal { lasting: 1, count: 3, took: took(10 + 5 + 7) });
        assert_eq!(total(Away::Receiver), OutageTotal { lasting: 1, count: 1, took: took(2) });
        assert_eq!(total(Away::Access), OutageTotal::default());
    }
}
