//! `agentcron pause`: pauses a cron, or all crons. Every occurrence that a pause skips is recorded.

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::all_crons::{change, shown_time};
use super::terminal::{Failure, Session, ask};
use crate::domain::bounds::NOTE_CHARS_MAX;
use crate::store::PauseOfAllChange;

/// Pause a cron, or all crons, until `agentcron resume` or until a time
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("which").required(true))]
#[command(after_help = "\
While it is paused, its occurrences are recorded as skipped, and so are its
runs that wait to be sent, except those that somebody asked for. Runs in
progress are followed to their end. A pause survives restarts and changes of
the configuration.

With --all nothing of any schedule fires, also of crons that are made later.
This works while the daemon is down. You can still trigger, retry and backfill.

Examples:
  agentcron pause daily-digest --note 'the mail server is being moved'
  agentcron pause daily-digest --until 08:00
  agentcron pause --all --note 'the agent server is being upgraded'
  agentcron list                       shows the pause and its note")]
pub(super) struct Pause {
    /// Name of the cron
    #[arg(group = "which")]
    cron: Option<String>,
    /// Pause all crons, beside the pauses of single ones
    #[arg(long, group = "which")]
    all: bool,
    /// End the pause by itself at this time: such as 08:00 (the next one), 'tomorrow 7am', or in how long, such as 2h
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The reason; `list` shows it, and so do the occurrences that the pause skips
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(super) fn pause(pause: &Pause, session: &mut Session) -> Result<(), Failure> {
    let until = pause.until.as_deref().map(|text| session.coming("--until", text)).transpose()?;
    match &pause.cron {
        Some(cron) => pause_one(cron, pause.note.as_deref(), until, session),
        None => pause_all(pause.note.as_deref(), until, session),
    }
}

fn pause_one(
    cron: &str,
    note: Option<&str>,
    until: Option<Timestamp>,
    session: &mut Session,
) -> Result<(), Failure> {
    let request = json!({ "note": note, "until": until.map(|until| until.to_string()) });
    let answer = ask(session, &["crons", cron, "pause"], &request)?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let paused = if answer["before"]["paused"].is_null() { "is paused" } else { "was paused already" };
    let (until, skipped) = (until_text(&answer["now"]["paused"]["until"], session), skipped_text(&answer));
    let line = format!("{cron} {paused}{until}{skipped}; `agentcron resume {cron}` resumes it");
    Ok(session.output.line(&line)?)
}

fn pause_all(note: Option<&str>, until: Option<Timestamp>, session: &mut Session) -> Result<(), Failure> {
    let note = note.map(str::trim).filter(|note| !note.is_empty()).map(str::to_owned);
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        return Err(Failure::Usage(format!("--note: longer than {NOTE_CHARS_MAX} characters")));
    }
    let answer = change(&PauseOfAllChange::Pause { note, until }, session)?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let paused = if answer["before"].is_null() { "are paused" } else { "were paused already" };
    let (until, skipped) = (until_text(&answer["now"]["until"], session), skipped_text(&answer));
    let line = format!("all crons {paused}{until}{skipped}; `agentcron resume --all` resumes them");
    Ok(session.output.line(&line)?)
}

fn until_text(until: &Value, session: &Session) -> String {
    shown_time(until, session).map(|until| format!(" until {until}")).unwrap_or_default()
}

fn skipped_text(answer: &Value) -> String {
    match answer["skipped"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => "; 1 run that waited to be sent is skipped".to_owned(),
        Some(count) => format!("; {count} runs that waited to be sent are skipped"),
    }
}
