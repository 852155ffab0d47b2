//! `agentcron next`: the coming occurrences, by the same calendar that the daemon uses.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::num::NonZeroUsize;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::terminal::{
    BareTime, Failure, Rows, Session, Shape, Shrink, TextStyle, cron_named, crons_of, parse_instant,
    printable,
};
use crate::domain::calendar::{Calendar, CalendarError, LAST_YEAR};
use crate::domain::cron::Cron;
use crate::domain::cron_state::{CronState, Pause};
use crate::domain::ids::CronId;
use crate::domain::plan::Decided;
use crate::present::occurrences::{UpcomingOccurrence, of_calendar, of_cron_in_state};
use crate::present::times;
use crate::store::{Place, Reader};

/// Show the next times of one cron, of all crons, or of any schedule
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron next                           all crons, in order of time
  agentcron next daily-digest -n 10
  agentcron next --schedule '*/15 9-17 * * mon-fri' --timezone Europe/Berlin
  agentcron next --schedule '30 2 * * *' --timezone Europe/Berlin \\
    --from 2026-03-28")]
pub(super) struct Next {
    /// Only this cron (name or id)
    #[arg(value_name = "CRON", conflicts_with = "schedule")]
    cron: Option<String>,
    /// A schedule to evaluate without a configuration: minute hour day-of-month month day-of-week [second [year]]
    #[arg(long, value_name = "EXPR")]
    schedule: Option<String>,
    /// Time zone of --schedule, by its IANA name
    #[arg(long, value_name = "TZ", requires = "schedule", default_value = "UTC")]
    timezone: String,
    /// Show times after this instant, such as 2026-03-28, tomorrow or 07:00 (the next one): a local time in the zone asked about,
    /// that of --timezone, of CRON, or your own if all crons are shown [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Number of occurrences to show
    #[arg(short, long, value_name = "N", default_value = "5")]
    number: NonZeroUsize,
}

const OF_CRONS: Shape = Shape {
    columns: &["cron", "time", "due", "note"],
    usual: &[16, 43, 10, 40],
    shrink: &[Shrink::Below("note")],
};
const OF_SCHEDULE: Shape =
    Shape { columns: &["time", "due", "note"], usual: &[43, 10, 40], shrink: &[Shrink::Below("note")] };

/// One row of the listing.
struct Upcoming<'a> {
    /// `None` for a schedule that was typed.
    cron_name: Option<&'a str>,
    zone: &'a TimeZone,
    occurrence: UpcomingOccurrence,
}

pub(super) fn next(next: &Next, session: &mut Session) -> Result<(), Failure> {
    let now = session.now();
    let from = |zone: &TimeZone| match &next.from {
        Some(text) => parse_instant(text, zone, now, BareTime::Coming)
            .map_err(|message| Failure::Usage(format!("--from: {message}"))),
        None => Ok(now),
    };
    let number = next.number.get();
    if let Some(expression) = &next.schedule {
        let calendar = Calendar::parse(expression, &next.timezone, "").map_err(|error| unreadable(&error))?;
        return print_schedule(&calendar, from(calendar.zone())?, number, session);
    }
    let (crons, known) = configured(session)?;
    let (crons, from) = match &next.cron {
        None => (crons, from(&session.zone)?),
        Some(name) => {
            let cron = cron_named(name, crons)?;
            let from = from(cron.calendar.zone())?;
            (vec![cron], from)
        }
    };
    print(&soonest(&crons, &known, (from, now), number), number, session)
}

fn print_schedule(
    calendar: &Calendar,
    from: Timestamp,
    number: usize,
    session: &mut Session,
) -> Result<(), Failure> {
    let upcoming: Vec<_> = of_calendar(calendar, from)
        .take(number)
        .map(|occurrence| Upcoming { cron_name: None, zone: calendar.zone(), occurrence })
        .collect();
    if !session.output.is_json() {
        let sentence = format!("{} ({})", calendar.describe(), calendar.timezone());
        let sentence = session.output.paint(TextStyle::Bold, &sentence);
        session.output.line(&sentence)?;
    }
    print(&upcoming, number, session)
}

/// What the store knows of the coming occurrences.
#[derive(Default)]
struct Known {
    /// Which instants are decided although they are still to come.
    decided: Decided,
    states: HashMap<CronId, CronState>,
    pauses_of_all: Vec<Pause>,
}

