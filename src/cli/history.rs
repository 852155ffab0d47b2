//! `agentcron history`: lists runs and, with `--follow`, prints runs as they start and end.

mod between;
mod csv;
mod grep;

use clap::Args;
use jiff::Timestamp;

use super::terminal::{
    Failure, Layout, Session, Source, TableOptions, Watcher, act_cells, crons_named, joined, run_cells,
    run_table,
};
use crate::api::wire::Run;
use crate::domain::bounds::{GREP_CHARS_MAX, GREP_RUNS_MAX, RUNS_FROM_DAEMON_MAX};
use crate::domain::ids::FIRST_RUN;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, RunState, Status, Trigger};
use crate::store::{Reader, RunFilter, RunRow, RunWatch, WatchUntil};
use between::{ActsBetween, Entry};

/// How many rows are read at once: enough to be quick, few enough to be kept in memory.
const PAGE: u32 = 500;
/// Runs shown in a table without `--limit`.
const SHOWN: u64 = 50;
/// Runs shown before `--follow` begins.
const SHOWN_BEFORE_FOLLOWING: u64 = 10;

/// List runs and their outcomes, newest last
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. --follow has to read the database. What somebody
did to the cron stands between its runs; `agentcron acts` lists that alone.

Examples:
  agentcron history daily-digest --since yesterday
  agentcron history --failed --since 'yesterday 23:00' --until 'today 07:00'
  agentcron history --reason backend_away,daemon_down --since 1d
  agentcron history --grep 'connection refused' --since 7d
  agentcron history --csv --since 30d > runs.csv
  agentcron history --follow
  agentcron history --json --since 7d | jq 'select(.status == \"error\")'

Columns:
  late  from the scheduled instant until the agent server accepted the run
  took  how long the run took, by the agent server's account if it gives one")]
pub(super) struct History {
    /// Only runs of this cron (name or id)
    #[arg(value_name = "CRON", conflicts_with = "cron")]
    of_cron: Option<String>,
    /// The same as CRON
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
    /// Only runs that went wrong: error, timeout, missed, or skipped because of an outage or because the agent
    /// server refused to show the run before it
    #[arg(long, conflicts_with = "status")]
    failed: bool,
    /// Only runs with one of these statuses, separated by commas: success, error, timeout, interrupted, cancelled,
    /// skipped, missed; or, for runs in progress: pending, sending, unconfirmed, running
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only runs with one of these reason codes, separated by commas. Outages are backend_away (the agent server),
    /// daemon_down, disk_full and store_away (the server of the store)
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    reason: Vec<ReasonCode>,
    /// Only runs with one of these triggers, separated by commas: schedule, catchup, backfill, manual, api
    #[arg(long, value_name = "TRIGGER", value_delimiter = ',')]
    trigger: Vec<Trigger>,
    /// Only runs with this text, in any case, in their id, their error, their reason or the name of their cron
    #[arg(long, value_name = "TEXT", value_parser = grep_text)]
    grep: Option<String>,
    /// Only runs scheduled at or after this time: such as yesterday, 'mon 7am', 07:00 (the last one that was), or how long
    /// ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs scheduled before this time; 07:00 is the last one that was, or else the first one after --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show at most the newest N [default: 50; all with --json; 10 with --follow]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Print comma-separated values for a spreadsheet: all runs, unless --limit is given
    #[arg(long, conflicts_with_all = ["follow", "columns", "wide"])]
    csv: bool,
    /// Afterwards print runs as they start and end, until Ctrl-C
    #[arg(short, long, conflicts_with = "grep")]
    follow: bool,
    #[command(flatten)]
    table: TableOptions,
}

/// What is shown, and how.
struct Listing<'a> {
    filter: RunFilter,
    table: &'a TableOptions,
    layout: Option<Layout>,
    acts: ActsBetween,
    format: Format,
}

/// How runs are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Csv,
}

