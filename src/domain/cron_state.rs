//! The state of a cron, apart from its definition: whether it is paused, whether its next occurrence is
//! skipped, and how often it has failed in a row. Requests and outcomes change it, and the plan depends on it.

use jiff::Timestamp;

use super::reason::{Reason, ReasonCode};
use super::run::{Outcome, Status};
use super::words::words;

words!(
    /// Who paused a cron.
    PauseCause {
        /// A person, by `pause`.
        Request = "request",
        /// The cron itself, by `pause_after_failures`.
        Failures = "failures",
        /// A person who paused all crons, by `pause --all`.
        All = "all",
    }
);

words!(
    /// Why a cron has no occurrences.
    InactiveCause {
        /// It has `enabled = false`.
        Disabled = "disabled",
        /// It was removed.
        Removed = "removed",
    }
);

words!(
    /// Whether a cron fires.
    CronStatus {
        Active = "active",
        /// Its occurrences are skipped until it is resumed.
        Paused = "paused",
        /// `enabled = false`, paused or not.
        Disabled = "disabled",
    }
);

words!(
    /// Which crons a listing shows: those that fire, that do not, or that fail.
    ListedState {
        Active = "active",
        Paused = "paused",
        Disabled = "disabled",
        /// Its last run failed, whether or not it fires.
        Failing = "failing",
    }
);

impl ListedState {
    /// Returns whether a cron of this status, with so many failures in a row, is listed.
    pub fn lists(self, status: CronStatus, failures: u32) -> bool {
        match self {
            ListedState::Active => status == CronStatus::Active,
            ListedState::Paused => status == CronStatus::Paused,
            ListedState::Disabled => status == CronStatus::Disabled,
            ListedState::Failing => failures > 0,
        }
    }
}

impl CronStatus {
    /// Returns whether a cron fires, from its definition and its state.
    pub fn of(enabled: bool, is_paused: bool) -> Self {
        match (enabled, is_paused) {
            (false, _) => CronStatus::Disabled,
            (true, true) => CronStatus::Paused,
            (true, false) => CronStatus::Active,
        }
    }
}

/// A time in which a cron had no occurrences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InactiveSpan {
    pub cause: InactiveCause,
    pub since: Timestamp,
    /// `None` while it lasts.
    pub until: Option<Timestamp>,
}

impl InactiveSpan {
    /// Returns whether an instant falls into it.
    pub fn contains(&self, at: Timestamp) -> bool {
        at > self.since && self.until.is_none_or(|until| at <= until)
    }
}

/// The state of a cron, apart from its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronState {
    /// The cron's own pause, which may be over. While it is in force, the cron's occurrences are skipped.
    pub paused: Option<Pause>,
    /// Whether the next occurrence is skipped.
    pub skip_next: bool,
    /// The number of runs in a row whose end says that the cron does not work.
    pub failures: u32,
    /// When the first of them ended.
    pub failing_since: Option<Timestamp>,
    /// When it worked again after it had failed; `None` while it fails.
    pub recovered_at: Option<Timestamp>,
}

/// A pause of one cron or of all crons. Whether it is over follows from the time, so nothing has to happen at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Occurrences after this instant are skipped.
    pub since: Timestamp,
    /// Occurrences at this instant or later are not; `None` if it lasts until somebody ends it.
    pub until: Option<Timestamp>,
    pub cause: PauseCause,
    /// A human-readable explanation.
    pub note: Option<String>,
    /// Whether it is on record that it has ended.
    pub end_recorded: bool,
}

impl CronState {
    /// Returns the cron's own pause, unless it is over.
    pub fn pause(&self, now: Timestamp) -> Option<&Pause> {
        self.paused.as_ref().filter(|pause| pause.is_in_force(now))
    }

    /// Returns the state as it is now: without a pause that is over, and without the failures before its end.
    pub fn at(mut self, now: Timestamp) -> Self {
        let over = self.paused.take_if(|pause| !pause.is_in_force(now));
        if over.is_some_and(|pause| !pause.end_recorded) {
            (self.failures, self.failing_since) = (0, None);
        }
        self
    }

    /// Records that a run of the cron has ended, and returns the pause if this end begins one.
    pub fn run_ended(&mut self, says: CronHealth, limit: Option<u32>, at: Timestamp) -> Option<&Pause> {
        match says {
            CronHealth::Fails => {
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(at);
                self.recovered_at = None;
            }
            CronHealth::Works => {
                if self.failing_since.take().is_some() {
                    self.recovered_at = Some(at);
                }
                self.failures = 0;
            }
            CronHealth::Unknown => return None,
        }
        let limit = limit.filter(|limit| self.failures >= *limit && self.pause(at).is_none())?;
        let note = Some(pause_message(limit));
        Some(self.paused.insert(Pause { note, ..Pause::since(at, PauseCause::Failures) }))
    }
}

