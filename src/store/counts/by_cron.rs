//! Counts by cron, of crons from files only: how many crons clients make, and how they call them, is theirs to choose.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Histogram;
use crate::domain::bounds::METRIC_CRONS_MAX;
use crate::domain::ids::CronId;
use crate::domain::reason::ReasonCode;
use crate::domain::run::Status;
use crate::store::ended::Ended;

/// The counts of each cron that is counted by itself.
pub type CountsByCron = Arc<HashMap<CronId, Arc<CronCounts>>>;

/// The counts of one cron since it is counted, which is since the process started unless it was added later.
#[derive(Debug)]
pub struct CronCounts {
    /// Only those pairs that occurred.
    ended: Mutex<BTreeMap<(Status, Option<ReasonCode>), u64>>,
    /// The time from a run being due until the backend accepted it.
    pub lateness: Histogram,
    /// How long its runs took.
    pub run_time: Histogram,
}

/// The crons that are counted by themselves. A cron that is among them stays as long as it exists, so that none of its
/// counters goes back.
#[derive(Debug, Default)]
pub(super) struct CountedCrons(RwLock<CountsByCron>);

/// Upper bounds in seconds, few because each is a series of every cron: below the first, a start is on time; beyond the last,
/// it is a matter of start deadlines.
const LATENESS_SECONDS: [f64; 3] = [0.1, 1.0, 60.0];

/// From a script to an agent that works for an hour.
const RUN_SECONDS: [f64; 5] = [1.0, 10.0, 60.0, 600.0, 3600.0];

impl Default for CronCounts {
    fn default() -> Self {
        Self {
            ended: Mutex::default(),
            lateness: Histogram::of(&LATENESS_SECONDS),
            run_time: Histogram::of(&RUN_SECONDS),
        }
    }
}

impl CronCounts {
    pub(super) fn add(&self, ended: &Ended) {
        let mut counts = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((ended.status, ended.code)).or_default() += ended.occurrences;
        drop(counts);
        if let Some(took) = ended.took {
            self.run_time.observe(took);
        }
    }

    /// Returns how many runs and occurrences ended with which status and for which reason, without zeroes.
    pub fn ended(&self) -> BTreeMap<(Status, Option<ReasonCode>), u64> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl CountedCrons {
    pub(super) fn now(&self) -> CountsByCron {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts something of this cron, if it is counted by itself.
    pub(super) fn with(&self, cron_id: Option<CronId>, count: impl FnOnce(&CronCounts)) {
        let crons = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cron) = cron_id.and_then(|cron_id| crons.get(&cron_id)) {
            count(cron);
        }
    }

    /// Replaces the crons. What is counted already goes first, and is not counted anew.
    pub(super) fn set(&self, crons: &[CronId]) {
        let mut counted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kept = crons.iter().filter_map(|id| Some((*id, Arc::clone(counted.get(id)?))));
        let new = crons.iter().filter(|id| !counted.contains_key(id)).map(|id| (*id, Arc::default()));
        let all = kept.chain(new).take(METRIC_CRONS_MAX).collect();
        *counted = Arc::new(all);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cron_is_counted_as_long_as_it_exists_and_no_more_than_there_may_be() {
        let ids: Vec<CronId> =
            (0..METRIC_CRONS_MAX + 2).map(|n| CronId(Uuid::from_u128(n as u128))).collect();
        let (first, last, next) = (ids[0], ids[METRIC_CRONS_MAX - 1], ids[METRIC_CRONS_MAX]);
        let counted = CountedCrons::default();
        let observe = |id: CronId| counted.with(Some(id), |cron| cron.lateness.observe_number(1));
        let count = |id: CronId| counted.now().get(&id).map(|cron| cron.lateness.snapshot().count);
        counted.set(&ids);
        [last, next].into_iter().for_each(observe);
        assert_eq!((count(first), count(last), count(next)), (Some(0), Some(1), None));
        // The others of before keep their places against those that would come first now.
        let reversed: Vec<CronId> = ids.iter().rev().copied().collect();
        counted.set(&reversed);
        assert_eq!((count(first), count(last), count(next)), (Some(0), Some(1), None));
        // A removed cron leaves its place to the first of the others, and nothing else.
        counted.set(&reversed[..=METRIC_CRONS_MAX]);
        assert_eq!(
            (count(first), count(last), count(next), count(reversed[0])),
            (None, Some(1), None, Some(0))
        );
        counted.set(&[]);
        assert_eq!(counted.now().len(), 0);
    }
}
