//! `agentcron list`: the crons, what is next and how the last time went.

use clap::Args;
use jiff::Timestamp;

use super::failure::Failure;
use super::occurrences::of_cron;
use super::output::{Look, Output, printable};
use super::run_line;
use super::session::Session;
use super::table::Rows;
use super::times;
use crate::api::wire;
use crate::domain::cron::Cron;
use crate::domain::standing::Standing;
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
        place: Some(definition.place.to_string()),
        definition_id: crate::domain::ids::DefinitionId::of_content(cron.cron_id, &body),
        cron: Ok(cron),
        standing: Standing::default(),
        last: None,
        going: 0,
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
            next_words(cron, &row.standing, now, session),
        ),
        Err(problem) => (output.paint(Look::Bad, problem), String::new(), Default::default()),
    };
    let (last, outcome, reason) = match &row.last {
        Some(last) => (
            times::relative(last.run.scheduled_for, now),
            run_line::painted_status(last, output),
            run_line::why(last),
        ),
        None => ("never".to_owned(), String::new(), String::new()),
    };
    let outcome = if row.going > 0 { going_words(row.going, &outcome, output) } else { outcome };
    vec![printable(&row.name), schedule, timezone, next, away, last, outcome, reason]
}

/// The next time, and how far away it is.
fn next_words(cron: &Cron, standing: &Standing, now: Timestamp, session: &Session) -> (String, String) {
    if !cron.enabled {
        return (String::new(), session.output.paint(Look::Odd, "disabled"));
    }
    if let Some(pause) = &standing.paused {
        return (String::new(), session.output.paint(Look::Odd, &pause.words()));
    }
    let mut occurrences = of_cron(cron, now);
    let left_out = if standing.skip_next { occurrences.next() } else { None };
    match occurrences.next() {
        Some(next) => {
            let away = times::relative(next.at, now);
            let skips = left_out.map(|skipped| format!(", skips {}", times::relative(skipped.at, now)));
            (times::local(next.at, &session.zone), format!("{away}{}", skips.unwrap_or_default()))
        }
        None => (String::new(), session.output.paint(Look::Odd, "never again")),
    }
}

fn going_words(going: u64, outcome: &str, output: &Output) -> String {
    let words = if going == 1 { "running".to_owned() } else { format!("{going} running") };
    let words = output.paint(Look::Going, &words);
    if outcome.is_empty() { words } else { format!("{words}, before: {outcome}") }
}