/// What the end of a run says about its cron: its graph, its request, its assistant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronHealth {
    Works,
    Fails,
    /// Nothing: somebody stopped the run, or an outage, the daemon or its environment did.
    Unknown,
}

impl CronHealth {
    /// Returns what this end of a run says.
    pub fn shown_by(outcome: &Outcome) -> Self {
        Self::of_end(outcome.status, outcome.reason.as_ref().map(|reason| reason.code))
    }

    /// Returns what an end with this status and for this reason says.
    pub fn of_end(status: Status, code: Option<ReasonCode>) -> Self {
        use ReasonCode as Code;
        match (status, code) {
            (Status::Success, _) => Self::Works,
            (Status::Interrupted, Some(Code::BackendInterrupted)) => Self::Unknown,
            (Status::Interrupted, _) => Self::Works,
            (Status::Cancelled | Status::Skipped | Status::Missed, _) => Self::Unknown,
            (Status::Error | Status::Timeout, None) => Self::Fails,
            (Status::Error | Status::Timeout, Some(code)) => match code {
                Code::GraphError
                | Code::Overloaded
                | Code::Rejected
                | Code::Timeout
                | Code::AfterTimeout
                | Code::BackendTimeout
                | Code::ValuesTooLarge
                | Code::ValuesGone => Self::Fails,
                Code::StartDeadline
                | Code::Placeholder
                | Code::Lost
                | Code::Unknown
                | Code::Internal
                | Code::BackendUnreachable
                | Code::BackendDenied
                | Code::StartUnconfirmed
                | Code::StartedLate
                | Code::Adopted
                | Code::Overlap
                | Code::QueueFull
                | Code::ThreadBusy
                | Code::Excluded
                | Code::SkipNext
                | Code::Paused
                | Code::Removed
                | Code::Disabled
                | Code::Edited
                | Code::BackendAway
                | Code::DaemonDown
                | Code::DiskFull
                | Code::StoreAway
                | Code::Restored
                | Code::CatchupNone
                | Code::CatchupLatest
                | Code::CatchupWindow
                | Code::HumanInput
                | Code::BackendInterrupted
                | Code::RolledBack
                | Code::CancelRequest
                | Code::CancelOverlap => Self::Unknown,
            },
        }
    }
}

impl Pause {
    /// Returns a pause that begins at this instant, without an end and without a note.
    pub fn since(since: Timestamp, cause: PauseCause) -> Self {
        Self { since, until: None, cause, note: None, end_recorded: false }
    }

    /// Returns whether an occurrence falls into it. What was due before it began does not.
    pub fn covers(&self, at: Timestamp) -> bool {
        at > self.since && self.is_in_force(at)
    }

    /// Returns whether it is not over yet.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Returns its end, if that has come and is not on record.
    pub fn end_to_record(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until <= now && !self.end_recorded)
    }

    /// Returns the reason that is recorded for the occurrences that it skips.
    pub fn reason(&self) -> Reason {
        let paused = match self.cause {
            PauseCause::Request | PauseCause::Failures => "the cron was paused",
            PauseCause::All => "all crons were paused",
        };
        let message = match &self.note {
            Some(note) => format!("{paused}: {note}"),
            None => format!("{paused} on request"),
        };
        Reason::new(ReasonCode::Paused, message)
    }
}

