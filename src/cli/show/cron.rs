//! `agentcron show CRON`: one cron in short, with what holds for it where its definition says nothing.

use std::time::Duration;

use jiff::SignedDuration;

use crate::api::wire::{self, CronDetails, Failures, Occurrence, Recent, Run, Time, Version};
use crate::cli::list::why_inactive;
use crate::cli::terminal::{Failure, Session, painted_status, printable, tone};
use crate::domain::cron::{Cron, DayRange, OnRunCompleted, Target};
use crate::present::{Tone, counted, times, with_short_ids};

/// How many of its next times are shown.
const NEXT_SHOWN: usize = 3;

pub(super) fn show(details: &CronDetails, session: &mut Session) -> Result<(), Failure> {
    let shown = &details.cron;
    let mut fields = vec![("cron", printable(&shown.cron_name))];
    let defined = shown.location.clone().unwrap_or_else(|| "by a client, through the API".to_owned());
    fields.push(("defined", printable(&defined)));
    match shown.problem.clone().map_or_else(|| details.parsed(), Err) {
        Ok(cron) => {
            fields.extend(definition(&cron, details));
            fields.extend(policies(&cron));
            fields.push(("next", next(&cron, details, session)));
        }
        Err(problem) => fields.push(("problem", session.output.paint(Tone::Bad, &printable(&problem)))),
    }
    fields.push(("last", last(shown, session)));
    fields.extend(recent(&shown.recent));
    fields.extend(details.failures.iter().map(|failures| ("failed", failed(failures, session))));
    fields.extend(details.versions.iter().filter_map(|version| change(version, session)));
    fields.extend(super::acts_text(&details.acts, session));
    Ok(session.output.fields(&fields)?)
}

fn definition(cron: &Cron, details: &CronDetails) -> Vec<(&'static str, String)> {
    let calendar = &cron.calendar;
    let request = &cron.request;
    let thread_id = details.thread_id.clone().unwrap_or_default();
    let thread = match (request.target, details.definition["thread"].as_str()) {
        (Target::Thread(_), Some(name)) => {
            format!("{thread_id}  (`{}`; to keep it elsewhere, set thread_id)", printable(name))
        }
        (Target::Thread(_), None) => thread_id,
        (Target::Stateless(OnRunCompleted::Delete), _) => {
            "a new one for each run, deleted after it".to_owned()
        }
        (Target::Stateless(OnRunCompleted::Keep), _) => "a new one for each run, kept".to_owned(),
    };
    let webhook = details.definition["webhook"].as_str().map_or("none".to_owned(), printable);
    vec![
        ("schedule", format!("{}  ({})", calendar.expression(), calendar.describe())),
        ("timezone", calendar.timezone().to_owned()),
        ("assistant", printable(&request.assistant_id)),
        ("thread", thread),
        ("mode", request.mode.to_string()),
        ("webhook", webhook),
    ]
}

/// Returns the policies that hold, defaults included.
fn policies(cron: &Cron) -> Vec<(&'static str, String)> {
    let policy = &cron.policy;
    let or = |duration: Option<Duration>, none: &str| duration.map_or(none.to_owned(), text);
    let mut fields = vec![
        ("overlap", policy.overlap.to_string()),
        ("catchup", format!("{}, within {}", policy.catchup, text(policy.catchup_window))),
        ("start deadline", or(policy.start_deadline, "until the next occurrence, 1h at most")),
        ("timeout", or(policy.timeout, "none")),
        ("jitter", text(policy.jitter)),
    ];
    if let (Target::Thread(_), Some(strategy)) = (cron.request.target, cron.request.multitask_strategy) {
        fields.push(("busy thread", strategy.to_string()));
    }
    if let Some(limit) = policy.pause_after_failures {
        fields.push(("pauses after", format!("{limit} failures in a row")));
    }
    if let Some(retry) = &policy.retry {
        let on: Vec<&str> = retry.on.iter().map(|end| end.as_str()).collect();
        let (wait, times) = (text(retry.backoff), counted(u64::from(retry.max), "time"));
        fields.push(("retries", format!("{times} at most, after {wait} first, on {}", on.join(" and "))));
    }
    if !policy.exclude.is_empty() {
        let day = |range: &DayRange| match range.first == range.last {
            true => range.first.to_string(),
            false => format!("{}..{}", range.first, range.last),
        };
        fields.push(("exclude", policy.exclude.iter().map(day).collect::<Vec<_>>().join(", ")));
    }
    let limits = [("not before", cron.start_time), ("ends before", cron.end_time)];
    fields.extend(limits.into_iter().filter_map(|(label, at)| Some((label, at?.to_string()))));
    fields
}

fn text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Returns its next times, or why it does not fire.
fn next(cron: &Cron, details: &CronDetails, session: &Session) -> String {
    if let Some(why) = why_inactive(&details.cron, session) {
        return why;
    }
    let now = session.now();
    let text = |Occurrence { at: Time(at), .. }: &Occurrence| {
        let time = times::local_to_both(*at, &session.zone, cron.calendar.zone());
        format!("{time}, {}", times::relative(*at, now))
    };
    let mut upcoming: Vec<String> = details.upcoming.iter().take(NEXT_SHOWN).map(text).collect();
    match upcoming.first_mut() {
        None => return session.output.paint(Tone::Attention, "never again"),
        Some(first) if details.cron.skip_next => first.push_str(", skipped on request"),
        Some(_) => {}
    }
    upcoming.join("; ")
}

fn last(cron: &wire::Cron, session: &Session) -> String {
    let Some(last) = &cron.last else { return "never".to_owned() };
    let at = times::local_with_day(last.scheduled_for.0, &session.zone);
    format!("{at}, {}", in_short(last, &painted_status(last, &session.output)))
}

/// Returns the status, why it is so, and the command that shows more.
fn in_short(run: &Run, status: &str) -> String {
    let why = printable(&run.why());
    let why = if why.is_empty() { why } else { format!(", {why}") };
    format!("{status}{why}  (`agentcron show {}`)", with_short_ids(&run.run_id))
}

/// Returns what went wrong, how often and when.
fn failed(failures: &Failures, session: &Session) -> String {
    let Failures { count, since: Time(since), last } = failures;
    let status = session.output.paint(tone(last), &last.status);
    let Time(until) = last.last_scheduled_for.unwrap_or(last.scheduled_for);
    let when = match until == *since {
        true => times::local_with_day(*since, &session.zone),
        false => format!(
            "{count} times, {} to {}",
            times::local_with_day(*since, &session.zone),
            times::local(until, &session.zone)
        ),
    };
    format!("{when}: {}", in_short(last, &status))
}

/// Returns how the latest runs went and how long they took.
fn recent(recent: &Recent) -> Option<(&'static str, String)> {
    let took = |within| times::took(SignedDuration::from_millis(within));
    let took = recent
        .p50_ms
        .zip(recent.p95_ms)
        .map(|(p50, p95)| format!("; half took at most {}, 95 % at most {}", took(p50), took(p95)));
    let text = format!("{} of {} worked{}", recent.ok, recent.runs, took.unwrap_or_default());
    (recent.runs > 0).then_some(("latest runs", text))
}

/// Returns when a version of the definition came, and in which keys it differs; `None` for the first one.
fn change(version: &Version, session: &Session) -> Option<(&'static str, String)> {
    let at = times::local_with_day(version.since.0, &session.zone);
    let keys = printable(&version.changed.join(", "));
    (!version.changed.is_empty()).then(|| ("changed", format!("{at}: {keys}")))
}
