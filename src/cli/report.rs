//! `agentcron report`: what happened, for the morning and for the mail.

mod html;

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::status::Question;
use super::terminal::{
    Failure, Rows, Session, Shape, Shrink, Source, TableOptions, print_attention, printable,
};
use crate::api::wire::{Counted, CronReport, Outage, Report, Time, Word};
use crate::domain::reason::ReasonCode;
use crate::domain::run::Status;
use crate::present::{Tone, counted, first_words, outages, times};

/// How many outages are printed.
const OUTAGES_PRINTED: usize = 10;
/// How many reasons are named for all crons together, and for one of them.
const REASONS_NAMED: usize = 6;
const REASONS_OF_CRON: usize = 2;

/// Show what happened since some time: what needs you, each cron, outages and webhooks
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down, and when the runs are deleted already: it is
made of counts by hour, which are kept for 72 hours, and by day in UTC.

Examples:
  agentcron report
  agentcron report --since yesterday
  agentcron report --since 30d --all
  agentcron report --html > report.html     one file, to look at or to mail
  agentcron report --json | jq '.crons[] | select(.ok_percent < 90) | .cron_name'

Columns:
  ok     how many percent of the occurrences worked; outages do not count
  p50    within this time half of the runs ended, and 95 % within that of p95;
         exact to 10 %
  trend  p50 compared with the seven days before
  late   runs that began over a minute late")]
pub(super) struct ReportArguments {
    /// The beginning: such as yesterday or 07:00, or how long ago, such as 12h
    #[arg(long, value_name = "TIME", default_value = "12h")]
    since: String,
    /// List all crons, and not only those that need you first
    #[arg(long)]
    all: bool,
    /// Print one HTML page, which needs nothing else
    #[arg(long, conflicts_with = "json")]
    html: bool,
    #[command(flatten)]
    table: TableOptions,
}

const SHAPE: Shape = Shape {
    columns: &["cron", "ok", "runs", "p50", "p95", "trend", "late", "missed", "skipped", "state"],
    usual: &[16, 6, 6, 8, 8, 6, 5, 6, 7, 32],
    shrink: &[Shrink::Below("state"), Shrink::Omit("trend"), Shrink::Omit("p95"), Shrink::Omit("late")],
};

pub(super) fn report(arguments: &ReportArguments, session: &mut Session) -> Result<(), Failure> {
    let since = session.past("--since", &arguments.since)?;
    if since > session.now() {
        return Err(Failure::Usage("--since: this is still to come".to_owned()));
    }
    let attention = Question::of(session)?.report()?.attention;
    let report = match session.source()? {
        Source::Store(reader) => Report::read(&reader, attention, since, arguments.all, session.now())?,
        Source::Daemon(daemon) => {
            let query = [("since", since.to_string()), ("all", arguments.all.to_string())];
            Report { attention, ..daemon.get(&["report"], &query)? }
        }
    };
    match (session.output.is_json(), arguments.html) {
        (true, _) => Ok(session.output.json(&report)?),
        (false, true) => Ok(session.output.text(&html::page(&report, &session.zone))?),
        (false, false) => print(&report, &arguments.table, session),
    }
}

fn print(report: &Report, options: &TableOptions, session: &mut Session) -> Result<(), Failure> {
    print_attention(&report.attention, session)?;
    if report.attention.is_empty() {
        let well = session.output.paint(Tone::Good, "all is well");
        session.output.line(&well)?;
    }
    session.output.line("")?;
    let mut fields = vec![("since", since(report, session)), ("occurrences", report.total.ended.to_string())];
    fields.extend(reasons(&report.total, REASONS_NAMED).map(|text| ("because of", text)));
    if report.total.late > 0 {
        fields.push(("late", format!("{} began over a minute late", counted(report.total.late, "run"))));
    }
    fields.extend(outages_text(&report.outages, session));
    for (index, receiver) in report.receivers.iter().enumerate() {
        let label = if index == 0 { "webhooks" } else { "" };
        fields.push((label, format!("{}: {}", printable(&receiver.receiver), receiver.webhooks)));
    }
    session.output.fields(&fields)?;
    if report.crons.is_empty() {
        return Ok(session.output.line("no cron has ended anything in this time")?);
    }
    session.output.line("")?;
    let mut rows = Rows::new(&SHAPE).with_options(options)?;
    for cron in &report.crons {
        rows.push(cells(cron, session));
    }
    session.output.table(rows)?;
    if report.crons_left_out > 0 {
        let more = counted(report.crons_left_out as u64, "more cron");
        session.output.line(&format!("and {more}: `agentcron report --all`"))?;
    }
    Ok(())
}

