//! Which occurrences a plan decides about.

use jiff::Timestamp;

use super::{Former, PlanFacts};
use crate::domain::cron::Cron;

/// The occurrences to decide about.
pub(super) struct Due {
    pub(super) instants: Vec<Timestamp>,
    /// The first occurrence after those.
    pub(super) next: Option<Timestamp>,
}

impl Due {
    /// Collects the occurrences of the cron, and those of its former definition if there is one, as long as that was in force.
    pub(super) fn collect(cron: &Cron, former: Option<Former<'_>>, facts: &PlanFacts<'_>) -> Self {
        let PlanFacts { cursor, decided, occurrences_max, now, .. } = *facts;
        let next_of_former = |after| {
            let Former { cron, until, .. } = former?;
            decided.next_within(cron, after).filter(|at| *at <= until)
        };
        let (mut own, mut of_former) = (decided.next_within(cron, cursor), next_of_former(cursor));
        let mut instants = Vec::new();
        let mut next = own.into_iter().chain(of_former).min();
        while let Some(at) = next.filter(|at| *at <= now && instants.len() < occurrences_max) {
            instants.push(at);
            if own == next {
                own = decided.next_within(cron, at);
            }
            if of_former == next {
                of_former = next_of_former(at);
            }
            next = own.into_iter().chain(of_former).min();
        }
        Self { instants, next }
    }

    /// Returns the occurrence that follows the one at `index`, due or not.
    pub(super) fn after(&self, index: usize) -> Option<Timestamp> {
        self.instants.get(index + 1).copied().or(self.next)
    }
}
