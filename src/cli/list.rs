//! `agentcron list`: the crons with their next time and last outcome.

use clap::Args;
use jiff::SignedDuration;

use super::terminal::{
    Failure, Output, Rows, Session, Shape, Shrink, Source, TableOptions, painted_status, printable,
    unknown_cron,
};
use crate::api::wire::{Cron, Time};
use crate::config::CronDefinition;
use crate::domain::cron::CronSource;
use crate::domain::cron_state::{CronState, CronStatus};
use crate::domain::ids::DefinitionId;
use crate::domain::plan::Decided;
use crate::present::{Tone, times, with_short_ids};
use crate::store::{CronRow, Place, Recent};

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
    /// Only crons whose last run failed; outages do not count
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
    let now = session.now();
    let store = session.store_location()?;
    // A file that this user may not see is not missing.
    let mut crons: Vec<Cron> = if store.is_missing() {
        let path = session.config_path.clone();
        let config = session.view_config(&path)?;
        session.output.warn("the daemon has not run yet: these are the crons of the configuration")?;
        let rows = config.crons.iter().filter_map(|definition| never_run(definition));
        rows.map(|row| Cron::of(&row, &Decided::default(), now)).collect()
    } else {
        match session.source()? {
            Source::Daemon(daemon) => daemon.list("crons", &[], u64::MAX)?,
            Source::Store(reader) => {
                session.warn_if_stopped(&Place::of(&store)?)?;
                let decided = reader.decided(now)?;
                reader.crons(now)?.iter().map(|row| Cron::of(row, &decided, now)).collect()
            }
        }
    };
    let is_named = |cron: &Cron, name: &String| cron.cron_name == *name || cron.cron_id == *name;
    if let Some(unknown) = list.crons.iter().find(|name| !crons.iter().any(|cron| is_named(cron, name))) {
        let names: Vec<String> = crons.into_iter().map(|cron| cron.cron_name).collect();
        return Err(unknown_cron(unknown, &names));
    }
    let has_any = !crons.is_empty();
    crons.retain(|cron| list.crons.is_empty() || list.crons.iter().any(|name| is_named(cron, name)));
    crons.retain(|cron| list.state.is_none_or(|state| cron.status() == Some(state)));
    crons.retain(|cron| !list.failing || cron.failures_in_a_row > 0);
    print(&crons, has_any, &list.table, session)
}

/// Returns the row of a cron that no daemon has loaded yet.
fn never_run(definition: &CronDefinition) -> Option<CronRow> {
    let cron = definition.cron()?;
    Some(CronRow {
        cron_id: cron.cron_id,
        name: cron.name.clone(),
        source: CronSource::File,
        location: Some(definition.location.to_string()),
        definition_id: DefinitionId::of_content(cron.cron_id, &definition.body),
        cron: Ok(cron),
        state: CronState::default(),
        last: None,
        recent: Recent::default(),
        running: 0,
    })
}

fn print(
    crons: &[Cron],
    has_any: bool,
    options: &TableOptions,
    session: &mut Session,
) -> Result<(), Failure> {
    if session.output.is_json() {
        return Ok(crons.iter().try_for_each(|cron| session.output.json(cron))?);
    }
    if crons.is_empty() {
        session.output.line(match has_any {
            true => "no such crons",
            false => "no crons; write a [cron.NAME] table, then `agentcron check`",
        })?;
        return Ok(());
    }
    let mut rows = Rows::new(&SHAPE).with_options(options)?.in_zone("next", &session.zone);
    for cron in crons {
        rows.push(cells(cron, session));
    }
    session.output.table(rows)?;
    Ok(())
}

fn cells(cron: &Cron, session: &Session) -> Vec<String> {
    let output = &session.output;
    let problem = cron.problem.as_ref().map(|problem| output.paint(Tone::Bad, &printable(problem)));
    let (next, away) = match problem {
        Some(_) => Default::default(),
        None => next_text(cron, session),
    };
    let (last, outcome, reason) = match &cron.last {
        Some(last) => (
            times::relative(last.scheduled_for.0, session.now()),
            painted_status(last, output),
            printable(&with_short_ids(&last.why())),
        ),
        None => ("never".to_owned(), String::new(), String::new()),
    };
    let outcome = if cron.running > 0 { running_text(cron.running, &outcome, output) } else { outcome };
    let schedule = problem.or_else(|| cron.schedule.clone()).unwrap_or_default();
    let timezone = cron.timezone.clone().unwrap_or_default();
    let recent = &cron.recent;
    let ok = if recent.runs > 0 { format!("{}/{}", recent.ok, recent.runs) } else { String::new() };
    let took = |within: Option<i64>| {
        within.map(|within| times::took(SignedDuration::from_millis(within))).unwrap_or_default()
    };
    let (p50, p95) = (took(recent.p50_ms), took(recent.p95_ms));
    vec![printable(&cron.cron_name), schedule, timezone, next, away, last, outcome, ok, p50, p95, reason]
}

/// Returns the next time, and how far away it is or why there is none.
fn next_text(cron: &Cron, session: &Session) -> (String, String) {
    if let Some(why) = why_inactive(cron, session) {
        return (String::new(), why);
    }
    match cron.next_at {
        Some(Time(next)) => {
            let skipped = if cron.skip_next { ", skipped on request" } else { "" };
            let away = times::relative(next, session.now());
            (times::local(next, &session.zone), format!("{away}{skipped}"))
        }
        None => (String::new(), session.output.paint(Tone::Attention, "never again")),
    }
}

/// Returns why no occurrence of the cron starts a run.
pub(super) fn why_inactive(cron: &Cron, session: &Session) -> Option<String> {
    let why = match (cron.enabled, &cron.paused) {
        (Some(false), _) => "disabled".to_owned(),
        (_, Some(pause)) => {
            let until = pause.until.map(|Time(until)| times::short(until, session.now(), &session.zone));
            let until = until.map(|until| format!("; until {until}")).unwrap_or_default();
            format!("{}{until}", pause.pause().reason().text())
        }
        (_, None) => return None,
    };
    Some(session.output.paint(Tone::Attention, &printable(&why)))
}

fn running_text(running: u64, outcome: &str, output: &Output) -> String {
    let text = if running == 1 { "running".to_owned() } else { format!("{running} running") };
    let text = output.paint(Tone::Active, &text);
    if outcome.is_empty() { text } else { format!("{text}, before: {outcome}") }
}