/// Returns when the report begins, which is not always when it was asked to.
fn since(report: &Report, session: &Session) -> String {
    let Time(since) = report.since;
    let whole = if report.is_by_day() { "counted by day in UTC" } else { "counted by hour" };
    let at = times::local_with_day(since, &session.zone);
    format!("{at} ({}), {whole}", times::relative(since, report.until.0))
}

/// Returns the most frequent reasons: `28 skipped (backend_away), 3 missed (daemon_down)`.
fn reasons(counted: &Counted, most: usize) -> Option<String> {
    let named = counted.reasons.iter().filter_map(|reason| {
        let is_told =
            |code: &Word<ReasonCode>| reason.status.0 != Status::Success && code.0 != ReasonCode::GraphError;
        let code = reason.reason_code.filter(is_told)?;
        Some(format!("{} {} ({})", reason.occurrences, reason.status.0, code.0))
    });
    let named: Vec<String> = named.take(most).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

fn outages_text(outages: &[Outage], session: &Session) -> Vec<(&'static str, String)> {
    let now = session.now();
    let lines = outages.iter().take(OUTAGES_PRINTED).map(|outage| {
        let outage = outage.outage();
        let text = match outage.until {
            Some(until) => outages::past(&outage, until, now, &session.zone),
            None => {
                let since = times::short(outage.since, now, &session.zone);
                format!("since {since}: {}", first_words(&outages::began(&outage)))
            }
        };
        printable(&text)
    });
    let mut lines: Vec<String> = lines.collect();
    if outages.len() > OUTAGES_PRINTED {
        lines.push(format!("and {} more: `agentcron outages`", outages.len() - OUTAGES_PRINTED));
    }
    let label = |index| if index == 0 { "outages" } else { "" };
    lines.into_iter().enumerate().map(|(index, line)| (label(index), line)).collect()
}

fn cells(cron: &CronReport, session: &Session) -> Vec<String> {
    let counted = &cron.counted;
    let ok = percent(counted);
    let tone = if counted.ok_percent.is_some_and(|percent| percent < 100.0) { Tone::Bad } else { Tone::Good };
    vec![
        printable(&cron.cron_name),
        session.output.paint(tone, &ok),
        number(counted.runs),
        took(counted.p50_ms),
        took(counted.p95_ms),
        trend(cron),
        number(counted.late),
        number(counted.ended(Status::Missed)),
        number(counted.ended(Status::Skipped)),
        session.output.paint(
            if cron.failures_in_a_row > 0 { Tone::Bad } else { Tone::Attention },
            &state(cron, session),
        ),
    ]
}

/// Returns a count, or nothing if it is zero: so what is unusual is seen.
pub(super) fn number(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

/// Returns `97.5 %`, or nothing if no end says whether the cron works.
pub(super) fn percent(counted: &Counted) -> String {
    counted.ok_percent.map(|percent| format!("{percent} %")).unwrap_or_default()
}

pub(super) fn took(millis: Option<u64>) -> String {
    let took = millis.and_then(|millis| SignedDuration::try_from(Duration::from_millis(millis)).ok());
    took.map(times::took).unwrap_or_default()
}

fn trend(cron: &CronReport) -> String {
    cron.trend_percent().map(|percent| format!("{percent:+} %")).unwrap_or_default()
}

/// Returns since when a cron fails, or when it recovered, and why occurrences did not run.
fn state(cron: &CronReport, session: &Session) -> String {
    let now = session.now();
    let short = |at| times::short(at, now, &session.zone);
    let fails = cron
        .failing_since
        .map(|Time(since)| format!("failing since {} ({} in a row)", short(since), cron.failures_in_a_row));
    let recovered = cron.recovered_at.map(|Time(at)| format!("well again since {}", short(at)));
    let paused = (cron.paused && !cron.removed).then(|| "paused".to_owned());
    let removed = cron.removed.then(|| "removed".to_owned());
    [removed, fails.filter(|_| !cron.removed), recovered, paused, reasons(&cron.counted, REASONS_OF_CRON)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}
