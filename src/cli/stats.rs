//! `agentcron stats CRON`: how a cron has been doing, by day.

use clap::Args;

use super::report::{number, percent, took};
use super::terminal::{Failure, Rows, Session, Shape, Shrink, Source, TableOptions, printable, unknown_cron};
use crate::api::wire::{CronStats, DayStats, Time};
use crate::domain::run::Status;
use crate::present::counted;

/// Show how a cron has been doing, by day
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. The counts of each day (in UTC) are kept for
good, also when the runs are deleted.

Examples:
  agentcron stats daily-digest
  agentcron stats daily-digest --since 1y
  agentcron stats daily-digest --json | jq '.days[] | [.day, .ok_percent, .p95_ms]'")]
pub(super) struct Stats {
    /// The cron (name or id)
    cron: String,
    /// The first day: such as 2026-03-01, or how long ago, such as 90d
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    #[command(flatten)]
    table: TableOptions,
}

const SHAPE: Shape = Shape {
    columns: &["day", "ok", "runs", "p50", "p95", "late", "success", "error", "missed", "skipped", "other"],
    usual: &[10, 6, 6, 9, 9, 5, 7, 5, 6, 7, 5],
    shrink: &[Shrink::Omit("other"), Shrink::Omit("late"), Shrink::Omit("success"), Shrink::Omit("p95")],
};

pub(super) fn stats(arguments: &Stats, session: &mut Session) -> Result<(), Failure> {
    let (since, now) = (session.past("--since", &arguments.since)?, session.now());
    let name = &arguments.cron;
    let stats = match session.source()? {
        Source::Daemon(daemon) => daemon.get(&["crons", name, "stats"], &[("since", since.to_string())])?,
        Source::Store(reader) => match CronStats::read(&reader, name, since, now)? {
            Some(stats) => stats,
            None => {
                let crons = reader.cron_heads()?;
                let names: Vec<String> = crons.into_iter().map(|cron| cron.name).collect();
                return Err(unknown_cron(name, &names));
            }
        },
    };
    if session.output.is_json() {
        return Ok(session.output.json(&stats)?);
    }
    print(&stats, &arguments.table, session)
}

fn print(stats: &CronStats, options: &TableOptions, session: &mut Session) -> Result<(), Failure> {
    let total = &stats.total;
    let first = day(stats.since);
    if stats.days.is_empty() {
        let nothing = format!("nothing of {} has ended since {first}", printable(&stats.cron_name));
        return Ok(session.output.line(&nothing)?);
    }
    let mut fields = vec![
        ("cron", printable(&stats.cron_name)),
        ("since", format!("{first}, by day in UTC")),
        ("occurrences", total.ended.to_string()),
    ];
    if let Some(percent) = total.ok_percent {
        fields.push(("worked", format!("{percent} %")));
    }
    if total.p50_ms.is_some() {
        let (p50, p95) = (took(total.p50_ms), took(total.p95_ms));
        let runs = counted(total.runs, "run");
        fields.push(("took", format!("half of {runs} at most {p50}, 95 % at most {p95} (exact to 10 %)")));
    }
    session.output.fields(&fields)?;
    session.output.line("")?;
    let mut rows = Rows::new(&SHAPE).with_options(options)?;
    stats.days.iter().for_each(|day| rows.push(cells(day)));
    Ok(session.output.table(rows)?)
}

fn day(Time(at): Time) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn cells(stats: &DayStats) -> Vec<String> {
    let counted = &stats.counted;
    let of = |status| counted.ended(status);
    let other = of(Status::Timeout) + of(Status::Interrupted) + of(Status::Cancelled);
    vec![
        day(stats.day),
        percent(counted),
        number(counted.runs),
        took(counted.p50_ms),
        took(counted.p95_ms),
        number(counted.late),
        number(of(Status::Success)),
        number(of(Status::Error)),
        number(of(Status::Missed)),
        number(of(Status::Skipped)),
        number(other),
    ]
}
