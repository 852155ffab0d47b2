//! Consecutive occurrences that never run for the same reason are one decision.

use jiff::Timestamp;

use super::{Decision, MissReason};
use crate::domain::cron_state::Pause;
use crate::domain::outage::Outage;
use crate::domain::reason::Reason;

/// Adds a missed occurrence: to the range before it, if that was missed for the same reason.
pub(super) fn miss(decisions: &mut Vec<Decision>, at: Timestamp, why: MissReason, during: Option<&Outage>) {
    if let Some(Decision::Miss { last, count, reason, outage, .. }) = decisions.last_mut()
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

/// Adds an occurrence that only the former definition names.
pub(super) fn drop_one(decisions: &mut Vec<Decision>, at: Timestamp, reason: &Reason) {
    if let Some(Decision::Drop { last, count, .. }) = decisions.last_mut() {
        *last = at;
        *count += 1;
        return;
    }
    decisions.push(Decision::Drop { first: at, last: at, count: 1, reason: reason.clone() });
}
