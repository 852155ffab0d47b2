//! `agentcron next`: what is to come, by the very calendar that the daemon fires by.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::failure::Failure;
use super::occurrences::{UpcomingInstant, of_calendar, of_cron};
use super::output::Style;
use super::session::Session;
use super::table::Rows;
use super::times;
use crate::config::{CronDefinition, nearest};
use crate::domain::calendar::{Calendar, CalendarError};
use crate::domain::cron::{Cron, CronSource};
use crate::store::Reader;

/// Show the next times of a cron, of all crons together, or of any schedule.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron next                                          of all crons, in the order of time
  agentcron next daily-digest -n 10
  agentcron next --schedule '*/15 9-17 * * mon-fri' --timezone Europe/Berlin
  agentcron next --schedule '30 2 * * *' --timezone Europe/Berlin --from 2026-03-28")]
pub(super) struct Next {
    /// Only of this cron
    #[arg(value_name = "CRON", conflicts_with = "schedule")]
    cron: Option<String>,
    /// Of this expression: minute hour day-of-month month day-of-week [second [year]]; needs no configuration
    #[arg(long, value_name = "EXPR")]
    schedule: Option<String>,
    /// Time zone of --schedule, by its IANA name
    #[arg(long, value_name = "TZ", requires = "schedule", default_value = "UTC")]
    timezone: String,
    /// After this instant (RFC 3339, or local date and time) instead of now
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// How many
    #[arg(short, long, value_name = "N", default_value = "5")]
    number: NonZeroUsize,
}

/// One line of the answer.
struct Line<'a> {
    cron_name: Option<&'a str>,
    zone: &'a TimeZone,
    upcoming: UpcomingInstant,
}

pub(super) fn next(next: &Next, session: &mut Session) -> Result<(), Failure> {
    let from = match &next.from {
        Some(text) => times::parse_instant(text, &session.zone)
            .map_err(|message| Failure::Usage(format!("--from: {message}")))?,
        None => session.now(),
    };
    let number = next.number.get();
    if let Some(expression) = &next.schedule {
        let calendar = Calendar::parse(expression, &next.timezone, "").map_err(|error| unreadable(&error))?;
        let lines = of_calendar(&calendar, from).take(number);
        let lines: Vec<_> =
            lines.map(|upcoming| Line { cron_name: None, zone: calendar.zone(), upcoming }).collect();
        if !session.output.is_json() {
            let sentence = format!("{} ({})", calendar.describe(), calendar.timezone());
            let sentence = session.output.paint(Style::Bold, &sentence);
            session.output.line(&sentence)?;
        }
        return print(&lines, session);
    }
    let crons = configured(session)?;
    let crons = match &next.cron {
        None => crons,
        Some(name) => vec![named(name, crons)?],
    };
    print(&soonest(&crons, from, number), session)
}

fn configured(session: &mut Session) -> Result<Vec<Cron>, Failure> {
    let path = session.config_path.clone();
    let config = session.load_config(&path)?;
    crons_of(config.crons, &config.store.path)
}

/// The crons of the configuration, and those that were made through the API, if there is a database yet.
pub(super) fn crons_of(definitions: Vec<CronDefinition>, store: &Path) -> Result<Vec<Cron>, Failure> {
    let mut crons: Vec<Cron> = definitions.into_iter().map(|definition| definition.cron).collect();
    if let Ok(store) = Reader::open(store) {
        let of_clients = store.crons()?.into_iter().filter(|row| row.source == CronSource::Api);
        crons.extend(of_clients.filter_map(|row| row.cron.ok()));
    }
    Ok(crons)
}

/// The one of this name or id.
pub(super) fn named(name: &str, crons: Vec<Cron>) -> Result<Cron, Failure> {
    let names: Vec<String> = crons.iter().map(|cron| cron.name.clone()).collect();
    let by_name = crons.iter().position(|cron| cron.name == name);
    let by_id = || crons.iter().position(|cron| cron.cron_id.to_string() == name);
    let found = by_name.or_else(by_id);
    found.and_then(|index| crons.into_iter().nth(index)).ok_or_else(|| unknown_cron(name, &names))
}

/// There is no such cron; maybe this one was meant.
pub(super) fn unknown_cron(name: &str, known: &[String]) -> Failure {
    let meant = nearest(name, known.iter().map(String::as_str));
    Failure::Usage(match meant {
        Some(meant) => format!("there is no cron `{name}`; did you mean `{meant}`?"),
        None if known.is_empty() => format!("there is no cron `{name}`, nor any other"),
        None => format!("there is no cron `{name}`; `agentcron list` shows all"),
    })
}

/// The first `number` occurrences of all crons together, in the order of time.
fn soonest(crons: &[Cron], from: Timestamp, number: usize) -> Vec<Line<'_>> {
    let mut streams: Vec<_> = crons.iter().map(|cron| (cron, of_cron(cron, from))).collect();
    let mut heap = BinaryHeap::new();
    for (index, (_, stream)) in streams.iter_mut().enumerate() {
        heap.extend(stream.next().map(|upcoming| Reverse((upcoming.at, index, upcoming.note))));
    }
    let mut lines = Vec::new();
    while lines.len() < number
        && let Some(Reverse((at, index, note))) = heap.pop()
    {
        let Some((cron, stream)) = streams.get_mut(index) else { break };
        lines.push(Line {
            cron_name: Some(&cron.name),
            zone: cron.calendar.zone(),
            upcoming: UpcomingInstant { at, note },
        });
        heap.extend(stream.next().map(|upcoming| Reverse((upcoming.at, index, upcoming.note))));
    }
    lines
}

fn print(lines: &[Line<'_>], session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        for Line { cron_name, zone, upcoming: UpcomingInstant { at, note } } in lines {
            let mut object = json!({
                "at": at.to_string(),
                "local": times::rfc3339(*at, zone),
                "note": note,
            });
            if let Some(name) = cron_name {
                object["cron_name"] = json!(name);
            }
            session.output.json(&object)?;
        }
        return Ok(());
    }
    if lines.is_empty() {
        session.output.line("nothing is to come")?;
        return Ok(());
    }
    let now = session.now();
    let of_crons = lines.iter().any(|line| line.cron_name.is_some());
    let header: &[&str] = if of_crons { &["cron", "time", "", "note"] } else { &["time", "", "note"] };
    let mut rows = Rows::new(header, "note", &[]);
    for Line { cron_name, zone, upcoming: UpcomingInstant { at, note } } in lines {
        let mut cells: Vec<String> = cron_name.iter().map(ToString::to_string).collect();
        cells.push(times::local_with_day(*at, zone));
        cells.push(times::relative(*at, now));
        cells.push(note.clone().unwrap_or_default());
        rows.push(cells);
    }
    session.output.table(rows)?;
    Ok(())
}

/// With the place in the expression, if it is the expression that is wrong.
fn unreadable(error: &CalendarError) -> Failure {
    Failure::Usage(match error {
        CalendarError::Expression(fault) => {
            let caret = fault.caret().replace('\n', "\n  ");
            format!("--schedule: {fault}\n  {caret}")
        }
        CalendarError::UnknownTimezone { .. } => format!("--timezone: {error}"),
        CalendarError::NeverMatches => format!("--schedule: {error}"),
    })
}
