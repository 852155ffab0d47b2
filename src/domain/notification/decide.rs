//! Decides what is told now: what is so differs from what was told last, and it is time to say so.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Announced, Condition, NotificationKind};
use crate::domain::backoff;
use crate::domain::bounds::{
    NOTIFIED_AFRESH_AFTER, NOTIFIED_AFTER, NOTIFIED_AGAIN_AFTER, NOTIFIED_AT_ONCE, NOTIFIED_EVERY,
    OUTAGE_WORTH_TELLING,
};
use crate::domain::ids::InstallationId;

/// What follows from what is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is told now.
    pub groups: Vec<Group>,
    /// What is remembered anew.
    pub rows: Vec<Announced>,
    /// When something is to be told that is not told yet.
    pub next_at: Option<Timestamp>,
}

/// Changes of one kind that are told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub kind: NotificationKind,
    pub ended: bool,
    pub id: Uuid,
    pub changes: Vec<Change>,
}

/// That something begins or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub condition: Condition,
    /// How often it came and went meanwhile.
    pub untold: u32,
    /// Whether it is not so any more without having ended by itself: a cron was removed, say.
    pub vanished: bool,
    /// Of what has ended, the notification that told of its beginning; `None` if none did.
    pub incident: Option<Uuid>,
    /// Where it is gathered with others.
    gathered_from: Timestamp,
    not_before: Timestamp,
    burst: u32,
}

type Key<'k> = (NotificationKind, &'k str);

/// Returns what is told now, given what was told and what is so.
pub fn decide(
    told: &[Announced],
    conditions: &[Condition],
    installation: InstallationId,
    now: Timestamp,
) -> Changes {
    let rows: HashMap<Key<'_>, &Announced> =
        told.iter().map(|row| ((row.kind, row.subject.as_str()), row)).collect();
    let mut seen: HashMap<Key<'_>, Announced> = HashMap::new();
    let mut waiting: BTreeMap<(NotificationKind, bool), Vec<Change>> = BTreeMap::new();
    for condition in conditions {
        let key = (condition.kind, condition.subject.as_str());
        let row = rows.get(&key).copied();
        if let Some(row) = row.filter(|row| condition.until.is_none() && condition.since != row.seen_since) {
            let untold = row.untold.saturating_add(1);
            seen.insert(key, Announced { seen_since: condition.since, untold, ..row.clone() });
        }
        if let Some(ended) = what_is_new(condition, row) {
            waiting.entry((condition.kind, ended)).or_default().push(Change::of(condition.clone(), row, now));
        }
    }
    let known: HashMap<Key<'_>, &Condition> = conditions
        .iter()
        .map(|condition| ((condition.kind, condition.subject.as_str()), condition))
        .collect();
    for row in told.iter().filter(|row| row.holds && !known.contains_key(&(row.kind, row.subject.as_str()))) {
        let condition = Condition {
            kind: row.kind,
            subject: row.subject.clone(),
            name: row.name.clone(),
            since: row.since,
            until: Some(now),
            text: String::new(),
        };
        let change =
            Change { gathered_from: Timestamp::MIN, vanished: true, ..Change::of(condition, Some(row), now) };
        waiting.entry((row.kind, true)).or_default().push(change);
    }
    let mut result = Changes::default();
    for ((kind, ended), changes) in waiting {
        let (ready, later): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(|change| change.not_before <= now);
        let mut next = later.iter().map(|change| change.not_before).min();
        if let Some(first) = ready.iter().map(|change| change.gathered_from).min() {
            let due =
                backoff::after(first.min(now), NOTIFIED_AFTER).max(next_of_kind(told, kind, ended, now));
            if due <= now {
                let group = Group::of(kind, ended, ready, installation, now);
                seen.retain(|(of, subject), _| {
                    *of != kind || group.changes.iter().all(|change| change.condition.subject != *subject)
                });
                result.rows.extend(group.changes.iter().map(|change| change.told(&group, now)));
                result.groups.push(group);
            } else {
                next = next.into_iter().chain([due]).min();
            }
        }
        result.next_at = result.next_at.into_iter().chain(next).min();
    }
    let mut seen: Vec<Announced> = seen.into_values().collect();
    seen.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
    result.rows.append(&mut seen);
    result
}

