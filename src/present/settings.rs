//! What holds for a cron, where its definition says nothing as well.

use std::time::Duration;

use serde_json::Value;

use crate::domain::cron::{Cron, DayRange, OnRunCompleted, Target};

use super::counted;

/// A setting of a cron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub label: &'static str,
    pub text: String,
    /// Whether its definition does not have it.
    pub is_default: bool,
}

/// Returns what the cron runs, and when. `definition` is what it was made of, without defaults.
pub fn request(cron: &Cron, definition: &Value, thread_id: Option<&str>) -> Vec<Setting> {
    let (calendar, request) = (&cron.calendar, &cron.request);
    let of = Defined(definition);
    let thread_id = thread_id.unwrap_or_default();
    let thread = match (request.target, definition["thread"].as_str()) {
        (Target::Thread(_), Some(name)) => {
            format!("{thread_id}  (`{name}`; to keep it elsewhere, set thread_id)")
        }
        (Target::Thread(_), None) => thread_id.to_owned(),
        (Target::Stateless(OnRunCompleted::Delete), _) => {
            "a new one for each run, deleted after it".to_owned()
        }
        (Target::Stateless(OnRunCompleted::Keep), _) => "a new one for each run, kept".to_owned(),
    };
    let webhook = definition["webhook"].as_str().unwrap_or("none").to_owned();
    vec![
        of.key("schedule", "schedule", format!("{}  ({})", calendar.expression(), calendar.describe())),
        of.key("timezone", "timezone", calendar.timezone().to_owned()),
        of.key("assistant", "assistant_id", request.assistant_id.clone()),
        of.any("thread", &["thread", "thread_id", "on_run_completed"], thread),
        of.key("mode", "mode", request.mode.to_string()),
        of.key("webhook", "webhook", webhook),
    ]
}

/// Returns the policies that hold for it, defaults included.
pub fn policies(cron: &Cron, definition: &Value) -> Vec<Setting> {
    let policy = &cron.policy;
    let of = Defined(definition);
    let or = |duration: Option<Duration>, none: &str| duration.map_or(none.to_owned(), text);
    let catchup = format!("{}, within {}", policy.catchup, text(policy.catchup_window));
    let deadline = or(policy.start_deadline, "until the next occurrence, 1h at most");
    let mut settings = vec![
        of.key("overlap", "overlap", policy.overlap.to_string()),
        of.any("catchup", &["catchup", "catchup_window"], catchup),
        of.key("start deadline", "start_deadline", deadline),
        of.key("timeout", "timeout", or(policy.timeout, "none")),
        of.key("jitter", "jitter", text(policy.jitter)),
    ];
    if let (Target::Thread(_), Some(strategy)) = (cron.request.target, cron.request.multitask_strategy) {
        settings.push(of.key("busy thread", "multitask_strategy", strategy.to_string()));
    }
    if let Some(limit) = policy.pause_after_failures {
        settings.push(of.key("pauses after", "pause_after_failures", format!("{limit} failures in a row")));
    }
    if let Some(retry) = &policy.retry {
        let on: Vec<&str> = retry.on.iter().map(|end| end.as_str()).collect();
        let (wait, times) = (text(retry.backoff), counted(u64::from(retry.max), "time"));
        let retries = format!("{times} at most, after {wait} first, on {}", on.join(" and "));
        settings.push(of.key("retries", "retry", retries));
    }
    if !policy.exclude.is_empty() {
        let day = |range: &DayRange| match range.first == range.last {
            true => range.first.to_string(),
            false => format!("{}..{}", range.first, range.last),
        };
        let days = policy.exclude.iter().map(day).collect::<Vec<_>>().join(", ");
        settings.push(of.key("exclude", "exclude", days));
    }
    let limits = [("not before", "start_time", cron.start_time), ("ends before", "end_time", cron.end_time)];
    settings
        .extend(limits.into_iter().filter_map(|(label, key, at)| Some(of.key(label, key, at?.to_string()))));
    settings
}

/// Tells what a definition has from what it leaves out.
struct Defined<'a>(&'a Value);

impl Defined<'_> {
    fn key(&self, label: &'static str, key: &str, text: String) -> Setting {
        self.any(label, &[key], text)
    }

    fn any(&self, label: &'static str, keys: &[&str], text: String) -> Setting {
        Setting { label, text, is_default: keys.iter().all(|key| self.0.get(*key).is_none()) }
    }
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
