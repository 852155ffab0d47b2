//! What becomes of a schedule when the clocks change: Vixie's rule, and the only place that knows it.
//!
//! A gap skips times on the wall, an overlap shows them twice. A *fixed* cron fires once for each time it names: a
//! skipped one at the first instant after the gap (all that one gap skipped fire together there), a doubled one in its
//! first pass. A *wild* cron follows the wall: nothing in a gap, and both passes of an overlap.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::stepping::{Stepping, WallSecond};
use super::{Occasion, Oddity};

/// Times on the wall ascend with the first pass of each and with the ends of gaps, so the next instant is that of the
/// next named time, unless that one is just seen for the second time.
pub(super) fn next_fixed(stepping: &Stepping, zone: &TimeZone, after: Timestamp) -> Option<Occasion> {
    let mut wall = stepping.next_after(wall_second(after, zone.to_offset(after)))?;
    loop {
        match shown(zone, wall)? {
            AmbiguousOffset::Unambiguous { offset } => return occasion(wall, offset, None),
            AmbiguousOffset::Gap { after: new, .. } => {
                // By the new offset the skipped time lies just before the change.
                let (at, _) = following(zone, instant(wall, new)?)?;
                let named = Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?);
                return Some(Occasion { at, oddity: Some(Oddity::AfterGap { named }) });
            }
            AmbiguousOffset::Fold { before, .. } => {
                let first_pass = instant(wall, before)?;
                if first_pass > after {
                    return occasion(wall, before, Some(Oddity::FirstOfTwoPasses));
                }
                let (change, _) = following(zone, first_pass)?;
                let first_pass_end = wall_second(change, before);
                wall = stepping.next_after(first_pass_end - 1)?;
            }
        }
    }
}

/// Goes from one clock change to the next, and looks for a named time on the wall as it runs in between.
pub(super) fn next_wild(stepping: &Stepping, zone: &TimeZone, after: Timestamp) -> Option<Occasion> {
    let mut offset = zone.to_offset(after);
    let mut wall = stepping.next_after(wall_second(after, offset))?;
    let mut from = after;
    while let Some((change, new)) = following(zone, from) {
        if instant(wall, offset)? < change {
            break;
        }
        let resumed = wall_second(change, new);
        if new < offset || wall < resumed {
            wall = stepping.next_after(resumed - 1)?;
        }
        (offset, from) = (new, change);
    }
    let oddity = match shown(zone, wall)? {
        AmbiguousOffset::Fold { before, .. } if before == offset => Some(Oddity::FirstOfTwoPasses),
        AmbiguousOffset::Fold { .. } => Some(Oddity::SecondOfTwoPasses),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
    };
    occasion(wall, offset, oddity)
}

fn occasion(wall: WallSecond, offset: Offset, oddity: Option<Oddity>) -> Option<Occasion> {
    Some(Occasion { at: instant(wall, offset)?, oddity })
}

/// What a clock with this offset shows, fractions cut off.
fn wall_second(at: Timestamp, offset: Offset) -> WallSecond {
    // jiff rounds towards 1970.
    let floor = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
    floor + i64::from(offset.seconds())
}

fn instant(wall: WallSecond, offset: Offset) -> Option<Timestamp> {
    Timestamp::from_second(wall - i64::from(offset.seconds())).ok()
}

fn shown(zone: &TimeZone, wall: WallSecond) -> Option<AmbiguousOffset> {
    let time = Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?);
    Some(zone.to_ambiguous_timestamp(time).offset())
}

/// The first clock change strictly after an instant, and the offset from then on.
fn following(zone: &TimeZone, after: Timestamp) -> Option<(Timestamp, Offset)> {
    zone.following(after).next().map(|change| (change.timestamp(), change.offset()))
}
