//! Which instants are occurrences of a cron.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::cron::Cron;
use crate::domain::ids::CronId;

/// Returns the first instant strictly after `after` that the calendar and the cron's `start_time` and
/// `end_time` allow.
pub fn next_within(cron: &Cron, after: Timestamp) -> Option<Timestamp> {
    if !cron.enabled {
        return None;
    }
    let from = match cron.start_time {
        // An occurrence exactly at the start counts, and a calendar returns instants strictly after.
        Some(start) if start > after => just_before(start),
        _ => after,
    };
    let at = cron.calendar.next_after(from)?.at;
    match cron.end_time {
        Some(end) if at >= end => None,
        _ => Some(at),
    }
}

/// Returns whether the cron has an occurrence at exactly this instant.
pub fn names(cron: &Cron, at: Timestamp) -> bool {
    next_within(cron, just_before(at)) == Some(at)
}

/// Returns the last instant before this one.
pub fn just_before(at: Timestamp) -> Timestamp {
    at.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap_or(at)
}

/// Instants after the cursors of crons that have a record already, because the clock was set back, or whose record is
/// deleted. Nothing is decided about them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    instants: BTreeSet<(CronId, Timestamp)>,
    /// Until when (inclusive) records of a cron are deleted.
    deleted_until: BTreeMap<CronId, Timestamp>,
}

impl FromIterator<(CronId, Timestamp)> for Decided {
    fn from_iter<I: IntoIterator<Item = (CronId, Timestamp)>>(instants: I) -> Self {
        Self { instants: instants.into_iter().collect(), deleted_until: BTreeMap::new() }
    }
}

impl Decided {
    #[cfg(test)]
    pub(super) const NOTHING: Self = Self { instants: BTreeSet::new(), deleted_until: BTreeMap::new() };

    /// Returns the same, without the instants of crons up to which records are deleted.
    pub fn with_deleted(mut self, until: impl IntoIterator<Item = (CronId, Timestamp)>) -> Self {
        self.deleted_until.extend(until);
        self
    }

    /// Returns the first occurrence of the cron strictly after `after` that is still to be decided about.
    pub fn next_within(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let deleted_until = self.deleted_until.get(&cron.cron_id).copied();
        let mut next = next_within(cron, deleted_until.map_or(after, |until| until.max(after)));
        while let Some(at) = next.filter(|at| self.instants.contains(&(cron.cron_id, *at))) {
            next = next_within(cron, at);
        }
        next
    }
}
