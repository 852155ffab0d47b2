//! How much clients and people may add, so that a loop of theirs cannot fill the store or keep the runner searching through
//! what waits.

use super::bounds::{API_CRONS_MAX, API_RUNS_WAITING_MAX, BACKFILLED_WAITING_MAX, TRIGGERED_WAITING_MAX};
use super::cron::{Cron, CronSource};
use super::run::Trigger;

/// Why no more may be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// How many there are of what.
    pub what: String,
    pub max: usize,
}

/// How many runs wait to start already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingRuns {
    /// Of the cron and the trigger that more are asked for.
    pub of_cron: u64,
    /// Of all crons that clients made.
    pub of_clients: u64,
}

/// Returns whether clients may make one more cron, if they have made so many.
pub fn may_add_cron(of_clients: u64) -> bool {
    of_clients < API_CRONS_MAX
}

/// Returns whether so many more runs of this cron may wait that somebody asks for.
pub fn more_runs(cron: &Cron, trigger: Trigger, more: usize, waiting: WaitingRuns) -> Result<(), TooMany> {
    let WaitingRuns { of_cron, of_clients } = waiting;
    let (asked_for, max) = match trigger {
        Trigger::Backfill => ("backfilled", BACKFILLED_WAITING_MAX),
        Trigger::Manual | Trigger::Schedule | Trigger::Catchup | Trigger::Api => {
            ("triggered", TRIGGERED_WAITING_MAX)
        }
    };
    let is_within = |count: u64, max: usize| count.saturating_add(more as u64) <= max as u64;
    demand(is_within(of_cron, max), || format!("{of_cron} {asked_for} runs of {}", cron.name), max)?;
    let has_room = cron.source == CronSource::File || is_within(of_clients, API_RUNS_WAITING_MAX);
    demand(has_room, || format!("{of_clients} runs of crons that clients made"), API_RUNS_WAITING_MAX)
}

fn demand(is_within: bool, what: impl FnOnce() -> String, max: usize) -> Result<(), TooMany> {
    if is_within { Ok(()) } else { Err(TooMany { what: what(), max }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::tests::cron;

    #[test]
    fn each_limit_may_be_reached_and_not_passed() {
        let of_file = cron("* * * * *");
        let of_client = Cron { source: CronSource::Api, ..of_file.clone() };
        let waiting = |of_cron: usize, of_clients: usize| WaitingRuns {
            of_cron: of_cron as u64,
            of_clients: of_clients as u64,
        };
        for (cron, trigger, more, waiting, is_within) in [
            (&of_file, Trigger::Manual, 1, waiting(TRIGGERED_WAITING_MAX - 1, usize::MAX), true),
            (&of_file, Trigger::Manual, 1, waiting(TRIGGERED_WAITING_MAX, 0), false),
            (&of_file, Trigger::Backfill, BACKFILLED_WAITING_MAX, waiting(0, 0), true),
            (&of_file, Trigger::Backfill, BACKFILLED_WAITING_MAX, waiting(1, 0), false),
            (&of_client, Trigger::Manual, 1, waiting(0, API_RUNS_WAITING_MAX - 1), true),
            (&of_client, Trigger::Manual, 1, waiting(0, API_RUNS_WAITING_MAX), false),
        ] {
            assert_eq!(more_runs(cron, trigger, more, waiting).is_ok(), is_within, "{trigger:?} {waiting:?}");
        }
        assert!(may_add_cron(API_CRONS_MAX - 1) && !may_add_cron(API_CRONS_MAX));
    }
}
