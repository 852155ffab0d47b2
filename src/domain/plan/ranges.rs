//! Consecutive occurrences that never run for the same reason are one decision. After an edit, those that only the former
//! definition names may alternate with those that the present one names and that were missed: each kind is one decision all the
//! same, since the definition of each says which of them it counts.

use jiff::Timestamp;

use super::{Decision, MissReason};
use crate::domain::cron_state::Pause;
use crate::domain::outage::Outage;
use crate::domain::reason::Reason;

/// Adds a missed occurrence: to the range before it, if that was missed for the same reason. What was dropped in between is
/// passed over.
pub(super) fn miss(decisions: &mut Vec<Decision>, at: Timestamp, why: MissReason, during: Option<&Outage>) {
    let is_dropped = |decision: &Decision| matches!(decision, Decision::Drop { .. });
    if let Some(Decision::Miss { last, count, reason, outage, .. }) = last_but(decisions, is_dropped)
        && (*reason, outage.as_ref()) == (why, during)
    {
        *last = at;
        *count += 1;
        return;
    }
    decisions.push(Decision::Miss { first: at, last: at, count: 1, reason: why, outage: during.cloned() });
}

/// Adds an occurrence that this pause skips.
pub(super) fn pause(decisions: &mut Vec<Decision>, at: Timestamp, paused: &Pause) {
    if let Some(Decision::Pause { last, count, pause, .. }) = decisions.last_mut()
        && pause == paused
    {
        *last = at;
        *count += 1;
        return;
    }
    decisions.push(Decision::Pause { first: at, last: at, count: 1, pause: paused.clone() });
}

/// Adds an occurrence that only the former definition names. What was missed in between is passed over.
pub(super) fn drop_one(decisions: &mut Vec<Decision>, at: Timestamp, reason: &Reason) {
    let is_missed = |decision: &Decision| matches!(decision, Decision::Miss { .. });
    if let Some(Decision::Drop { last, count, .. }) = last_but(decisions, is_missed) {
        *last = at;
        *count += 1;
        return;
    }
    decisions.push(Decision::Drop { first: at, last: at, count: 1, reason: reason.clone() });
}

/// Returns the last decision that is none of these.
fn last_but(decisions: &mut [Decision], passed: impl Fn(&Decision) -> bool) -> Option<&mut Decision> {
    decisions.iter_mut().rev().find(|decision| !passed(decision))
}
