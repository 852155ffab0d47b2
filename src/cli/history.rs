//! `agentcron history`: what has happened, and with `--follow` what happens.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::failure::Failure;
use super::next::unknown_cron;
use super::run_line::{self, COLUMNS, DISPENSABLE, ELASTIC};
use super::session::Session;
use super::table::{Layout, Rows};
use super::times;
use crate::api::wire;
use crate::domain::ids::CronId;
use crate::domain::run::{Phase, RunState, Status};
use crate::signals;
use crate::store::{Reader, RunFilter, RunRow, RunWatch, WatchUntil};

/// Rows read at once: enough to be quick, few enough to be printed from memory.
const PAGE: u32 = 500;
/// Runs shown to people who do not say how many.
const SHOWN: u64 = 50;
/// Runs shown before what happens from now on.
const SHOWN_BEFORE_FOLLOWING: u64 = 10;
/// How often a followed store is asked whether anything was committed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// List runs and their outcomes, newest last.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron history --since 2h
  agentcron history --cron daily-digest --status error,timeout,missed
  agentcron history --follow
  agentcron history --json --since 7d | jq 'select(.status == \"error\")'

Columns: late = from the scheduled instant until the agent server accepted the run;
         took = from then to its end.

Works while the daemon is down.")]
pub(super) struct History {
    /// Only of this cron (name or id)
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
    /// Only with these: success, error, timeout, interrupted, cancelled, skipped, missed; pending, sending, unconfirmed,
    /// running
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only scheduled at or after this: a time, or a duration ago such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only scheduled before this: a time, or a duration ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most the newest N [default: 50; all with --json; 10 with --follow]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Then print runs as they begin and end, until interrupted
    #[arg(short, long)]
    follow: bool,
}

pub(super) fn history(history: &History, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    let filter = filter(history, &reader, session)?;
    let limit = match (history.limit, history.follow, session.output.is_json()) {
        (Some(limit), ..) => Some(limit),
        (None, true, _) => Some(SHOWN_BEFORE_FOLLOWING),
        (None, false, false) => Some(SHOWN),
        (None, false, true) => None,
    };
    // The watch begins before the listing: what comes in between is shown twice rather than never.
    let watch = history.follow.then(|| reader.watch(WatchUntil::RunEnded)).transpose()?;
    let mut layout = None;
    let shown = print_past(&reader, &filter, limit, &mut layout, session)?;
    match watch {
        Some(watch) => follow(&reader, watch, &filter, layout, session),
        None if shown == 0 && !session.output.is_json() => Ok(session.output.line("no runs")?),
        None => Ok(()),
    }
}

fn filter(history: &History, reader: &Reader, session: &Session) -> Result<RunFilter, Failure> {
    let mut filter = RunFilter::default();
    if let Some(name) = &history.cron {
        filter.crons = Some(crons(name, reader)?);
    }
    for word in &history.status {
        match (word.parse::<Status>(), word.parse::<Phase>()) {
            (Ok(status), _) => filter.statuses.push(status),
            (Err(_), Ok(phase)) => filter.phases.push(phase),
            (Err(unknown), Err(_)) => {
                return Err(Failure::Usage(format!(
                    "--status: {unknown}, pending, sending, unconfirmed, running"
                )));
            }
        }
    }
    let instant = |option: &str, text: &Option<String>| {
        let parse = |text: &String| times::parse_past(text, &session.zone, session.now());
        let parsed = text.as_ref().map(parse).transpose();
        parsed.map_err(|message| Failure::Usage(format!("{option}: {message}")))
    };
    filter.since = instant("--since", &history.since)?;
    filter.until = instant("--until", &history.until)?;
    Ok(filter)
}

fn crons(name: &str, reader: &Reader) -> Result<Vec<CronId>, Failure> {
    let named = reader.crons_named(name)?;
    if !named.is_empty() {
        return Ok(named);
    }
    if let Ok(id) = Uuid::try_parse(name) {
        return Ok(vec![CronId(id)]);
    }
    let known: Vec<String> = reader.crons()?.into_iter().map(|cron| cron.name).collect();
    Err(unknown_cron(name, &known))
}

/// Prints the last `limit` runs, page by page, and answers how many there were.
fn print_past(
    reader: &Reader,
    filter: &RunFilter,
    limit: Option<u64>,
    layout: &mut Option<Layout>,
    session: &mut Session,
) -> Result<u64, Failure> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut cursor = limit.map_or(Ok(None), |limit| reader.cursor_before_last(filter, limit))?;
    let mut shown = 0;
    while left > 0 {
        let page = reader.runs_after(filter, cursor, PAGE.min(u32::try_from(left).unwrap_or(PAGE)))?;
        let Some((last, _)) = page.last() else { break };
        cursor = Some(*last);
        let count = page.len() as u64;
        (shown, left) = (shown + count, left.saturating_sub(count));
        let rows: Vec<RunRow> = page.into_iter().map(|(_, row)| row).collect();
        print(&rows, layout, session)?;
    }
    Ok(shown)
}

fn print(rows: &[RunRow], layout: &mut Option<Layout>, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        for row in rows {
            session.output.json(&wire::Run::of(row))?;
        }
    } else {
        let mut table = Rows::new(&COLUMNS, ELASTIC, DISPENSABLE).in_zone("scheduled", &session.zone);
        for row in rows {
            table.push(run_line::cells(row, session));
        }
        session.output.table_under(layout, table)?;
    }
    session.output.flush()?;
    Ok(())
}

fn follow(
    reader: &Reader,
    mut watch: RunWatch,
    filter: &RunFilter,
    mut layout: Option<Layout>,
    session: &mut Session,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot follow: {error}"));
    let stop = signals::listen().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    while !stop.graceful.is_cancelled() {
        let changed = reader.changes(&mut watch)?;
        let told: Vec<RunRow> = changed.into_iter().filter(|row| is_news(row) && filter.takes(row)).collect();
        if !told.is_empty() {
            print(&told, &mut layout, session)?;
        }
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.graceful.cancelled() => {}
            }
        });
    }
    Ok(())
}

/// Runs that begin, end or are in trouble; that one waits for its turn is no news.
fn is_news(row: &RunRow) -> bool {
    match &row.run.state {
        RunState::Pending { .. } | RunState::Sending { .. } => row.run.reason.is_some(),
        RunState::Unconfirmed { .. } | RunState::Running(_) | RunState::Ended { .. } => true,
    }
}
