//! `agentcron show`: everything about one run, or one cron in short.

mod cron;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::terminal::{
    Failure, RespondingDaemon, Session, Source, TextStyle, find_run, in_short, number, painted_status,
    printable, unknown_cron,
};
use crate::api::wire::{Act, CronDetails, Outage, RunDetails, Time, TimelineEntry};
use crate::domain::ids::may_begin_id;
use crate::present::{Tone, counted, outages, times, with_short_ids};
use crate::store::Reader;

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

/// What has the name or the id that was typed.
enum Found {
    Cron(Box<CronDetails>),
    Run(Box<RunDetails>),
}

pub(super) fn show(show: &Show, session: &mut Session) -> Result<(), Failure> {
    let name = &show.run_or_cron;
    let found = match session.source()? {
        Source::Daemon(daemon) => of_daemon(name, &daemon)?,
        Source::Store(reader) => of_store(name, &reader, session.now())?,
    };
    match (found, session.output.is_json()) {
        (Found::Cron(details), true) => Ok(session.output.json(&details)?),
        (Found::Cron(details), false) => cron::show(&details, session),
        (Found::Run(details), true) => Ok(session.output.json(&details)?),
        (Found::Run(details), false) => {
            print_fields(&details, session)?;
            print_timeline(&details, session)?;
            print_json("questions", &details.interrupts, session)?;
            print_json("values", &details.values, session)
        }
    }
}

fn of_daemon(name: &str, daemon: &RespondingDaemon) -> Result<Found, Failure> {
    match daemon.get(&["crons", name], &[]) {
        Err(Failure::Usage(_)) if may_begin_id(name) => {
            Ok(Found::Run(Box::new(daemon.get(&["runs", name], &[])?)))
        }
        details => Ok(Found::Cron(Box::new(details?))),
    }
}

fn of_store(name: &str, reader: &Reader, now: Timestamp) -> Result<Found, Failure> {
    if let Some(details) = reader.cron_details(name, now)? {
        return Ok(Found::Cron(Box::new(CronDetails::of(&details, &reader.decided(now)?, now))));
    }
    if !may_begin_id(name) {
        let names: Vec<String> = reader.cron_heads()?.into_iter().map(|row| row.name).collect();
        return Err(unknown_cron(name, &names));
    }
    let run_id = find_run(name, reader)?;
    let details = reader.run_details(run_id)?;
    let details = details.ok_or_else(|| Failure::Failed(format!("run {run_id} has just been deleted")))?;
    Ok(Found::Run(Box::new(RunDetails::of(&details))))
}

fn print_fields(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    let (run, now) = (&details.run, session.now());
    let Time(at) = run.scheduled_for;
    let scheduled = format!("{}  ({})", times::local_with_day(at, &session.zone), times::relative(at, now));
    let mut fields = vec![
        ("run", run.run_id.clone()),
        ("cron", printable(run.called())),
        ("trigger", run.trigger.0.to_string()),
        ("scheduled for", scheduled),
        ("retry", number(run)),
        ("status", painted_status(run, &session.output)),
    ];
    fields.extend(run.reason.as_ref().map(|reason| ("reason", printable(reason))));
    if let Some(outage) = run.outage.as_ref().map(Outage::outage) {
        let lasted = outages::lasted(&outage, &session.zone);
        fields.push(("outage", printable(&format!("{}, {lasted}", outages::began(&outage)))));
    }
    fields.extend(run.waits_for.as_ref().map(|waits_for| ("waits for", format!("run {waits_for}"))));
    if let Some(error) = &run.error {
        let error = printable(&format!("{}: {}", error.error, error.message));
        fields.push(("error", session.output.paint(Tone::Bad, &error)));
    }
    if let Some(Time(last)) = run.last_scheduled_for {
        let occurrences = counted(run.occurrences, "occurrence");
        fields.push(("covers", format!("{occurrences}, until {}", times::local(last, &session.zone))));
    }
    fields.push(("thread", run.thread_id.clone().unwrap_or_default()));
    fields.push(("agent server run", run.backend_run_id.clone().unwrap_or_default()));
    let sent = match run.send_count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    fields.push(("sent", sent));
    fields.retain(|(_, value)| !value.is_empty());
    fields.extend(acts_text(&details.acts, session));
    let others = details.runs.iter().filter(|other| other.run_id != run.run_id);
    fields.extend(others.map(|other| ("other run", in_short(other))));
    Ok(session.output.fields(&fields)?)
}

/// Returns a line for each act.
fn acts_text(acts: &[Act], session: &Session) -> Vec<(&'static str, String)> {
    let text = |act: &Act| {
        let at = times::local_with_day(act.at.0, &session.zone);
        printable(&format!("{at}: {} {}", act.did(), with_short_ids(&act.by_whom())))
    };
    acts.iter().map(|act| ("act", text(act))).collect()
}

fn print_timeline(details: &RunDetails, session: &mut Session) -> Result<(), Failure> {
    session.output.heading("timeline")?;
    let Time(first) = details.run.scheduled_for;
    for TimelineEntry { at: Time(at), text } in &details.timeline {
        let clock = times::local_to_the_millisecond(*at, &session.zone);
        let sign = if *at < first { '-' } else { '+' };
        let apart = times::took(at.duration_since(first).abs());
        let since = if *at == first { String::new() } else { format!("{sign}{apart}") };
        let since = session.output.paint(TextStyle::Dim, &format!("{since:>14}"));
        session.output.line(&format!("  {clock} {since}  {}", printable(text)))?;
    }
    Ok(())
}

fn print_json(heading: &str, value: &Value, session: &mut Session) -> Result<(), Failure> {
    if value.is_null() {
        return Ok(());
    }
    session.output.heading(heading)?;
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    for line in text.lines() {
        session.output.line(&format!("  {}", printable(line)))?;
    }
    Ok(())
}