/// Returns the crons, and what is known of their occurrences.
fn configured(session: &mut Session) -> Result<(Vec<Cron>, Known), Failure> {
    let path = session.config_path.clone();
    let config = session.view_config(&path)?;
    let place = Place::of(&config.store.location);
    let opened = place.and_then(|place| Ok((Reader::connect(&place)?, place)));
    let known = match opened {
        Ok((store, place)) => {
            session.warn_if_stopped(&place)?;
            let states = store.cron_heads()?.into_iter().map(|cron| (cron.cron_id, cron.state));
            Known {
                decided: store.decided(session.now())?,
                states: states.collect(),
                pauses_of_all: store.pauses_of_all()?,
            }
        }
        Err(unreadable) => {
            if !config.store.location.is_missing() {
                let unknown = "pauses, and crons made through the API, are not known here";
                session.output.warn(&format!("{unreadable}; {unknown}"))?;
            }
            Known::default()
        }
    };
    Ok((crons_of(&config.crons, &config.store.location)?, known))
}

/// Returns the first `number` occurrences of all crons together, in order of time.
fn soonest<'a>(
    crons: &'a [Cron],
    known: &Known,
    (from, now): (Timestamp, Timestamp),
    number: usize,
) -> Vec<Upcoming<'a>> {
    let usual = CronState::default();
    let stream = |cron: &'a Cron| {
        let state = known.states.get(&cron.cron_id).unwrap_or(&usual);
        let held_up = (state, known.pauses_of_all.as_slice());
        (cron, of_cron_in_state(cron, &known.decided, held_up, from, now).peekable())
    };
    let mut streams: Vec<_> = crons.iter().map(stream).collect();
    let mut heap = BinaryHeap::new();
    for (index, (_, stream)) in streams.iter_mut().enumerate() {
        heap.extend(stream.peek().map(|occurrence| Reverse((occurrence.at, index))));
    }
    let mut upcoming = Vec::new();
    while upcoming.len() < number
        && let Some(Reverse((_, index))) = heap.pop()
    {
        let Some((cron, stream)) = streams.get_mut(index) else { break };
        let Some(occurrence) = stream.next() else { continue };
        upcoming.push(Upcoming { cron_name: Some(&cron.name), zone: cron.calendar.zone(), occurrence });
        heap.extend(stream.peek().map(|occurrence| Reverse((occurrence.at, index))));
    }
    upcoming
}

fn print(upcoming: &[Upcoming<'_>], number: usize, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        for Upcoming { cron_name, zone, occurrence: UpcomingOccurrence { at, note, will_fire } } in upcoming {
            let mut object = json!({
                "at": at.to_string(),
                "local": times::rfc3339(*at, zone),
                "note": note,
            });
            if let Some(name) = cron_name {
                object["cron_name"] = json!(name);
                object["will_fire"] = json!(will_fire);
            }
            session.output.json(&object)?;
        }
        return Ok(());
    }
    if upcoming.is_empty() {
        session.output.line(&format!("nothing scheduled before {}, where calendars end", LAST_YEAR + 1))?;
        return Ok(());
    }
    let now = session.now();
    let of_crons = upcoming.iter().any(|upcoming| upcoming.cron_name.is_some());
    let mut rows = Rows::new(if of_crons { &OF_CRONS } else { &OF_SCHEDULE });
    for Upcoming { cron_name, zone, occurrence: UpcomingOccurrence { at, note, .. } } in upcoming {
        let mut cells: Vec<String> = cron_name.iter().map(|name| printable(name)).collect();
        cells.push(times::local_to_both(*at, &session.zone, zone));
        cells.push(times::relative(*at, now));
        cells.push(note.clone().unwrap_or_default());
        rows.push(cells);
    }
    session.output.table(rows)?;
    if upcoming.len() < number {
        session.output.line(&format!("nothing more before {}, where calendars end", LAST_YEAR + 1))?;
    }
    Ok(())
}

/// Names the option that is wrong, and marks the place in a wrong expression.
fn unreadable(error: &CalendarError) -> Failure {
    Failure::Usage(match error {
        CalendarError::Expression(fault) => format!("--schedule: {fault}\n{}", fault.caret()),
        CalendarError::UnknownTimezone { .. } => format!("--timezone: {error}"),
        CalendarError::NeverMatches => format!("--schedule: {error}"),
    })
}
