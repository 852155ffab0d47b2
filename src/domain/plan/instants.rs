//! Which instants are occurrences of a cron.

use std::collections::BTreeSet;

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
pub(in crate::domain) fn names(cron: &Cron, at: Timestamp) -> bool {
    next_within(cron, just_before(at)) == Some(at)
}

/// Returns the last instant before this one.
pub fn just_before(at: Timestamp) -> Timestamp {
    at.checked_sub(jiff::SignedDuration::from_millis(1)).unwrap_or(at)
}

/// Instants after the cursors of crons that have a record already, because the clock was set back. Nothing is decided
/// about them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided(BTreeSet<(CronId, Timestamp)>);

impl FromIterator<(CronId, Timestamp)> for Decided {
    fn from_iter<I: IntoIterator<Item = (CronId, Timestamp)>>(instants: I) -> Self {
        Self(instants.into_iter().collect())
    }
}

impl Decided {
    #[cfg(test)]
    pub(super) const NOTHING: Self = Self(BTreeSet::new());

    /// Returns the first occurrence of the cron strictly after `after` that is still to be decided about.
    pub fn next_within(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let mut next = next_within(cron, after);
        while let Some(at) = next.filter(|at| self.0.contains(&(cron.cron_id, *at))) {
            next = next_within(cron, at);
        }
        next
    }
}
