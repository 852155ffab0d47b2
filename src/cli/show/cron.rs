//! `agentcron show CRON`: one cron in short, with what holds for it where its definition says nothing.

use jiff::SignedDuration;

use crate::api::wire::{self, CronDetails, Failures, Occurrence, Recent, Run, Time, Version};
use crate::cli::list::why_inactive;
use crate::cli::terminal::{Failure, Session, painted_status, printable, tone};
use crate::domain::cron::Cron;
use crate::present::{Tone, settings, times, with_short_ids};

/// How many of its next times are shown.
const NEXT_SHOWN: usize = 3;

pub(super) fn show(details: &CronDetails, session: &mut Session) -> Result<(), Failure> {
    let shown = &details.cron;
    let mut fields = vec![("cron", printable(&shown.cron_name))];
    let defined = shown.location.clone().unwrap_or_else(|| "by a client, through the API".to_owned());
    fields.push(("defined", printable(&defined)));
    match shown.problem.clone().map_or_else(|| details.parsed(), Err) {
        Ok(cron) => {
            fields.extend(settings(&cron, details));
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

/// Returns what holds for it, defaults included.
fn settings(cron: &Cron, details: &CronDetails) -> Vec<(&'static str, String)> {
    let definition = &details.definition;
    let request = settings::request(cron, definition, details.thread_id.as_deref());
    let all = request.into_iter().chain(settings::policies(cron, definition));
    all.map(|setting| (setting.label, printable(&setting.text))).collect()
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
