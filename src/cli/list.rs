//! `agentcron list`: the crons, what is next and how the last time went.

use clap::Args;
use jiff::Timestamp;

use super::failure::Failure;
use super::occurrences::of_cron;
use super::output::{Output, Style, printable};
use super::run_line;
use super::session::Session;
use super::table::Rows;
use super::times;
use crate::api::wire;
use crate::domain::cron::Cron;
use crate::domain::cron_state::CronState;
use crate::store::{CronRow, Reader};

/// List the crons: schedule, zone, next time, last outcome.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron list
  agentcron list --json | jq -r '.cron_name + \" \" + .next_at'

Works while the daemon is down; before its first start the crons of the configuration are
listed.")]
pub(super) struct List {}

const COLUMNS: [&str; 8] = ["cron", "schedule", "timezone", "next", "", "last", "outcome", "reason"];

pub(super) fn list(_: &List, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_path()?;
    if store.exists() {
        let crons = Reader::open(&store)?.crons()?;
        return print(&crons, session);
    }
    let path = session.config_path.clone();
    let config = session.load_config(&path)?;
    session.output.warn("the daemon has not run yet: these are the crons of the configuration")?;
    let crons: Vec<CronRow> = config.crons.into_iter().map(never_run).collect();
    print(&crons, session)
}

/// A cron of a file that no daemon has taken up yet.
fn never_run(definition: crate::config::CronDefinition) -> CronRow {
    let body = serde_json::to_string(&definition.fields).unwrap_or_default();
    let cron = definition.cron;
    CronRow {
        cron_id: cron.cron_id,
        name: cron.name.clone(),
        source: crate::domain::cron::CronSource::File,
        location: Some(definition.location.to_string()),
        definition_id: crate::domain::ids::DefinitionId::of_content(cron.cron_id, &body),
        cron: Ok(cron),
        state: CronState::default(),
        last: None,
        running: 0,
    }
}

fn print(crons: &[CronRow], session: &mut Session) -> Result<(), Failure> {
    let now = session.now();
    if session.output.is_json() {
        for cron in crons {
            session.output.json(&wire::Cron::of(cron, now))?;
        }
        return Ok(());
    }
    if crons.is_empty() {
        session.output.line("no crons; write a [cron.NAME] table, then `agentcron check`")?;
        return Ok(());
    }
    let mut rows =
        Rows::new(&COLUMNS, "reason", &["last", "next", "timezone"]).in_zone("next", &session.zone);
    for cron in crons {
        rows.push(cells(cron, now, session));
    }
    session.output.table(rows)?;
    Ok(())
}

fn cells(row: &CronRow, now: Timestamp, session: &Session) -> Vec<String> {
    let output = &session.output;
    let (schedule, timezone, (next, away)) = match &row.cron {
        Ok(cron) => (
            cron.calendar.expression().to_owned(),
            cron.calendar.timezone().to_owned(),
            next_text(cron, &row.state, now, session),
        ),
        Err(problem) => (output.paint(Style::Bad, problem), String::new(), Default::default()),
    };
    let (last, outcome, reason) = match &row.last {
        Some(last) => (
            times::relative(last.run.scheduled_for, now),
            run_line::painted_status(last, output),
            run_line::why(last),
        ),
        None => ("never".to_owned(), String::new(), String::new()),
    };
    let outcome = if row.running > 0 { running_text(row.running, &outcome, output) } else { outcome };
    vec![printable(&row.name), schedule, timezone, next, away, last, outcome, reason]
}

/// The next time, and how far away it is.
fn next_text(cron: &Cron, state: &CronState, now: Timestamp, session: &Session) -> (String, String) {
    if !cron.enabled {
        return (String::new(), session.output.paint(Style::Odd, "disabled"));
    }
    if let Some(pause) = &state.paused {
        return (String::new(), session.output.paint(Style::Odd, pause.reason().text()));
    }
    let mut occurrences = of_cron(cron, now);
    let left_out = if state.skip_next { occurrences.next() } else { None };
    match occurrences.next() {
        Some(next) => {
            let away = times::relative(next.at, now);
            let skips = left_out.map(|skipped| format!(", skips {}", times::relative(skipped.at, now)));
            (times::local(next.at, &session.zone), format!("{away}{}", skips.unwrap_or_default()))
        }
        None => (String::new(), session.output.paint(Style::Odd, "never again")),
    }
}

fn running_text(running: u64, outcome: &str, output: &Output) -> String {
    let words = if running == 1 { "running".to_owned() } else { format!("{running} running") };
    let words = output.paint(Style::BackendRun, &words);
    if outcome.is_empty() { words } else { format!("{words}, before: {outcome}") }
}
