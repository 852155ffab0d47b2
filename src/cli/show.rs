//! `agentcron show`: everything about one run, or one cron in short.

mod cron;

use clap::Args;
use serde_json::Value;

use super::terminal::{
    Failure, Session, TextStyle, find_run, may_be_id, painted_status, printable, unknown_cron,
};
use crate::api::wire;
use crate::present::timeline::{TimelineEntry, timeline};
use crate::present::{Tone, counted, outages, runs, times};
use crate::store::RunDetails;

/// Show everything about one run, or one cron: its policies, what failed, how long it takes, what was changed
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron show 5f1c2ab9                       a run: the id as `history` shows it
  agentcron show daily-digest                   a cron: what failed, how long it takes
  agentcron show --json 5f1c2ab9 | jq .values")]
pub(super) struct Show {
    /// A run's id, or its first characters (at least 4); or a cron's name or id
    run_or_cron: String,
}

pub(super) fn show(show: &Show, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    if let Some(details) = reader.cron_details(&show.run_or_cron, session.now())? {
        let decided = reader.decided(session.now())?;
        return match session.output.is_json() {
            true => cron::show_json(&details, &decided, session),
            false => cron::show(&details, &decided, session),
        };
    }
    if !may_be_id(&show.run_or_cron) {
        let names: Vec<String> = reader.crons_without_runs()?.into_iter().map(|row| row.name).collect();
        return Err(unknown_cron(&show.run_or_cron, &names));
    }
    let run_id = find_run(&show.run_or_cron, &reader)?;
    let details = reader.run_details(run_id)?;
    let details = details.ok_or_else(|| Failure::Failed(format!("run {run_id} has just been deleted")))?;
    if session.output.is_json() {
        session.output.json(&wire::RunDetails::of(&details))?;
        return Ok(());
    }
    print_fields(&details, session)?;
    print_timeline(&details, session)?;
    print_json("questions", details.interrupts.as_ref(), session)?;
    print_json("values", details.values.as_ref(), session)
}

fn print_fields(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    let (row, now) = (&details.row, session.now());
    let run = &row.run;
    let scheduled = format!(
        "{}  ({})",
        times::local_with_day(run.scheduled_for, &session.zone),
        times::relative(run.scheduled_for, now)
    );
    let mut fields = vec![
        ("run", run.run_id.to_string()),
        ("cron", printable(run.called())),
        ("trigger", run.trigger.to_string()),
        ("scheduled for", scheduled),
        ("retry", runs::number(run)),
        ("status", painted_status(row, &session.output)),
    ];
    if let Some(reason) = run.reason.as_ref().and_then(|reason| reason.message.as_ref()) {
        fields.push(("reason", printable(reason)));
    }
    if let Some(outage) = &row.outage {
        let lasted = outages::lasted(outage, &session.zone);
        fields.push(("outage", printable(&format!("{}, {lasted}", outages::began(outage)))));
    }
    if let Some(waits_for) = row.waits_for {
        fields.push(("waits for", format!("run {waits_for}")));
    }
    if let Some(error) = runs::error(run) {
        let error = printable(&format!("{}: {}", error.error, error.message));
        fields.push(("error", session.output.paint(Tone::Bad, &error)));
    }
    if let Some(last) = row.last_scheduled_for {
        let occurrences = counted(row.occurrences, "occurrence");
        fields.push(("covers", format!("{occurrences}, until {}", times::local(last, &session.zone))));
    }
    if let Some(backend_run) = runs::backend_run(run) {
        fields.push(("thread", backend_run.thread_id.to_string()));
        fields.push(("backend run", backend_run.backend_run_id.to_string()));
    }
    fields.push(("sent", runs::sent_text(run)));
    fields.retain(|(_, value)| !value.is_empty());
    if details.runs_of_occurrence.len() > 1 {
        let others = details.runs_of_occurrence.iter().filter(|other| other.run.run_id != run.run_id);
        fields.extend(others.map(|other| ("other run", printable(&runs::in_short(other)))));
    }
    Ok(session.output.fields(&fields)?)
}

fn print_timeline(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    session.output.heading("timeline")?;
    let first = details.row.run.scheduled_for;
    for TimelineEntry { at, text } in timeline(details) {
        let clock = times::local_to_the_millisecond(at, &session.zone);
        let since =
            if at == first { String::new() } else { format!("+{}", times::took(at.duration_since(first))) };
        let since = session.output.paint(TextStyle::Dim, &format!("{since:>14}"));
        session.output.line(&format!("  {clock} {since}  {}", printable(&text)))?;
    }
    Ok(())
}

fn print_json(heading: &str, value: Option<&Value>, session: &mut Session) -> Result<(), Failure> {
    let Some(value) = value else { return Ok(()) };
    session.output.heading(heading)?;
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    for line in text.lines() {
        session.output.line(&format!("  {}", printable(line)))?;
    }
    Ok(())
}
