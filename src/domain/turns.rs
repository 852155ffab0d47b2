//! Which of the waiting runs is sent next, so that no cron and no client can keep the others from running.
//!
//! Two rules decide. Between crons of one source, the order is by *turns*: every run gets the number of its turn when
//! it begins to wait, and the lowest number is next. Between crons from files and those of clients, the *places* on the
//! agent server decide.

use super::bounds::PLACES_PER_KEPT_ONE;
use super::cron::CronSource;

/// Returns the turn of a cron's next run. `latest` is the turn of the cron's latest run, and `served` the highest
/// turn of which a run was sent.
///
/// Each run of a cron comes a turn later than the one before it, so the second waiting run of a cron comes after the
/// first ones of all the others. A cron that had nothing to do begins at the turn that is being served: it makes up for
/// nothing, and has nothing to make up.
pub fn next_turn(latest: i64, served: i64) -> i64 {
    latest.saturating_add(1).max(served)
}

/// Returns how many of `max` places are kept for crons from files, however many runs of clients' crons wait. It
/// is at least one, so that a run of such a cron need not wait for the end of a client's run, which may take hours.
pub fn kept_for_files(max: usize) -> usize {
    (max / PLACES_PER_KEPT_ONE).max(1)
}

/// The places for runs of crons on the agent server, and who holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub max: usize,
    /// Runs of clients' crons leave so many places free, but always take one of them: with a single place, nothing
    /// can be kept.
    pub kept_for_files: usize,
    /// Held by runs of crons from files.
    pub of_files: usize,
    /// Held by runs of crons that clients made.
    pub of_clients: usize,
}

impl Places {
    /// Returns how many places runs of crons from this source may take, if nobody else takes one.
    pub fn left(self, source: CronSource) -> usize {
        let free = self.max.saturating_sub(self.of_files.saturating_add(self.of_clients));
        match source {
            CronSource::File => free,
            CronSource::Api => {
                let for_clients = self.max.saturating_sub(self.kept_for_files).max(1);
                free.min(for_clients.saturating_sub(self.of_clients))
            }
        }
    }

    /// Returns whether a run of a cron from this source may take a place.
    pub fn has_room(self, source: CronSource) -> bool {
        self.left(source) > 0
    }

    /// Returns whose run takes the next place, given whether runs of either source wait. The source that holds fewer
    /// places goes first, so neither can crowd out the other; if they hold equally many, crons from files go first.
    pub fn next(self, of_files: bool, of_clients: bool) -> Option<CronSource> {
        let of_files = of_files && self.has_room(CronSource::File);
        let of_clients = of_clients && self.has_room(CronSource::Api);
        match (of_files, of_clients) {
            (false, false) => None,
            (true, false) => Some(CronSource::File),
            (false, true) => Some(CronSource::Api),
            (true, true) if self.of_files <= self.of_clients => Some(CronSource::File),
            (true, true) => Some(CronSource::Api),
        }
    }

    /// Records that a run of a cron from this source takes a place.
    pub fn take(&mut self, source: CronSource) {
        match source {
            CronSource::File => self.of_files += 1,
            CronSource::Api => self.of_clients += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(max: usize, of_files: usize, of_clients: usize) -> Places {
        Places { max, kept_for_files: kept_for_files(max), of_files, of_clients }
    }

    #[test]
    fn a_cron_takes_turns_with_the_others() {
        // (latest of the cron, served, its next turn)
        let cases = [(0, 0, 1), (7, 7, 8), (9, 7, 10), (2, 7, 7), (6, 7, 7)];
        for (latest, served, turn) in cases {
            assert_eq!(next_turn(latest, served), turn, "latest {latest}, served {served}");
        }
    }

    #[test]
    fn a_place_goes_to_the_source_that_holds_fewer() {
        let (file, api) = (Some(CronSource::File), Some(CronSource::Api));
        // (max, held by files, held by clients) -> next if (both, only files, only clients) wait
        let cases = [
            ((5, 0, 0), (file, file, api)),
            ((5, 1, 0), (api, file, api)),
            ((5, 1, 1), (file, file, api)),
            ((5, 0, 3), (file, file, api)),
            // The fifth place is kept for crons from files.
            ((5, 0, 4), (file, file, None)),
            ((5, 1, 4), (None, None, None)),
            // They may take all places.
            ((5, 4, 0), (api, file, api)),
            ((5, 5, 0), (None, None, None)),
            // More runs than places: `max_concurrent_runs` was lowered.
            ((2, 0, 5), (None, None, None)),
            ((2, 0, 1), (file, file, None)),
            ((1, 0, 0), (file, file, api)),
            ((1, 0, 1), (None, None, None)),
            ((256, 100, 150), (file, file, api)),
            ((256, 31, 224), (file, file, None)),
        ];
        for ((max, of_files, of_clients), (both, only_files, only_clients)) in cases {
            let places = places(max, of_files, of_clients);
            assert_eq!(places.next(true, true), both, "{places:?}");
            assert_eq!(places.next(true, false), only_files, "{places:?}");
            assert_eq!(places.next(false, true), only_clients, "{places:?}");
            assert_eq!(places.next(false, false), None, "{places:?}");
        }
    }

    #[test]
    fn clients_leave_the_kept_places_free_however_many_runs_they_ask_for() {
        for max in 2..=300 {
            let mut places = places(max, 0, 0);
            let left = places.left(CronSource::Api);
            while places.has_room(CronSource::Api) {
                places.take(CronSource::Api);
            }
            assert_eq!(places.of_clients, left, "{places:?}");
            assert_eq!(places.left(CronSource::File), max - left, "{places:?}");
            assert_eq!(places.of_clients, max - places.kept_for_files, "{places:?}");
            for _ in 0..places.kept_for_files {
                assert_eq!(places.next(true, true), Some(CronSource::File), "{places:?}");
                places.take(CronSource::File);
            }
            assert_eq!(places.next(true, true), None, "{places:?}");
        }
    }

    #[test]
    fn without_crons_from_files_no_place_is_kept() {
        let places = Places { max: 2, kept_for_files: 0, of_files: 0, of_clients: 1 };
        assert!(places.has_room(CronSource::Api));
    }
}
