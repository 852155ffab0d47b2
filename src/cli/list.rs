//! `agentcron list`: the crons with their next time and last outcome.

use clap::Args;
use jiff::Timestamp;

use super::terminal::{
    Failure, Output, Rows, Session, Shape, Shrink, TableOptions, painted_status, printable, unknown_cron,
};
use crate::api::wire;
use crate::config::CronDefinition;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::cron_state::CronState;
use crate::domain::ids::DefinitionId;
use crate::domain::plan::Decided;
use crate::present::occurrences::of_cron;
use crate::present::{Tone, runs, times, with_short_ids};
use crate::store::{CronRow, CronStatus, Reader, Recent};

/// List the crons with their schedule, next time and last outcome
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. Before its first start, the crons of the
configuration are listed.

Examples:
  agentcron list
  agentcron list daily-digest inbox
  agentcron list --state paused
  agentcron list --columns cron,next,due
  agentcron list --columns cron,ok,p50,p95        which cron is flaky or slow
  agentcron list --json | jq -r '.cron_name + \" \" + .next_at'

Columns:
  ok   how many of its last 50 runs worked; outages do not count
  p50  within this time half of them ended, and 95 % within that of p95")]
pub(super) struct List {
    /// Only these crons (names or ids)
    #[arg(value_name = "CRON")]
    crons: Vec<String>,
    /// Only crons in this state: active, paused or disabled
    #[arg(long, value_name = "STATE")]
    state: Option<CronStatus>,
    /// Only crons whose last run failed
    #[arg(long)]
    failing: bool,
    #[command(flatten)]
    table: TableOptions,
}

const SHAPE: Shape = Shape {
    columns: &[
        "cron", "schedule", "timezone", "next", "due", "last", "outcome", "ok", "p50", "p95", "reason",
    ],
    usual: &[16, 15, 13, 19, 12, 9, 12, 5, 6, 6, 24],
    shrink: &[
        Shrink::Below("reason"),
        Shrink::Omit("p50"),
        Shrink::Omit("p95"),
        Shrink::Omit("ok"),
        Shrink::Below("timezone"),
        Shrink::Below("schedule"),
    ],
};

pub(super) fn list(list: &List, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_path()?;
    // A file that this user may not see is not missing.
    let (mut crons, decided) = if matches!(store.try_exists(), Ok(false)) {
        let path = session.config_path.clone();
        let config = session.view_config(&path)?;
        session.output.warn("the daemon has not run yet: these are the crons of the configuration")?;
        (config.crons.into_iter().map(never_run).collect(), Decided::default())
    } else {
        let reader = Reader::open(&store)?;
        session.warn_if_stopped(&store)?;
        (reader.crons()?, reader.decided(session.now())?)
    };
    let is_named = |row: &CronRow, name: &String| row.name == *name || row.cron_id.to_string() == *name;
    if let Some(unknown) = list.crons.iter().find(|name| !crons.iter().any(|row| is_named(row, name))) {
        let names: Vec<String> = crons.into_iter().map(|row| row.name).collect();
        return Err(unknown_cron(unknown, &names));
    }
    crons.retain(|row| list.crons.is_empty() || list.crons.iter().any(|name| is_named(row, name)));
    crons.retain(|row| list.state.is_none_or(|state| row.status() == Some(state)));
    crons.retain(|row| !list.failing || row.state.failures > 0);
    print(&crons, &decided, &list.table, session)
}

/// Returns the row of a cron that no daemon has loaded yet.
fn never_run(definition: CronDefinition) -> CronRow {
    let body = serde_json::to_string(&definition.fields).unwrap_or_default();
    let cron = definition.cron;
    CronRow {
        cron_id: cron.cron_id,
        name: cron.name.clone(),
        source: CronSource::File,
        location: Some(definition.location.to_string()),
        definition_id: DefinitionId::of_content(cron.cron_id, &body),
        cron: Ok(cron),
        state: CronState::default(),
        last: None,
        recent: Recent::default(),
        running: 0,
    }
}

fn print(
    crons: &[CronRow],
    decided: &Decided,
    options: &TableOptions,
    session: &mut Session,
) -> Result<(), Failure> {
    let now = session.now();
    if session.output.is_json() {
        for cron in crons {
            session.output.json(&wire::Cron::of(cron, decided, now))?;
        }
        return Ok(());
    }
    if crons.is_empty() {
        session.output.line("no crons; write a [cron.NAME] table, then `agentcron check`")?;
        return Ok(());
    }
    let mut rows = Rows::new(&SHAPE).with_options(options)?.in_zone("next", &session.zone);
    for cron in crons {
        rows.push(cells(cron, decided, now, session));
    }
    session.output.table(rows)?;
    Ok(())
}

fn cells(row: &CronRow, decided: &Decided, now: Timestamp, session: &Session) -> Vec<String> {
    let output = &session.output;
    let (schedule, timezone, (next, away)) = match &row.cron {
        Ok(cron) => (
            cron.calendar.expression().to_owned(),
            cron.calendar.timezone().to_owned(),
            next_text(cron, &row.state, decided, session),
        ),
        Err(problem) => (output.paint(Tone::Bad, &printable(problem)), String::new(), Default::default()),
    };
    let (last, outcome, reason) = match &row.last {
        Some(last) => (
            times::relative(last.run.scheduled_for, now),
            painted_status(last, output),
            printable(&with_short_ids(&runs::why(last))),
        ),
        None => ("never".to_owned(), String::new(), String::new()),
    };
    let outcome = if row.running > 0 { running_text(row.running, &outcome, output) } else { outcome };
    let recent = &row.recent;
    let ok = if recent.runs > 0 { format!("{}/{}", recent.ok, recent.runs) } else { String::new() };
    let took = |percent| recent.took(percent).map(times::took).unwrap_or_default();
    let (p50, p95) = (took(50), took(95));
    vec![printable(&row.name), schedule, timezone, next, away, last, outcome, ok, p50, p95, reason]
}

/// Returns the next time, and how far away it is or why there is none.
fn next_text(cron: &Cron, state: &CronState, decided: &Decided, session: &Session) -> (String, String) {
    let now = session.now();
    let attention = |text: &str| session.output.paint(Tone::Attention, &printable(text));
    if !cron.enabled {
        return (String::new(), attention("disabled"));
    }
    if let Some(pause) = &state.paused {
        return (String::new(), attention(pause.reason().text()));
    }
    let mut occurrences = of_cron(cron, decided, now);
    let skipped = if state.skip_next { occurrences.next() } else { None };
    match occurrences.next() {
        Some(next) => {
            let away = times::relative(next.at, now);
            let skips = skipped.map(|skipped| format!(", skips {}", times::relative(skipped.at, now)));
            (times::local(next.at, &session.zone), format!("{away}{}", skips.unwrap_or_default()))
        }
        None => (String::new(), attention("never again")),
    }
}

fn running_text(running: u64, outcome: &str, output: &Output) -> String {
    let text = if running == 1 { "running".to_owned() } else { format!("{running} running") };
    let text = output.paint(Tone::Active, &text);
    if outcome.is_empty() { text } else { format!("{text}, before: {outcome}") }
}
