//! What a schedule does when the clocks change: Vixie's rule, which no other file knows.
//!
//! A gap skips local times, and an overlap repeats them. A *fixed-time* schedule fires once for each time that it
//! names: for a skipped time at the first instant after the gap (once for all the times that one gap skips), and for
//! a repeated time in the first pass. A *wildcard* schedule follows the local clock: it does not fire for times in a
//! gap, and it fires in both passes of an overlap.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::stepping::{Stepper, WallSecond};
use super::{Occasion, Oddity};

/// Returns the next occasion of a fixed-time schedule. First passes and ends of gaps are in the order of their local
/// times, so the next instant is that of the next named time, unless the clock is showing that time for the second
/// time.
pub(super) fn next_fixed(stepper: &Stepper, zone: &TimeZone, after: Timestamp) -> Option<Occasion> {
    let mut wall = stepper.next_after(wall_second(after, zone.to_offset(after)))?;
    loop {
        match offset_at(zone, wall)? {
            AmbiguousOffset::Unambiguous { offset } => return occasion(wall, offset, None),
            AmbiguousOffset::Gap { after: new, .. } => {
                // With the new offset the skipped time is just before the change.
                let (at, _) = next_change(zone, instant(wall, new)?)?;
                let named = Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?);
                return Some(Occasion { at, oddity: Some(Oddity::AfterGap { named }) });
            }
            AmbiguousOffset::Fold { before, .. } => {
                let first_pass = instant(wall, before)?;
                if first_pass > after {
                    return occasion(wall, before, Some(Oddity::FirstOfTwoPasses));
                }
                let (change, _) = next_change(zone, first_pass)?;
                let first_pass_end = wall_second(change, before);
                wall = stepper.next_after(first_pass_end - 1)?;
            }
        }
    }
}

/// Returns the next occasion of a wildcard schedule. It goes from one clock change to the next, and looks for a
/// named local time in between.
pub(super) fn next_wildcard(stepper: &Stepper, zone: &TimeZone, after: Timestamp) -> Option<Occasion> {
    let mut offset = zone.to_offset(after);
    let mut wall = stepper.next_after(wall_second(after, offset))?;
    let mut from = after;
    while let Some((change, new)) = next_change(zone, from) {
        if instant(wall, offset)? < change {
            break;
        }
        let resumed = wall_second(change, new);
        if new < offset || wall < resumed {
            wall = stepper.next_after(resumed - 1)?;
        }
        (offset, from) = (new, change);
    }
    let oddity = match offset_at(zone, wall)? {
        AmbiguousOffset::Fold { before, .. } if before == offset => Some(Oddity::FirstOfTwoPasses),
        AmbiguousOffset::Fold { .. } => Some(Oddity::SecondOfTwoPasses),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
    };
    occasion(wall, offset, oddity)
}

fn occasion(wall: WallSecond, offset: Offset, oddity: Option<Oddity>) -> Option<Occasion> {
    Some(Occasion { at: instant(wall, offset)?, oddity })
}

/// Returns what a clock with this offset shows, without fractions of a second.
fn wall_second(at: Timestamp, offset: Offset) -> WallSecond {
    // jiff rounds towards 1970, and not down.
    let floor = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
    floor + i64::from(offset.seconds())
}

fn instant(wall: WallSecond, offset: Offset) -> Option<Timestamp> {
    Timestamp::from_second(wall - i64::from(offset.seconds())).ok()
}

fn offset_at(zone: &TimeZone, wall: WallSecond) -> Option<AmbiguousOffset> {
    let time = Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?);
    Some(zone.to_ambiguous_timestamp(time).offset())
}

/// Returns the first clock change strictly after an instant, and the offset from then on.
fn next_change(zone: &TimeZone, after: Timestamp) -> Option<(Timestamp, Offset)> {
    zone.following(after).next().map(|change| (change.timestamp(), change.offset()))
}