pub(super) fn history(history: &History, session: &mut Session) -> Result<(), Failure> {
    let (filter, source) = (filter(history, session)?, session.source()?);
    let cron = history.of_cron.as_ref().or(history.cron.as_ref());
    let format = match (history.csv, session.output.is_json()) {
        (true, true) => return Err(Failure::Usage("--csv: choose one of --csv and --json".to_owned())),
        (true, false) => Format::Csv,
        (false, true) => Format::Json,
        (false, false) => Format::Table,
    };
    let limit = match (history.limit, history.follow, format) {
        (Some(limit), ..) => Some(limit),
        (None, true, _) => Some(SHOWN_BEFORE_FOLLOWING),
        (None, false, Format::Table) => Some(SHOWN),
        (None, false, Format::Json | Format::Csv) => None,
    };
    let acts = match history.follow || history.grep.is_some() || format != Format::Table {
        true => ActsBetween::default(),
        false => ActsBetween::read(cron.map(String::as_str), &filter, &source)?,
    };
    let mut listing = Listing { filter, table: &history.table, layout: None, acts, format };
    if format == Format::Csv {
        csv::print_header(session)?;
    }
    if let Some(text) = &history.grep {
        return print_mentions(text, (cron, limit), source, listing, session);
    }
    let reader = match source {
        Source::Daemon(daemon) if !history.follow => {
            let limit = limit.unwrap_or(RUNS_FROM_DAEMON_MAX);
            let mut runs: Vec<Run> = daemon.list("runs", &query(cron, &listing.filter), limit)?;
            if runs.len() as u64 == RUNS_FROM_DAEMON_MAX {
                let text = "the daemon was asked for the newest runs only; --since and --until show others";
                session.output.warn(text)?;
            }
            if runs.len() as u64 == limit {
                listing.acts.begin_with_first_run();
            }
            runs.reverse();
            if runs.is_empty() {
                print_none(&listing, session)?;
            }
            print(by_occurrence(runs), &mut listing, session)?;
            return print_rest(&mut listing, session);
        }
        Source::Store(reader) => reader,
        // Changes are seen in the database only.
        Source::Daemon(_) => Box::new(session.open_store()?),
    };
    listing.filter.crons = cron.map(|name| crons_named(name, &reader)).transpose()?;
    // The watch begins before the listing: a run that changes in between is shown twice rather than never.
    let watch = history.follow.then(|| reader.watch(WatchUntil::RunEnded)).transpose()?;
    let shown = print_past(&reader, &mut listing, limit, session)?;
    match watch {
        Some(watch) => follow(&reader, watch, listing, session),
        None => {
            if shown == 0 {
                print_none(&listing, session)?;
            }
            print_rest(&mut listing, session)
        }
    }
}

fn filter(history: &History, session: &Session) -> Result<RunFilter, Failure> {
    let mut filter = RunFilter { went_wrong: history.failed, ..RunFilter::default() };
    for word in &history.status {
        match (word.parse::<Status>(), word.parse::<Phase>()) {
            (Ok(status), _) => filter.statuses.push(status),
            (Err(_), Ok(phase)) => filter.phases.push(phase),
            // The status of a webhook, and the word that most people have for it.
            (Err(_), Err(_)) if word == "failed" => {
                let meant = "a run that failed is `error`; --failed also shows timeout and missed";
                return Err(Failure::Usage(format!(
                    "--status: `{word}` is the status of a webhook; {meant}"
                )));
            }
            (Err(unknown), Err(_)) => {
                return Err(Failure::Usage(format!(
                    "--status: {unknown}, pending, sending, unconfirmed, running"
                )));
            }
        }
    }
    filter.triggers.clone_from(&history.trigger);
    filter.reasons.clone_from(&history.reason);
    (filter.since, filter.until) = session.period(history.since.as_deref(), history.until.as_deref())?;
    Ok(filter)
}

/// Returns the filter as parameters of the API, where the cron has its name.
fn query(cron: Option<&String>, filter: &RunFilter) -> [(&'static str, String); 7] {
    let statuses = filter.statuses.iter().map(|status| status.as_str());
    let statuses = statuses.chain(filter.phases.iter().map(|phase| phase.as_str()));
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    [
        ("cron", cron.cloned().unwrap_or_default()),
        ("status", joined(statuses)),
        ("trigger", joined(filter.triggers.iter().map(|trigger| trigger.as_str()))),
        ("reason", joined(filter.reasons.iter().map(|reason| reason.as_str()))),
        ("failed", if filter.went_wrong { true.to_string() } else { String::new() }),
        ("since", time(filter.since)),
        ("until", time(filter.until)),
    ]
}

/// Prints the last `limit` runs, page by page, and returns how many there were.
fn print_past(
    reader: &Reader,
    listing: &mut Listing<'_>,
    limit: Option<u64>,
    session: &mut Session,
) -> Result<u64, Failure> {
    let mut left = limit.unwrap_or(u64::MAX);
    let filter = listing.filter.clone();
    let mut cursor = limit.map_or(Ok(None), |limit| reader.cursor_before_last(&filter, limit))?;
    if cursor.is_some() {
        listing.acts.begin_with_first_run();
    }
    let mut shown = 0;
    while left > 0 {
        let page = reader.runs_after(&filter, cursor, PAGE.min(u32::try_from(left).unwrap_or(PAGE)))?;
        let Some((last, _)) = page.last() else { break };
        cursor = Some(*last);
        let count = page.len() as u64;
        (shown, left) = (shown + count, left.saturating_sub(count));
        print(by_occurrence(page.iter().map(|(_, row)| Run::of(row)).collect()), listing, session)?;
    }
    Ok(shown)
}

/// Puts the runs of each occurrence next to one another.
fn by_occurrence(runs: Vec<Run>) -> Vec<Run> {
    let mut sorted: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        let is_of_same = |other: &Run| {
            run.retry > FIRST_RUN
                && (&other.cron_id, other.scheduled_for) == (&run.cron_id, run.scheduled_for)
        };
        match sorted.iter().rposition(is_of_same) {
            Some(last) => sorted.insert(last + 1, run),
            None => sorted.push(run),
        }
    }
    sorted
}

