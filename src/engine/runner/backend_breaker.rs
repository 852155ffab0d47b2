//! The circuit breaker of the backend. While the backend is down, or refuses our key, one run at a time
//! probes whether it is back, and the others wait in the store, untouched and in order. A start that is not
//! sent cannot be unconfirmed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::backend::Denial;
use crate::domain::backoff::{self, Wait};
use crate::domain::reason::ReasonCode;

/// The waits between two probes of a backend that cannot be reached.
const UNREACHABLE_FIRST: Duration = Duration::from_millis(250);
const UNREACHABLE_MOST: Duration = Duration::from_secs(5);
/// The waits between two probes of a backend that refuses our key: more frequent ones might lock the key out.
pub(super) const DENIED_FIRST: Duration = Duration::from_secs(5);
pub(super) const DENIED_MOST: Duration = Duration::from_secs(60);
/// The longest wait that the backend may ask for.
const ASKED_MOST: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct BackendBreaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures in a row; starts that failed together count once.
    failures: u32,
    /// Why the last start failed; `None` while the breaker is closed.
    failure: Option<StartFailure>,
    /// When the next start may be sent.
    probe: Option<Wait>,
    /// When the breaker opened, and why it is open.
    trouble: Option<(Timestamp, String)>,
    /// Why the agent server is known to be away, so that nothing is sent.
    away: Option<String>,
    /// The last trouble that is over, and when it ended.
    past: Option<(Timestamp, String)>,
}

/// Why the backend certainly did not take a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StartFailure {
    Unreachable,
    /// It asked us to wait, if it said so this long.
    PutOff {
        asked: Option<Duration>,
    },
    /// It refused our key.
    Denied(Denial),
}

impl BackendBreaker {
    /// Returns why no run is sent, or `None` while runs are.
    pub fn trouble(&self) -> Option<String> {
        let state = self.lock();
        state.away.clone().or_else(|| state.trouble.as_ref().map(|(_, trouble)| trouble.clone()))
    }

    /// Returns why runs are lost whose start deadline passes now: the agent server cannot be reached, or refuses our key.
    pub(super) fn loses_runs_to(&self) -> Option<ReasonCode> {
        let state = self.lock();
        match &state.failure {
            _ if state.away.is_some() => Some(ReasonCode::BackendAway),
            Some(StartFailure::Unreachable) => Some(ReasonCode::BackendAway),
            Some(StartFailure::Denied(_)) => Some(ReasonCode::BackendDenied),
            Some(StartFailure::PutOff { .. }) | None => None,
        }
    }

    /// Returns since when the backend refuses our key, and how, if it does.
    pub fn denied(&self) -> Option<(Timestamp, Denial)> {
        let state = self.lock();
        match (&state.trouble, &state.failure) {
            (Some((since, _)), Some(StartFailure::Denied(denial))) => Some((*since, denial.clone())),
            _ => None,
        }
    }

    /// Records that the agent server is away: nothing is sent until it is back.
    pub fn away(&self, why: &str) {
        self.lock().away = Some(why.to_owned());
    }

    /// Records that the agent server is there, and returns whether that is news.
    pub fn back(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        let was_away = state.away.take();
        let was_unreachable = state.failure == Some(StartFailure::Unreachable);
        if let Some(why) = &was_away {
            state.past = Some((now, why.clone()));
        }
        if was_unreachable {
            state.close(now);
        }
        was_away.is_some() || was_unreachable
    }

    /// Returns how many starts may be claimed now, with `in_flight` starts under way and `most` allowed at
    /// once.
    pub(super) fn starts_allowed(&self, now: Timestamp, in_flight: usize, most: usize) -> usize {
        let state = self.lock();
        match state.probe {
            _ if state.away.is_some() => 0,
            None => most.saturating_sub(in_flight),
            Some(wait) if wait.is_over(now) => 1_usize.saturating_sub(in_flight),
            Some(_) => 0,
        }
    }

