//! The circuit breaker of a receiver: whether it is away, when it is asked again, and how much it gets once it is back.
//! An origin has one, and so has each URL.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::{self, Wait};
use super::ids::DeliveryId;

/// How many failures in a row open a breaker.
const FAILURES_MAX: usize = 5;
/// A receiver is asked again after a quarter of the time that it has been away, so it gets few attempts however long that
/// is, and what waits for it waits hardly longer.
const SHARE_OF_ABSENCE: u32 = 4;
const PROBE_WAIT_LEAST: Duration = Duration::from_secs(2);
const PROBE_WAIT_MOST: Duration = Duration::from_secs(15 * 60);

/// What is away: one URL, or all of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Origin,
    Url,
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub delivery_id: DeliveryId,
    pub began: Timestamp,
    pub at: Timestamp,
}

/// What is known about one receiver. The default is that nothing is wrong.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    absence: Option<Absence>,
    well_at: Option<Timestamp>,
    /// How many attempts it gets at once after failures; `None` if they are forgotten.
    ramp: Option<usize>,
}

/// The time since a receiver was well last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// When the first attempt that failed began.
    pub since: Timestamp,
    /// The delivery whose attempt failed last.
    pub last: DeliveryId,
    /// Until when an open breaker lets nothing through.
    probe: Wait,
    /// Until when nothing is sent before its turn.
    early: Wait,
    /// The deliveries whose failures count, up to [`FAILURES_MAX`].
    failures: Vec<DeliveryId>,
}

impl Breaker {
    /// Records a failure. One that `counts` for nothing does not open the breaker.
    pub fn failed(&mut self, ended: Ended, counts: bool) {
        let Ended { delivery_id, began, at } = ended;
        let began = began.max(self.well_at.unwrap_or(began));
        let since = self.absence.as_ref().map_or(began, |known| known.since.min(began));
        let wait = Wait::begin(at, wait(since, at));
        let mut failures = self.absence.take().map(|known| known.failures).unwrap_or_default();
        if counts && failures.len() < FAILURES_MAX {
            failures.push(delivery_id);
        }
        self.absence = Some(Absence { since, last: delivery_id, probe: wait, early: wait, failures });
    }

    /// Records a success, and returns the absence that it ends.
    pub fn well(&mut self, at: Timestamp, permits: usize) -> Option<Absence> {
        self.well_at = Some(at);
        self.ramp = self.ramp.map(|ramp| ramp * 2).filter(|ramp| *ramp < permits);
        self.absence.take()
    }

    /// Lets half as many attempts through at once. Each success lets through twice as many.
    pub fn slow_down(&mut self, permits: usize) {
        self.ramp = Some((self.ramp.unwrap_or(permits) / 2).max(1));
    }

    /// Lets a probe through at once if it has been away since then or later, because there is news.
    pub fn hurry(&mut self, since: Timestamp, now: Timestamp) {
        if let Some(absence) = self.absence.as_mut().filter(|absence| absence.since >= since) {
            (absence.probe, absence.early) =
                (Wait::begin(now, Duration::ZERO), Wait::begin(now, Duration::ZERO));
        }
    }

    pub fn absence(&self) -> Option<&Absence> {
        self.absence.as_ref()
    }

    /// Returns whether nothing is lost if it is forgotten.
    pub fn knows_nothing(&self) -> bool {
        self.absence.is_none() && self.ramp.is_none()
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }

    pub fn is_open(&self) -> bool {
        self.absence.as_ref().is_some_and(Absence::is_open)
    }

    /// Returns whether a failure of this delivery has been counted already.
    pub fn has_counted(&self, delivery_id: DeliveryId) -> bool {
        self.absence.as_ref().is_some_and(|absence| absence.failures.contains(&delivery_id))
    }

    /// Returns how many attempts it gets at once.
    pub fn permits(&self, most: usize) -> usize {
        if self.is_open() { 1 } else { self.ramp.unwrap_or(most).min(most) }
    }

    /// Returns when an open breaker lets the next probe through, if that is still to come.
    pub fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        let absence = self.absence.as_ref().filter(|absence| absence.is_open())?;
        Some(absence.probe).filter(|wait| !wait.is_over(now)).map(|wait| wait.until)
    }

    /// Returns when something may be sent before its turn again, if that is still to come.
    pub fn early_at(&self, now: Timestamp) -> Option<Timestamp> {
        let absence = self.absence.as_ref()?;
        Some(absence.early).filter(|wait| !wait.is_over(now)).map(|wait| wait.until)
    }

    /// Returns the absence if something may be sent now before its turn, to see whether it is over. There may be nothing
    /// to send, so the next time comes after a further wait.
    pub fn take_early(&mut self, now: Timestamp) -> Option<&Absence> {
        let absence = self.absence.as_mut().filter(|absence| absence.early.is_over(now))?;
        absence.early = Wait::begin(now, wait(absence.since, now));
        Some(absence)
    }
}