/// Returns the note of a pause that a cron begins by itself after `limit` failures.
pub fn pause_message(limit: u32) -> String {
    let runs = if limit == 1 { "1 run failed".to_owned() } else { format!("{limit} runs in a row failed") };
    format!("{runs} (pause_after_failures = {limit})")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn at() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn what_the_end_of_a_run_says_about_its_cron() {
        let said = |status, code: ReasonCode| {
            let reason = Reason::bare(code);
            CronHealth::shown_by(&Outcome::without_backend(status, reason, at()))
        };
        let mut table = String::new();
        for code in ReasonCode::ALL {
            let by = |status| format!("{:?}", said(status, *code));
            let (error, interrupted) = (by(Status::Error), by(Status::Interrupted));
            assert_eq!(by(Status::Timeout), error);
            table.push_str(&format!("{:19} error {error:7} interrupted {interrupted}\n", code.as_str()));
        }
        for status in [Status::Success, Status::Cancelled, Status::Skipped, Status::Missed] {
            let says: Vec<_> = ReasonCode::ALL.iter().map(|code| said(status, *code)).collect();
            assert!(says.iter().all(|one| *one == says[0]));
            table.push_str(&format!("{status} {:?}\n", says[0]));
        }
        expect![[r#"
            backend_unreachable error Unknown interrupted Works
            backend_denied      error Unknown interrupted Works
            start_unconfirmed   error Unknown interrupted Works
            started_late        error Unknown interrupted Works
            adopted             error Unknown interrupted Works
            overlap             error Unknown interrupted Works
            queue_full          error Unknown interrupted Works
            thread_busy         error Unknown interrupted Works
            excluded            error Unknown interrupted Works
            skip_next           error Unknown interrupted Works
            paused              error Unknown interrupted Works
            removed             error Unknown interrupted Works
            disabled            error Unknown interrupted Works
            edited              error Unknown interrupted Works
            backend_away        error Unknown interrupted Works
            daemon_down         error Unknown interrupted Works
            disk_full           error Unknown interrupted Works
            store_away          error Unknown interrupted Works
            catchup_none        error Unknown interrupted Works
            catchup_latest      error Unknown interrupted Works
            catchup_window      error Unknown interrupted Works
            restored            error Unknown interrupted Works
            start_deadline      error Unknown interrupted Works
            rejected            error Fails   interrupted Works
            placeholder         error Unknown interrupted Works
            lost                error Unknown interrupted Works
            unknown             error Unknown interrupted Works
            internal            error Unknown interrupted Works
            graph_error         error Fails   interrupted Works
            overloaded          error Fails   interrupted Works
            timeout             error Fails   interrupted Works
            after_timeout       error Fails   interrupted Works
            backend_timeout     error Fails   interrupted Works
            human_input         error Unknown interrupted Works
            backend_interrupted error Unknown interrupted Unknown
            rolled_back         error Unknown interrupted Works
            cancel_request      error Unknown interrupted Works
            cancel_overlap      error Unknown interrupted Works
            values_too_large    error Fails   interrupted Works
            values_gone         error Fails   interrupted Works
            success Works
            cancelled Unknown
            skipped Unknown
            missed Unknown
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn the_nth_failure_in_a_row_pauses_once() {
        let mut state = CronState::default();
        let ends = [
            (CronHealth::Fails, false),
            (CronHealth::Works, false),
            (CronHealth::Fails, false),
            (CronHealth::Unknown, false),
            (CronHealth::Fails, true),
            (CronHealth::Fails, false),
        ];
        for (index, (says, pauses)) in ends.into_iter().enumerate() {
            assert_eq!(state.run_ended(says, Some(2), at()).is_some(), pauses, "{index}: {says:?}");
        }
        assert_eq!((state.failures, state.failing_since, state.recovered_at), (3, Some(at()), None));
        state.run_ended(CronHealth::Works, Some(2), at());
        assert_eq!((state.failures, state.failing_since, state.recovered_at), (0, None, Some(at())));
        let pause = state.paused.unwrap();
        let message = "the cron was paused: 2 runs in a row failed (pause_after_failures = 2)";
        assert_eq!(pause.reason(), Reason::new(ReasonCode::Paused, message));
    }

    #[test]
    fn a_pause_covers_what_comes_after_its_beginning_and_before_its_end() {
        let second = |second: i64| Timestamp::from_second(second).unwrap();
        let pause = Pause { until: Some(second(20)), ..Pause::since(second(10), PauseCause::Request) };
        let cases =
            [(9, false, true), (10, false, true), (11, true, true), (19, true, true), (20, false, false)];
        for (at, covers, in_force) in cases {
            assert_eq!((pause.covers(second(at)), pause.is_in_force(second(at))), (covers, in_force), "{at}");
            assert_eq!(pause.end_to_record(second(at)), (at == 20).then(|| second(20)), "{at}");
        }
        let state = CronState { paused: Some(pause.clone()), failures: 3, ..CronState::default() };
        assert_eq!(state.clone().at(second(19)), state);
        assert_eq!(state.at(second(20)), CronState::default());
        let recorded = Pause { end_recorded: true, ..pause };
        assert_eq!(recorded.end_to_record(second(21)), None);
        let state = CronState { paused: Some(recorded), failures: 1, ..CronState::default() };
        assert_eq!(state.at(second(21)), CronState { failures: 1, ..CronState::default() }, "of later runs");
    }

    #[test]
    fn a_pause_that_is_over_keeps_no_cron_from_pausing_itself() {
        let over = Pause { until: Some(at()), ..Pause::since(at(), PauseCause::Request) };
        let mut state = CronState { paused: Some(over), ..CronState::default() };
        assert!(state.run_ended(CronHealth::Fails, Some(1), at()).is_some());
    }

    #[test]
    fn without_a_limit_nothing_pauses() {
        let mut state = CronState::default();
        assert!((0..100).all(|_| state.run_ended(CronHealth::Fails, None, at()).is_none()));
    }
}
