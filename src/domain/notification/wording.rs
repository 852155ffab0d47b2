//! The words of notifications.

use jiff::Timestamp;
use uuid::Uuid;

use super::decide::Change;
use super::{Notification, NotificationData, NotificationItem, NotificationKind};
use crate::domain::bounds::NOTIFIED_NAMED_MAX;
use crate::domain::printable::{blanked, on_one_line};

/// Names in a title; a subject and the first line on a phone have room for few.
const NAMES_IN_TITLE: usize = 3;
/// The most characters of a name and of what is said of it.
const NAME_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 300;
/// Why a cron does not count as failing any more although no run of it has worked.
const NOT_WORKED: &str = "no run has worked since; it was resumed, disabled, removed or forgotten";

/// Returns the notification of these changes, of which there is at least one.
pub fn notification(
    kind: NotificationKind,
    ended: bool,
    changes: &[&Change],
    incident: Uuid,
    host: &str,
    now: Timestamp,
) -> Notification {
    let items = changes.iter().take(NOTIFIED_NAMED_MAX).map(|change| NotificationItem {
        name: short(&change.condition.name, NAME_CHARS_MAX),
        since: change.condition.since.to_string(),
        until: change.condition.until.map(|until| until.to_string()),
        text: text(change),
    });
    let told_as = kind.told_as(ended);
    Notification {
        event: format!("agentcron.{told_as}"),
        timestamp: now.to_string(),
        data: NotificationData {
            kind: told_as.to_string(),
            ended,
            incident: incident.to_string(),
            severity: kind.severity(ended).to_string(),
            title: title(kind, ended, changes),
            items: items.collect(),
            more: changes.len().saturating_sub(NOTIFIED_NAMED_MAX),
            host: host.to_owned(),
        },
    }
}

/// Returns one line such as `a, b, c and 37 more are failing`.
fn title(kind: NotificationKind, ended: bool, changes: &[&Change]) -> String {
    let mut names: Vec<String> = changes
        .iter()
        .take(NAMES_IN_TITLE)
        .map(|change| short(&change.condition.name, NAME_CHARS_MAX))
        .collect();
    let vanished = changes.iter().any(|change| change.vanished);
    let (one, several) = verbs(kind, ended, vanished);
    let verb = if changes.len() == 1 { one } else { several };
    match changes.len().saturating_sub(NAMES_IN_TITLE) {
        0 => {
            let last = names.pop().unwrap_or_default();
            let before = names.join(", ");
            let and = if before.is_empty() { "" } else { " and " };
            format!("{before}{and}{last} {verb}")
        }
        more => format!("{} and {more} more {verb}", names.join(", ")),
    }
}

/// Returns what is said of one and of several. Whether a cron works that was removed is not known.
fn verbs(kind: NotificationKind, ended: bool, vanished: bool) -> (&'static str, &'static str) {
    use NotificationKind as Kind;
    match (kind, ended) {
        (Kind::Failing | Kind::Recovered, true) if vanished => {
            ("is no longer failing", "are no longer failing")
        }
        (Kind::Failing, false) => ("is failing", "are failing"),
        (Kind::Failing | Kind::Recovered, _) => ("works again", "work again"),
        (Kind::Missed, _) => ("missed its time", "missed their time"),
        (Kind::Paused, false) => ("is paused", "are paused"),
        (Kind::Paused, true) => ("is no longer paused", "are no longer paused"),
        (Kind::Late, false) => ("is late", "are late"),
        (Kind::Late, true) => ("is no longer late", "are no longer late"),
        (Kind::StillRunning, false) => ("is still running", "are still running"),
        (Kind::StillRunning, true) => ("is no longer running", "are no longer running"),
        (Kind::Outage, false) => ("is away", "are away"),
        (Kind::Outage, true) => ("is back", "are back"),
        (Kind::Configuration, false) => ("has mistakes", "have mistakes"),
        (Kind::Configuration, true) => ("is mended", "are mended"),
    }
}

/// Returns what is said of one thing, on one line.
fn text(change: &Change) -> String {
    let condition = &change.condition;
    let times = match condition.until {
        _ if condition.kind.is_momentary() => format!("at {}", minute(condition.since)),
        Some(until) if until > condition.since => {
            format!("from {} to {}", minute(condition.since), minute(until))
        }
        Some(until) => format!("at {}", minute(until)),
        None => format!("since {}", minute(condition.since)),
    };
    let said = match condition.kind {
        NotificationKind::Failing if change.vanished => NOT_WORKED.to_owned(),
        _ => short(&condition.text, TEXT_CHARS_MAX),
    };
    let colon = if said.is_empty() { "" } else { ": " };
    let untold = match change.untold {
        0 => String::new(),
        1 => " (it came and went once since the last message)".to_owned(),
        times => format!(" (it came and went {times} times since the last message)"),
    };
    format!("{times}{colon}{said}{untold}")
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Returns the beginning of a text, on one line.
fn short(text: &str, chars_max: usize) -> String {
    let line = on_one_line(&blanked(text));
    let mut chars = line.trim().chars();
    let mut short: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