/// Returns whether something has ended or begun that was not told; `None` if neither.
fn what_is_new(condition: &Condition, row: Option<&Announced>) -> Option<bool> {
    match (condition.until, row) {
        (None, Some(row)) if row.holds => None,
        (None, _) => Some(false),
        (Some(_), Some(row)) if row.holds => Some(true),
        (Some(until), row) => {
            let is_new = row.is_none_or(|row| condition.since > row.since);
            let (is_momentary, lasted) =
                (condition.kind.is_momentary(), backoff::between(condition.since, until));
            let is_worth_it = condition.kind == NotificationKind::Outage && lasted >= OUTAGE_WORTH_TELLING;
            (is_new && (is_momentary || is_worth_it)).then_some(!is_momentary)
        }
    }
}

/// Returns when the next notification of a kind may be made.
fn next_of_kind(told: &[Announced], kind: NotificationKind, ended: bool, now: Timestamp) -> Timestamp {
    let is_such = |row: &&Announced| row.kind == kind && (kind.is_momentary() || row.holds != ended);
    let last = told.iter().filter(is_such).map(|row| row.told_at.min(now)).max();
    last.map_or(Timestamp::MIN, |last| backoff::after(last, NOTIFIED_EVERY))
}

impl Change {
    fn of(condition: Condition, row: Option<&Announced>, now: Timestamp) -> Self {
        let told_at = row.map_or(Timestamp::MIN, |row| row.told_at.min(now));
        let is_afresh = row.is_none() || backoff::between(told_at, now) >= NOTIFIED_AFRESH_AFTER;
        let burst = row.filter(|_| !is_afresh).map_or(0, |row| row.burst);
        let wait = if burst < NOTIFIED_AT_ONCE { Duration::ZERO } else { NOTIFIED_AGAIN_AFTER };
        // The beginning that is told now is not one that nobody was told of.
        let is_counted =
            row.is_some_and(|row| condition.until.is_none() && condition.since == row.seen_since);
        Self {
            untold: row.map_or(0, |row| row.untold.saturating_sub(u32::from(is_counted))),
            vanished: false,
            incident: row.filter(|row| row.holds && condition.until.is_some()).map(|row| row.incident),
            gathered_from: condition.until.unwrap_or(condition.since),
            not_before: if wait.is_zero() { Timestamp::MIN } else { backoff::after(told_at, wait) },
            burst: burst.saturating_add(1),
            condition,
        }
    }

    /// Returns what is remembered once it was told.
    fn told(&self, group: &Group, now: Timestamp) -> Announced {
        let condition = &self.condition;
        Announced {
            kind: condition.kind,
            subject: condition.subject.clone(),
            name: condition.name.clone(),
            holds: !group.ended && !condition.kind.is_momentary(),
            since: condition.since,
            told_at: now,
            burst: self.burst,
            seen_since: condition.since,
            untold: 0,
            incident: self.incident.unwrap_or(group.id),
        }
    }
}

impl Group {
    fn of(
        kind: NotificationKind,
        ended: bool,
        mut changes: Vec<Change>,
        installation: InstallationId,
        now: Timestamp,
    ) -> Self {
        changes.sort_by(|a, b| {
            (a.condition.since, &a.condition.name).cmp(&(b.condition.since, &b.condition.name))
        });
        let text = format!("notification\0{kind}\0{ended}\0{}", now.as_millisecond());
        Self { kind, ended, id: Uuid::new_v5(&installation.0, text.as_bytes()), changes }
    }
}

#[cfg(test)]
mod tests;
