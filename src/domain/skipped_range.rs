//! Consecutive occurrences that never run for the same reason share one record, which the ones that follow extend.

use jiff::Timestamp;

use super::ids::DefinitionId;
use super::reason::Reason;
use super::run::Status;

/// Consecutive occurrences that never run for the same reason.
#[derive(Clone, Debug, PartialEq)]
pub struct SkippedRange {
    pub status: Status,
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: u64,
    pub reason: Reason,
}

/// When two ranges of the same status and code belong in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeRule {
    /// Never: each has a record of its own.
    Never,
    /// If the pause that began at `since` covers both.
    SamePause { since: Timestamp },
    /// If the passes of one catch-up, the oldest of which ran at `since` or later, recorded both with the same reason, and
    /// the outage in which the occurrences fell due, if it was one, began after `after`.
    SameCatchUp { after: Timestamp, since: Timestamp },
    /// If the steps of one change of the cron, the oldest of which ran at `since` or later, recorded both with the same reason,
    /// and this definition names both.
    SameChange { definition_id: DefinitionId, since: Timestamp },
}

/// The record right before a range. Its occurrences have ended without having been sent.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordBefore {
    pub definition_id: DefinitionId,
    pub status: Status,
    pub reason: Option<Reason>,
    pub first: Timestamp,
    pub last: Timestamp,
    pub recorded_at: Timestamp,
}

/// What is written for a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    NewRecord,
    /// The record before it, which covers both from then on.
    Extension,
    /// Nothing: the clock was set back, and the record before it covers these occurrences already.
    Nothing,
}

impl SkippedRange {
    /// Decides what is written for the range after this record, if there is one.
    pub fn recording(&self, before: Option<&RecordBefore>, rule: MergeRule) -> Recording {
        match before.filter(|before| self.continues(before, rule)) {
            None => Recording::NewRecord,
            Some(before) if before.last >= self.first => Recording::Nothing,
            Some(_) => Recording::Extension,
        }
    }

    fn continues(&self, before: &RecordBefore, rule: MergeRule) -> bool {
        let is_alike = before.status == self.status
            && before.reason.as_ref().is_some_and(|reason| reason.code == self.reason.code);
        let has_same_reason = before.reason.as_ref() == Some(&self.reason);
        is_alike
            && match rule {
                MergeRule::Never => false,
                MergeRule::SamePause { since } => before.first > since,
                MergeRule::SameCatchUp { after, since } => {
                    before.first > after && before.recorded_at >= since && has_same_reason
                }
                MergeRule::SameChange { definition_id, since } => {
                    before.definition_id == definition_id && before.recorded_at >= since && has_same_reason
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::ReasonCode;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn range(code: ReasonCode, message: &str) -> SkippedRange {
        let reason = Reason::new(code, message);
        SkippedRange { status: Status::Missed, first: at(100), last: at(160), count: 2, reason }
    }

    fn before(code: ReasonCode, message: &str, first: i64, last: i64) -> RecordBefore {
        let (reason, recorded_at) = (Some(Reason::new(code, message)), at(200));
        let (definition_id, status) = (DefinitionId::default(), Status::Missed);
        RecordBefore { definition_id, status, reason, first: at(first), last: at(last), recorded_at }
    }

    #[test]
    fn a_range_extends_a_record_that_says_the_same() {
        use ReasonCode::{DaemonDown as Down, DiskFull as Full, Edited, Paused};
        let same_catch_up = |after, since| MergeRule::SameCatchUp { after: at(after), since: at(since) };
        let same_pause = |since| MergeRule::SamePause { since: at(since) };
        let same_change = |since| {
            let definition_id = DefinitionId::default();
            MergeRule::SameChange { definition_id, since: at(since) }
        };
        for (expected, range, before, rule) in [
            (Recording::Extension, range(Down, "off"), before(Down, "off", 10, 40), same_catch_up(0, 200)),
            (Recording::NewRecord, range(Down, "off"), before(Down, "crash", 10, 40), same_catch_up(0, 200)),
            (Recording::NewRecord, range(Down, "off"), before(Full, "off", 10, 40), same_catch_up(0, 200)),
            (Recording::NewRecord, range(Down, "off"), before(Down, "off", 10, 40), same_catch_up(10, 200)),
            (Recording::NewRecord, range(Down, "off"), before(Down, "off", 10, 40), same_catch_up(0, 201)),
            (Recording::NewRecord, range(Down, "off"), before(Down, "off", 10, 40), MergeRule::Never),
            (Recording::Nothing, range(Down, "off"), before(Down, "off", 10, 100), same_catch_up(0, 200)),
            (Recording::Extension, range(Paused, "new"), before(Paused, "old", 10, 40), same_pause(9)),
            (Recording::NewRecord, range(Paused, "new"), before(Paused, "old", 10, 40), same_pause(10)),
            (Recording::Extension, range(Edited, "cut"), before(Edited, "cut", 10, 40), same_change(200)),
            (Recording::NewRecord, range(Edited, "cut"), before(Edited, "cut", 10, 40), same_change(201)),
            (Recording::NewRecord, range(Edited, "cut"), before(Edited, "off", 10, 40), same_change(0)),
        ] {
            assert_eq!(
                range.recording(Some(&before), rule),
                expected,
                "{range:?} after {before:?}, {rule:?}"
            );
            assert_eq!(range.recording(None, rule), Recording::NewRecord);
        }
        let skipped = RecordBefore { status: Status::Skipped, ..before(Down, "off", 10, 40) };
        assert_eq!(range(Down, "off").recording(Some(&skipped), same_catch_up(0, 200)), Recording::NewRecord);
    }
}