    /// Returns when an open breaker lets one probe through; `None` while it is closed.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        self.lock().probe.map(|wait| wait.until)
    }

    /// Returns why no run is sent, or why none was at any time since `then`.
    pub(super) fn trouble_since(&self, then: Timestamp) -> Option<String> {
        let past = self.lock().past.clone().filter(|(over_at, _)| *over_at >= then);
        self.trouble().or_else(|| past.map(|(_, trouble)| trouble))
    }

    /// Records that the backend took a start, which closes the breaker.
    pub(super) fn record_success(&self, now: Timestamp) {
        self.lock().close(now);
    }

    /// Records that the backend did not take a start, and returns when the next one may be sent.
    pub(super) fn record_failure(&self, now: Timestamp, failure: &StartFailure, detail: &str) -> Timestamp {
        let mut state = self.lock();
        if state.failures == 0 && matches!(failure, StartFailure::PutOff { .. }) {
            tracing::warn!(detail, "the agent server asks us to wait; runs wait until their start deadline");
        }
        // Starts that were in flight together fail together, which counts as one failure.
        if state.probe.is_none_or(|wait| wait.is_over(now)) {
            state.failures = state.failures.saturating_add(1);
        }
        let own = backoff::doubling(UNREACHABLE_FIRST, UNREACHABLE_MOST, state.failures);
        let wait = match failure {
            StartFailure::Unreachable => own,
            StartFailure::PutOff { asked } => own.max(asked.unwrap_or(Duration::ZERO).min(ASKED_MOST)),
            StartFailure::Denied(_) => backoff::doubling(DENIED_FIRST, DENIED_MOST, state.failures),
        };
        let probe = Wait::begin(now, wait);
        state.probe = Some(probe);
        let is_denied = |failure: &StartFailure| matches!(failure, StartFailure::Denied(_));
        let goes_on = state.failure.as_ref().is_some_and(|before| is_denied(before) == is_denied(failure));
        let since = state.trouble.as_ref().filter(|_| goes_on).map_or(now, |(since, _)| *since);
        state.failure = Some(failure.clone());
        state.trouble = Some((since, detail.to_owned()));
        probe.until
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, now: Timestamp) {
        // The runs that waited meanwhile start late because of it.
        let past = self.trouble.take().map(|(_, trouble)| (now, trouble)).or(self.past.take());
        *self = State { past, away: self.away.take(), ..State::default() };
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const STARTS_MAX: usize = 8;

    enum Event {
        Unreachable,
        AsksToWait(u64),
        Denied,
        Success,
        Nothing,
    }

    fn denial() -> Denial {
        Denial { code: 401, detail: String::new() }
    }

    /// Lets the events happen at these milliseconds, and shows what the breaker allows right after each.
    fn table(events: &[(i64, Event)]) -> String {
        let breaker = BackendBreaker::default();
        let mut table = String::new();
        for (millisecond, event) in events {
            let now = Timestamp::from_millisecond(*millisecond).unwrap();
            let failure = |failure| breaker.record_failure(now, &failure, "connection refused");
            let name = match event {
                Event::Unreachable => {
                    failure(StartFailure::Unreachable);
                    "unreachable".to_owned()
                }
                Event::AsksToWait(seconds) => {
                    let asked = Some(Duration::from_secs(*seconds));
                    failure(StartFailure::PutOff { asked });
                    format!("asks for {seconds}s")
                }
                Event::Denied => {
                    failure(StartFailure::Denied(denial()));
                    "denied".to_owned()
                }
                Event::Success => {
                    breaker.record_success(now);
                    "success".to_owned()
                }
                Event::Nothing => "-".to_owned(),
            };
            let allowed = [0, 1].map(|in_flight| breaker.starts_allowed(now, in_flight, STARTS_MAX));
            let probe = breaker
                .probe_at()
                .map_or("closed".to_owned(), |at| format!("open, probe at {}", at.as_millisecond()));
            table.push_str(&format!("at {millisecond:<7} {name:16} {probe:22} starts {allowed:?}\n"));
        }
        table
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_at_growing_waits_until_a_success_closes_it() {
        let table = table(&[
            (0, Event::Nothing),
            (0, Event::Unreachable),
            // It was in flight together with the first one.
            (10, Event::Unreachable),
            (200, Event::Nothing),
            (260, Event::Nothing),
            (260, Event::Unreachable),
            (760, Event::Unreachable),
            (1760, Event::Unreachable),
            (3760, Event::Unreachable),
            (7760, Event::Unreachable),
            (12_760, Event::Unreachable),
            (17_760, Event::Success),
            (17_760, Event::Unreachable),
        ]);
        expect![[r#"
            at 0       -                closed                 starts [8, 7]
            at 0       unreachable      open, probe at 250     starts [0, 0]
            at 10      unreachable      open, probe at 260     starts [0, 0]
            at 200     -                open, probe at 260     starts [0, 0]
            at 260     -                open, probe at 260     starts [1, 0]
            at 260     unreachable      open, probe at 760     starts [0, 0]
            at 760     unreachable      open, probe at 1760    starts [0, 0]
            at 1760    unreachable      open, probe at 3760    starts [0, 0]
            at 3760    unreachable      open, probe at 7760    starts [0, 0]
            at 7760    unreachable      open, probe at 12760   starts [0, 0]
            at 12760   unreachable      open, probe at 17760   starts [0, 0]
            at 17760   success          closed                 starts [8, 7]
            at 17760   unreachable      open, probe at 18010   starts [0, 0]
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_refused_key_is_probed_rarely_and_a_wait_that_the_backend_asks_for_is_bounded() {
        let table = table(&[
            (0, Event::Denied),
            (5_000, Event::Denied),
            (15_000, Event::Success),
            (15_000, Event::AsksToWait(2)),
            (17_000, Event::AsksToWait(86_400)),
            (317_000, Event::Nothing),
        ]);
        expect![[r#"
            at 0       denied           open, probe at 5000    starts [0, 0]
            at 5000    denied           open, probe at 15000   starts [0, 0]
            at 15000   success          closed                 starts [8, 7]
            at 15000   asks for 2s      open, probe at 17000   starts [0, 0]
            at 17000   asks for 86400s  open, probe at 317000  starts [0, 0]
            at 317000  -                open, probe at 317000  starts [1, 0]
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_the_breaker_open() {
        let table =
            table(&[(3_600_000, Event::Unreachable), (3_600_100, Event::Nothing), (0, Event::Nothing)]);
        expect![[r#"
            at 3600000 unreachable      open, probe at 3600250 starts [0, 0]
            at 3600100 -                open, probe at 3600250 starts [0, 0]
            at 0       -                open, probe at 3600250 starts [1, 0]
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn past_trouble_explains_runs_that_were_due_before_it_ended() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let breaker = BackendBreaker::default();
        assert_eq!(breaker.trouble_since(at(0)), None);
        breaker.record_failure(at(10), &StartFailure::Denied(denial()), "refused (401)");
        assert_eq!(breaker.trouble_since(at(50)).as_deref(), Some("refused (401)"));
        breaker.record_success(at(20));
        assert_eq!(breaker.trouble(), None);
        assert_eq!(breaker.trouble_since(at(20)).as_deref(), Some("refused (401)"));
        assert_eq!(breaker.trouble_since(at(21)), None);
    }
}
