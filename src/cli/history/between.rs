//! What somebody did to a cron, between the rows of its runs.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::api::wire::{Act, Run};
use crate::cli::acts::latest;
use crate::cli::terminal::{Failure, Source};
use crate::domain::bounds::ACTS_BESIDE_RUNS_MAX;
use crate::domain::ids::FIRST_RUN;
use crate::store::{ActFilter, RunFilter};

/// A row of the listing.
pub(super) enum Entry {
    Run(Box<Run>),
    Act(Act),
}

/// The acts that are still to be shown, the oldest first.
#[derive(Default)]
pub(super) struct ActsBetween {
    acts: VecDeque<Act>,
    /// Whether those before the first run are left out.
    from_first_run: bool,
}

impl ActsBetween {
    /// Reads the acts on one cron in the period of a listing. A listing of some runs only has none between them.
    pub(super) fn read(cron: Option<&str>, filter: &RunFilter, source: &Source) -> Result<Self, Failure> {
        let period = ActFilter { crons: None, since: filter.since, until: filter.until };
        let all = RunFilter { since: filter.since, until: filter.until, ..RunFilter::default() };
        let Some(cron) = cron.filter(|_| *filter == all) else { return Ok(Self::default()) };
        let mut acts = latest(Some(cron), period, u64::from(ACTS_BESIDE_RUNS_MAX), source)?;
        acts.reverse();
        Ok(Self { acts: acts.into(), from_first_run: false })
    }

    /// Leaves out those before the first run that is shown, because the runs before that one are left out.
    pub(super) fn begin_with_first_run(&mut self) {
        self.from_first_run = true;
    }

    /// Puts the acts before each of the runs, which follow in their order, in its place.
    pub(super) fn among(&mut self, runs: Vec<Run>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(runs.len());
        for run in runs {
            // What comes between two runs of an occurrence stands below both.
            let acts = if run.retry == FIRST_RUN { self.until(run.scheduled_for.0) } else { Vec::new() };
            if !self.from_first_run {
                entries.extend(acts.into_iter().map(Entry::Act));
            }
            self.from_first_run = false;
            entries.push(Entry::Run(Box::new(run)));
        }
        entries
    }

    /// Returns the acts after the last run.
    pub(super) fn rest(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.acts).into_iter().map(Entry::Act).collect()
    }

    /// Takes those up to the instant of a run. That of a triggered run is when it was triggered.
    fn until(&mut self, at: Timestamp) -> Vec<Act> {
        let count = self.acts.partition_point(|act| act.at.0 <= at);
        self.acts.drain(..count).collect()
    }
}
