//! Pitfalls in schedules: they are valid, but rarely what was meant.

use std::collections::HashMap;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::domain::backoff;
use crate::domain::calendar::{Calendar, Oddity};
use crate::domain::cron::{Cron, Overlap};
use crate::domain::plan::next_within;
use crate::present::times;

/// More crons than this on one second deserve a warning.
const CRONS_PER_SECOND_MAX: usize = 100;
/// How many instants of each cron are examined for a crowded second and for the shortest interval.
const INSTANTS: usize = 24;
/// Fewer runs say nothing about how long one takes.
const RUNS_MIN: usize = 3;

/// Returns a warning for everything about a cron that might surprise its author. `took` is how long its last runs took.
pub fn of_cron(cron: &Cron, now: Timestamp, took: &[Duration]) -> Vec<String> {
    let mut pitfalls = of_calendar(&cron.calendar, &cron.name, now);
    if cron.enabled && next_within(cron, now).is_none() {
        pitfalls.push(
            "never fires: no instant of its schedule is still to come within its start and end".to_owned(),
        );
    }
    pitfalls.extend(too_slow(cron, now, took));
    pitfalls
}

/// Returns a warning for everything about a schedule that might surprise its author. `seed` is that of the calendar.
pub fn of_calendar(calendar: &Calendar, seed: &str, now: Timestamp) -> Vec<String> {
    let cautions = calendar.cautions().iter().map(ToString::to_string);
    cautions.chain(clock_changes(calendar, seed, now)).collect()
}

/// Returns a warning if too many crons fire in the same second.
pub fn crowded_second(crons: &[&Cron], now: Timestamp) -> Option<String> {
    let mut counts: HashMap<Timestamp, usize> = HashMap::new();
    for cron in crons.iter().filter(|cron| cron.policy.jitter.is_zero()) {
        for at in instants(cron, now) {
            *counts.entry(at).or_default() += 1;
        }
    }
    let (at, count) = counts.into_iter().max_by_key(|(at, count)| (*count, std::cmp::Reverse(*at)))?;
    (count > CRONS_PER_SECOND_MAX).then(|| {
        format!(
            "{count} crons fire in the same second, the first time at {at}: spread them with `H` (as in \
             `H * * * *`) or with `jitter`"
        )
    })
}

fn instants(cron: &Cron, now: Timestamp) -> Vec<Timestamp> {
    std::iter::successors(next_within(cron, now), |at| next_within(cron, *at)).take(INSTANTS).collect()
}

fn too_slow(cron: &Cron, now: Timestamp, took: &[Duration]) -> Option<String> {
    if took.len() < RUNS_MIN {
        return None;
    }
    let mut took = took.to_vec();
    took.sort();
    let median = *took.get(took.len() / 2)?;
    let instants = instants(cron, now);
    let shortest = instants.windows(2).map(|pair| backoff::between(pair[0], pair[1])).min()?;
    if shortest >= median {
        return None;
    }
    let text = |duration: Duration| times::took(SignedDuration::try_from(duration).unwrap_or_default());
    let then = match cron.policy.overlap {
        Overlap::Skip => "occurrences in between are skipped (overlap = \"skip\")",
        Overlap::Allow => "its runs accumulate (overlap = \"allow\")",
        Overlap::Queue => "it falls behind (overlap = \"queue\")",
        Overlap::Cancel => "its runs are cancelled before they end (overlap = \"cancel\")",
    };
    let (shortest, median, count) = (text(shortest), text(median), took.len());
    Some(format!("fires every {shortest}, but its last {count} runs took {median} (median): {then}"))
}

/// Returns the first clock change within a year that skips a time that the schedule names, and the first that repeats
/// one.
fn clock_changes(calendar: &Calendar, seed: &str, now: Timestamp) -> Vec<String> {
    // A cron that fires in every hour of the day does not miss one.
    let hour = calendar.expression().split_whitespace().nth(1);
    if hour.is_none_or(|hour| hour.starts_with(['*', '?'])) {
        return Vec::new();
    }
    // The same schedule in UTC, where no clock changes: the local times that it names.
    let Ok(wall_clock) = Calendar::parse(calendar.expression(), "UTC", seed) else { return Vec::new() };
    let year = now.saturating_add(SignedDuration::from_hours(366 * 24)).unwrap_or(Timestamp::MAX);
    let zone = calendar.zone();
    let mut offset = zone.to_offset(now);
    let (mut skipped, mut repeated) = (None, None);
    for change in zone.following(now).take_while(|change| change.timestamp() <= year) {
        let (at, old, new) = (change.timestamp(), offset, change.offset());
        offset = new;
        let named = |from: Offset, to: Offset| {
            let (first, beyond) = (local_as_utc(at, from), local_as_utc(at, to));
            let just_before = first.checked_sub(SignedDuration::from_millis(1)).ok()?;
            wall_clock.next_after(just_before).map(|named| named.at).filter(|named| *named < beyond)
        };
        if new > old {
            skipped = skipped.or_else(|| Some(skipped_text(calendar, at, named(old, new)?, zone)));
        } else {
            repeated = repeated.or_else(|| Some(repeated_text(calendar, at, named(new, old)?)));
        }
    }
    skipped.into_iter().chain(repeated).collect()
}

/// Returns the local time at an instant with an offset, written as if it were UTC.
fn local_as_utc(at: Timestamp, offset: Offset) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(i64::from(offset.seconds()))).unwrap_or(at)
}

fn skipped_text(calendar: &Calendar, change: Timestamp, named: Timestamp, zone: &TimeZone) -> String {
    let named = named.strftime("%H:%M on %Y-%m-%d");
    let just_before = change.checked_sub(SignedDuration::from_millis(1)).unwrap_or(change);
    let instead = calendar.next_after(just_before).filter(|found| found.at == change);
    let then = match instead.and_then(|found| found.oddity) {
        Some(Oddity::AfterGap { .. }) => {
            format!("it fires at {} instead", change.to_zoned_datetime(zone.clone()).strftime("%H:%M"))
        }
        Some(Oddity::FirstOfTwoPasses | Oddity::SecondOfTwoPasses) | None => {
            "it does not fire then, since its minutes start with `*`".to_owned()
        }
    };
    format!("a clock change skips {named}: {then}")
}

fn repeated_text(calendar: &Calendar, change: Timestamp, named: Timestamp) -> String {
    let twice = calendar.next_after(change.checked_sub(SignedDuration::from_millis(1)).unwrap_or(change));
    let then = match twice.and_then(|found| found.oddity) {
        Some(Oddity::SecondOfTwoPasses) => "it fires in both passes, since its minutes start with `*`",
        Some(Oddity::AfterGap { .. } | Oddity::FirstOfTwoPasses) | None => "it fires in the first pass only",
    };
    format!("a clock change repeats {}: {then}", named.strftime("%H:%M on %Y-%m-%d"))
}

#[cfg(test)]
mod tests;
