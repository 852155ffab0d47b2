//! `agentcron history`: lists runs and, with `--follow`, prints runs as they start and end.

use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::terminal::{Failure, Layout, Session, parse_past, run_table, unknown_cron};
use crate::api::wire;
use crate::domain::ids::{CronId, FIRST_RUN};
use crate::domain::run::{Phase, RunState, Status};
use crate::signals;
use crate::store::{Reader, RunFilter, RunRow, RunWatch, WatchUntil};

/// How many rows are read at once: enough to be quick, few enough to be kept in memory.
const PAGE: u32 = 500;
/// Runs shown in a table without `--limit`.
const SHOWN: u64 = 50;
/// Runs shown before `--follow` begins.
const SHOWN_BEFORE_FOLLOWING: u64 = 10;
/// How often `--follow` checks whether anything was committed.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// List runs and their outcomes, newest last
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron history --since 2h
  agentcron history --cron daily-digest --status error,timeout,missed
  agentcron history --reason start_deadline,lost --since 1d
  agentcron history --follow
  agentcron history --json --since 7d | jq 'select(.status == \"error\")'

Columns:
  late  from the scheduled instant until the agent server accepted the run
  took  how long the run took, by the agent server's account if it gives one")]
pub(super) struct History {
    /// Only runs of this cron (name or id)
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
    /// Only runs with one of these statuses, separated by commas: success, error, timeout, interrupted, cancelled,
    /// skipped, missed; or, for runs in progress: pending, sending, unconfirmed, running
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only runs with one of these reason codes, separated by commas, such as overlap,start_deadline
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    reason: Vec<String>,
    /// Only runs scheduled at or after this time: a time, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs scheduled before this time: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show at most the newest N [default: 50; all with --json; 10 with --follow]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Afterwards print runs as they start and end, until Ctrl-C
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
    // The watch begins before the listing: a run that changes in between is shown twice rather than never.
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
    for word in &history.reason {
        let code = word.parse().map_err(|unknown| Failure::Usage(format!("--reason: {unknown}")))?;
        filter.reasons.push(code);
    }
    let instant = |option: &str, text: &Option<String>| {
        let parse = |text: &String| parse_past(text, &session.zone, session.now());
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

/// Prints the last `limit` runs, page by page, and returns how many there were.
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
        let rows = by_occurrence(page.into_iter().map(|(_, row)| row).collect());
        print(&rows, layout, session)?;
    }
    Ok(shown)
}

/// Puts the runs of each occurrence next to one another.
fn by_occurrence(rows: Vec<RunRow>) -> Vec<RunRow> {
    let mut sorted: Vec<RunRow> = Vec::with_capacity(rows.len());
    for row in rows {
        let is_of_same = |other: &RunRow| {
            row.run.retry > FIRST_RUN
                && (other.run.cron_id(), other.run.scheduled_for)
                    == (row.run.cron_id(), row.run.scheduled_for)
        };
        match sorted.iter().rposition(is_of_same) {
            Some(last) => sorted.insert(last + 1, row),
            None => sorted.push(row),
        }
    }
    sorted
}

fn print(rows: &[RunRow], layout: &mut Option<Layout>, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        for row in rows {
            session.output.json(&wire::Run::of(row))?;
        }
    } else {
        let table = run_table(rows, session);
        session.output.table_below(layout, table)?;
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
        let news: Vec<RunRow> = changed.into_iter().filter(|row| is_news(row) && filter.takes(row)).collect();
        if !news.is_empty() {
            print(&news, &mut layout, session)?;
        }
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = stop.graceful.cancelled() => {}
            }
        });
    }
    Ok(())
}

/// Whether a run has started, ended or met a problem. A run that only waits for its turn is not news.
fn is_news(row: &RunRow) -> bool {
    match &row.run.state {
        RunState::Pending { .. } | RunState::Sending { .. } => row.run.reason.is_some(),
        RunState::Unconfirmed { .. } | RunState::Running(_) | RunState::Ended { .. } => true,
    }
}