fn print(runs: Vec<Run>, listing: &mut Listing<'_>, session: &mut Session) -> Result<(), Failure> {
    match listing.format {
        Format::Json => runs.iter().try_for_each(|run| session.output.json(run))?,
        Format::Csv => csv::print(&runs, session)?,
        Format::Table => {
            let entries = listing.acts.among(runs);
            print_table(&entries, listing, session)?;
        }
    }
    session.output.flush()?;
    Ok(())
}

fn print_none(listing: &Listing<'_>, session: &mut Session) -> Result<(), Failure> {
    match listing.format {
        Format::Table => Ok(session.output.line("no runs")?),
        Format::Json | Format::Csv => Ok(()),
    }
}

/// Prints the runs that mention a text.
fn print_mentions(
    text: &str,
    (cron, limit): (Option<&String>, Option<u64>),
    source: Source,
    mut listing: Listing<'_>,
    session: &mut Session,
) -> Result<(), Failure> {
    let limit = limit.unwrap_or(RUNS_FROM_DAEMON_MAX);
    let found = match source {
        Source::Daemon(daemon) => grep::of_daemon(text, &query(cron, &listing.filter), limit, &daemon)?,
        Source::Store(reader) => {
            listing.filter.crons = cron.map(|name| crons_named(name, &reader)).transpose()?;
            grep::of_store(text, &listing.filter, limit, &reader)?
        }
    };
    if found.stopped {
        let text =
            format!("only the newest {GREP_RUNS_MAX} runs were looked through; --until finds older ones");
        session.output.warn(&text)?;
    }
    if found.runs.is_empty() {
        return print_none(&listing, session);
    }
    print(by_occurrence(found.runs), &mut listing, session)
}

/// Checks the text of `--grep`.
fn grep_text(text: &str) -> Result<String, String> {
    match (1..=GREP_CHARS_MAX).contains(&text.chars().count()) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected 1 to {GREP_CHARS_MAX} characters")),
    }
}

/// Prints what was done after the last run.
fn print_rest(listing: &mut Listing<'_>, session: &mut Session) -> Result<(), Failure> {
    let entries = listing.acts.rest();
    print_table(&entries, listing, session)
}

fn print_table(entries: &[Entry], listing: &mut Listing<'_>, session: &mut Session) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut table = run_table(listing.table, session)?;
    for entry in entries {
        table.push(match entry {
            Entry::Run(run) => run_cells(run, session),
            Entry::Act(act) => act_cells(act, session),
        });
    }
    Ok(session.output.table_below(&mut listing.layout, table)?)
}

fn follow(
    reader: &Reader,
    mut watch: RunWatch,
    mut listing: Listing<'_>,
    session: &mut Session,
) -> Result<(), Failure> {
    let watcher = Watcher::begin()?;
    loop {
        let changed = reader.changes(&mut watch)?;
        let is_shown = |row: &RunRow| is_news(row) && listing.filter.takes(row);
        let news: Vec<Run> = changed.iter().filter(|row| is_shown(row)).map(Run::of).collect();
        if !news.is_empty() {
            print(news, &mut listing, session)?;
        }
        if !watcher.wait_for_commits() {
            return Ok(());
        }
    }
}

/// Whether a run has started, ended or met a problem. A run that only waits for its turn is not news.
fn is_news(row: &RunRow) -> bool {
    match &row.run.state {
        RunState::Pending { .. } | RunState::Sending { .. } => row.run.reason.is_some(),
        RunState::Unconfirmed { .. } | RunState::Running(_) | RunState::Ended { .. } => true,
    }
}
