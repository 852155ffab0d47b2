//! `agentcron show`: everything about one run, as a story in the order of time.

use clap::Args;
use jiff::Timestamp;

use super::failure::Failure;
use super::output::{Style, printable};
use super::run_line;
use super::session::Session;
use super::times;
use crate::api::wire;
use crate::domain::ids::RunId;
use crate::domain::reason::Reason;
use crate::store::{AttemptRow, Reader, RunDetails};
use crate::webhook::redacted;

/// Shorter prefixes are mistakes rather than ids.
const PREFIX_MIN: usize = 4;

/// Show everything about one run: its timeline, deliveries, values and error.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron show 5f1c2ab9                                 the id as `history` shows it
  agentcron show --json 5f1c2ab9 | jq .values")]
pub(super) struct Show {
    /// The run's id, or its first characters (at least 4)
    run: String,
}

/// A line of the timeline.
struct Moment {
    at: Timestamp,
    what: String,
}

pub(super) fn show(show: &Show, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    let run_id = find(&show.run, &reader)?;
    let details = reader.run_details(run_id)?;
    let details = details.ok_or_else(|| Failure::Failed(format!("run {run_id} was deleted just now")))?;
    if session.output.is_json() {
        session.output.json(&wire::RunDetails::of(&details))?;
        return Ok(());
    }
    print_facts(&details, session)?;
    print_timeline(&details, session)?;
    print_values(&details, session)
}

pub(super) fn find(text: &str, reader: &Reader) -> Result<RunId, Failure> {
    let is_prefix = text.len() <= 36 && text.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    if text.len() < PREFIX_MIN || !is_prefix {
        return Err(Failure::Usage(format!(
            "got `{text}`, expected a run id or at least its first {PREFIX_MIN} characters; `agentcron history` \
             shows them"
        )));
    }
    match reader.runs_with_prefix(text, 5)?.as_slice() {
        [] => Err(Failure::Failed(format!(
            "there is no run `{text}`; `agentcron history` shows those that are"
        ))),
        [run_id] => Ok(*run_id),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::Usage(format!(
                "`{text}` is the beginning of several runs: {}; give more characters",
                several.join(", ")
            )))
        }
    }
}

fn print_facts(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    let (row, now) = (&details.row, session.now());
    let run = &row.run;
    let scheduled = format!(
        "{}  ({})",
        times::local_with_day(run.scheduled_for, &session.zone),
        times::relative(run.scheduled_for, now)
    );
    let mut facts = vec![
        ("run", run.run_id.to_string()),
        ("cron", run.called().to_owned()),
        ("trigger", run.trigger.to_string()),
        ("scheduled for", scheduled),
        ("status", run_line::painted_status(row, &session.output)),
    ];
    if let Some(reason) = run.reason.as_ref().and_then(|reason| reason.message.as_ref()) {
        facts.push(("reason", printable(reason)));
    }
    if let Some(error) = run_line::error(run) {
        let error = printable(&format!("{}: {}", error.error, error.message));
        facts.push(("error", session.output.paint(Style::Bad, &error)));
    }
    if let Some(last) = row.last_scheduled_for {
        let until = format!("{} occurrences, until {}", row.occurrences, times::local(last, &session.zone));
        facts.push(("covers", until));
    }
    if let Some(backend_run) = run_line::backend_run(run) {
        facts.push(("thread", backend_run.thread_id.to_string()));
        facts.push(("backend run", backend_run.backend_run_id.to_string()));
    }
    facts.push((
        "sent",
        if run.send_count == 1 { "once".to_owned() } else { format!("{} times", run.send_count) },
    ));
    for (name, value) in facts {
        let name = session.output.paint(Style::Dim, &format!("{name:<14}"));
        session.output.line(&format!("{name} {value}"))?;
    }
    Ok(())
}

fn print_timeline(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    let heading = session.output.paint(Style::Bold, "timeline");
    session.output.line("")?;
    session.output.line(&heading)?;
    let first = details.row.run.scheduled_for;
    for Moment { at, what } in timeline(details) {
        let clock = times::local_to_the_millisecond(at, &session.zone);
        let since =
            if at == first { String::new() } else { format!("+{}", times::took(at.duration_since(first))) };
        let since = session.output.paint(Style::Dim, &format!("{since:>14}"));
        session.output.line(&format!("  {clock} {since}  {what}"))?;
    }
    Ok(())
}

/// Everything that happened, in order.
fn timeline(details: &RunDetails) -> Vec<Moment> {
    let row = &details.row;
    let run = &row.run;
    let mut moments = Vec::new();
    let mut add = |at: Timestamp, what: String| moments.push(Moment { at, what });
    add(run.scheduled_for, format!("scheduled ({})", run.trigger));
    if run.due_at != run.scheduled_for {
        add(run.due_at, "due, after jitter".to_owned());
    }
    for event in &details.events {
        add(event.at, with_detail(event.event.phrase(), event.detail.as_deref()));
    }
    if let Some(backend_run) = run_line::backend_run(run) {
        add(backend_run.started_at, "started: accepted by the backend".to_owned());
    }
    if let Some(ended_at) = run_line::ended_at(run) {
        let why = run_line::why(row);
        add(ended_at, with_detail(&format!("ended: {}", row.status_word()), Some(&why)));
    }
    for details in &details.deliveries {
        let delivery = &details.delivery;
        add(delivery.created_at, format!("webhook to {} recorded", redacted(&delivery.url)));
        for attempt in &details.attempts {
            let at = attempt.ended_at.unwrap_or(attempt.started_at);
            add(at, attempt_text(attempt));
        }
        if let Some(ended_at) = delivery.ended_at {
            add(
                ended_at,
                with_detail(
                    &format!("webhook {}", delivery.status),
                    delivery.reason.as_ref().map(Reason::text),
                ),
            );
        }
        if let Some(due_at) = delivery.due_at {
            add(due_at, format!("webhook attempt {} is due", delivery.attempts + 1));
        }
    }
    // A stable sort: what has the same time keeps the order of cause and effect.
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn attempt_text(attempt: &AttemptRow) -> String {
    let number = attempt.attempt;
    match (attempt.ended_at, attempt.code) {
        (None, _) => format!("webhook attempt {number} began"),
        (Some(ended_at), code) => {
            let took = times::took(ended_at.duration_since(attempt.started_at));
            let answer = code.map_or("no answer".to_owned(), |code| format!("answered {code}"));
            with_detail(&format!("webhook attempt {number}: {answer} in {took}"), attempt.detail.as_deref())
        }
    }
}

fn with_detail(what: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) if !detail.is_empty() => format!("{what}: {}", printable(detail)),
        Some(_) | None => what.to_owned(),
    }
}

fn print_values(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    let Some(values) = &details.values else { return Ok(()) };
    let heading = session.output.paint(Style::Bold, "values");
    session.output.line("")?;
    session.output.line(&heading)?;
    let text = serde_json::to_string_pretty(values).unwrap_or_else(|_| values.to_string());
    for line in text.lines() {
        session.output.line(&format!("  {}", printable(line)))?;
    }
    Ok(())
}
