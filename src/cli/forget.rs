//! `agentcron forget`: removes everything that is stored about a cron or a thread.

use std::io::{self, BufRead, IsTerminal};

use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::{Value, json};

use super::terminal::{Failure, Session, ask_patiently};
use crate::api::wire::Forgotten;
use crate::domain::bounds::FORGOTTEN_WITHIN;
use crate::present::counted;

/// Remove everything that is stored about a cron or a thread
#[derive(Args, Debug)]
#[group(skip)]
#[command(group = ArgGroup::new("what").required(true))]
#[command(after_help = "\
This is for requests to delete personal data. Ended runs go with their values,
webhooks and timelines, and their bytes are overwritten. Nothing is removed while
something of it is in progress. A cron that is still defined stays, without a
history. At the end, the command says what it cannot reach, such as the thread on
the agent server.

Examples:
  agentcron forget --thread 3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11 --dry-run
  agentcron forget --cron daily-digest --yes")]
pub(super) struct Forget {
    /// Id of the thread: every run that has or had it is removed, with the other runs of its occurrence
    #[arg(long, value_name = "ID", group = "what")]
    thread: Option<String>,
    /// Name or id of the cron
    #[arg(long, value_name = "NAME", group = "what")]
    cron: Option<String>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask whether it is meant
    #[arg(long)]
    yes: bool,
}

pub(super) fn forget(forget: &Forget, session: &mut Session) -> Result<(), Failure> {
    if !forget.dry_run && !forget.yes {
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage("what is forgotten is gone; add --yes if it is meant".to_owned()));
        }
        let would = answer(forget, true, session)?;
        print_counts(&would, session)?;
        session.output.line("forget this? what is forgotten is gone [y/N]")?;
        session.output.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        if !matches!(line.trim(), "y" | "Y" | "yes") {
            return Ok(session.output.line("nothing was forgotten")?);
        }
    }
    let done = answer(forget, forget.dry_run, session)?;
    if session.output.is_json() {
        return Ok(session.output.json(&done)?);
    }
    print_counts(&done, session)?;
    if done.crons_stay > 0 {
        session.output.line("the cron is still defined, and goes on without a history")?;
    }
    session.output.heading("beyond the reach of agentcron")?;
    done.beyond_reach.iter().try_for_each(|place| session.output.line(place))?;
    if !done.threads.is_empty() {
        session.output.heading("threads of these runs")?;
        done.threads.iter().try_for_each(|thread| session.output.line(thread))?;
    }
    Ok(())
}

fn answer(forget: &Forget, dry_run: bool, session: &mut Session) -> Result<Forgotten, Failure> {
    let body: Value = json!({ "cron": forget.cron, "thread": forget.thread, "dry_run": dry_run });
    let answer = ask_patiently(session, &["forget"], &body, FORGOTTEN_WITHIN)?;
    Forgotten::deserialize(answer).map_err(|error| Failure::Failed(error.to_string()))
}

fn print_counts(forgotten: &Forgotten, session: &mut Session) -> Result<(), Failure> {
    let Forgotten { dry_run, runs, deliveries, definitions, crons, .. } = forgotten;
    let counts = [
        counted(*runs, "run"),
        counted(*deliveries, "webhook"),
        counted(*definitions, "definition"),
        counted(*crons, "cron"),
    ];
    let done = if *dry_run { "would be forgotten" } else { "forgotten" };
    Ok(session.output.line(&format!("{done}: {}", counts.join(", ")))?)
}