impl Absence {
    fn is_open(&self) -> bool {
        self.failures.len() >= FAILURES_MAX
    }
}

fn wait(since: Timestamp, now: Timestamp) -> Duration {
    (backoff::between(since, now) / SHARE_OF_ABSENCE).clamp(PROBE_WAIT_LEAST, PROBE_WAIT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::RunId;

    const PERMITS: usize = 4;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ended(number: u128, began: i64, second: i64) -> Ended {
        let delivery_id =
            DeliveryId::of_run(RunId(uuid::Uuid::from_u128(number)), "https://ops.example/hook");
        Ended { delivery_id, began: at(began), at: at(second) }
    }

    /// Returns a breaker with an absence since the beginning, and five failures by then.
    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        (0..5).for_each(|number| breaker.failed(ended(number, 0, 0), true));
        breaker
    }

    #[test]
    fn five_failures_that_count_open_it() {
        let mut breaker = Breaker::default();
        for number in 0..4 {
            breaker.failed(ended(number, 0, 0), true);
            assert_eq!((breaker.is_open(), breaker.permits(PERMITS)), (false, PERMITS));
            assert!(breaker.has_counted(ended(number, 0, 0).delivery_id));
        }
        breaker.failed(ended(9, 0, 0), false);
        assert!(!breaker.is_open() && !breaker.has_counted(ended(9, 0, 0).delivery_id));
        breaker.failed(ended(4, 0, 0), true);
        assert_eq!((breaker.is_open(), breaker.permits(PERMITS)), (true, 1));
        assert_eq!((breaker.waits_until(at(1)), breaker.waits_until(at(2))), (Some(at(2)), None));
    }

    #[test]
    fn it_is_asked_after_a_quarter_of_its_absence() {
        let mut breaker = open();
        let mut probes = Vec::new();
        while probes.len() < 40 {
            let probe = breaker.waits_until(at(probes.last().copied().unwrap_or(0))).unwrap().as_second();
            probes.push(probe);
            breaker.failed(ended(0, probe, probe), false);
        }
        assert_eq!(probes[..12], [2, 4, 6, 8, 10, 12, 15, 18, 22, 27, 33, 41]);
        let of_first_hour = probes.iter().filter(|second| **second < 3600).count();
        assert_eq!((of_first_hour, probes[39] - probes[38]), (32, 900));
    }

    #[test]
    fn its_absence_begins_with_the_first_attempt_that_failed_but_after_it_was_well() {
        for (well_at, began, failed_at, since) in
            [(None, 0, 20, 0), (Some(5), 0, 20, 5), (Some(5), 10, 20, 10), (None, 30, 20, 30)]
        {
            let mut breaker = Breaker::default();
            if let Some(well_at) = well_at {
                assert_eq!(breaker.well(at(well_at), PERMITS), None);
            }
            breaker.failed(ended(0, began, failed_at), true);
            breaker.failed(ended(1, 100, 101), true);
            assert_eq!(breaker.absence().unwrap().since, at(since), "{well_at:?} {began}");
        }
    }

    #[test]
    fn once_it_is_back_it_gets_one_then_two_then_four() {
        let mut breaker = open();
        (0..3).for_each(|_| breaker.slow_down(PERMITS));
        let permits = |breaker: &mut Breaker| {
            breaker.well(at(10), PERMITS);
            breaker.permits(PERMITS)
        };
        assert_eq!(breaker.permits(PERMITS), 1);
        assert_eq!([permits(&mut breaker), permits(&mut breaker), permits(&mut breaker)], [2, 4, 4]);
        breaker.slow_down(PERMITS);
        assert_eq!(breaker.permits(PERMITS), 2);
        assert_eq!(open().well(at(1), PERMITS).unwrap().since, at(0));
    }

    #[test]
    fn what_is_sent_before_its_turn_waits_for_the_same_times() {
        let mut breaker = Breaker::default();
        assert!(breaker.take_early(at(0)).is_none());
        breaker.failed(ended(0, 0, 0), true);
        assert_eq!((breaker.early_at(at(0)), breaker.take_early(at(1)).is_some()), (Some(at(2)), false));
        assert!(breaker.take_early(at(2)).is_some() && breaker.take_early(at(3)).is_none());
        assert_eq!((breaker.early_at(at(3)), breaker.waits_until(at(3))), (Some(at(4)), None));
        breaker.hurry(at(1), at(3));
        assert!(breaker.take_early(at(3)).is_none());
        breaker.hurry(at(0), at(3));
        assert!(breaker.take_early(at(3)).is_some());
    }
}
