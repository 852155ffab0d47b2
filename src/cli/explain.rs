//! `agentcron explain`: why a cron did, did not, or will not fire at an instant.

mod verdict;

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::failure::Failure;
use super::next::unknown_cron;
use super::output::Style;
use super::run_line::time;
use super::session::Session;
use super::times;
use crate::api::wire;
use crate::domain::cron::Cron;
use crate::store::{DaemonState, Reader, daemon_state};

use verdict::{Facts, Verdict};

/// Why a cron did, did not, or will not fire at an instant. Works while the daemon is down.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron explain daily-digest --at '2026-03-29 02:30'
  agentcron explain daily-digest --at 2026-03-29T00:30:00Z --json | jq -r .verdict

Works while the daemon is down.")]
pub(super) struct Explain {
    /// The cron's name
    cron: String,
    /// The instant: RFC 3339, or a local date and time in the cron's time zone; one that a clock change skips stands for
    /// the end of the gap, where what was due in it fires
    #[arg(long, value_name = "TIME")]
    at: String,
}

pub(super) fn explain(explain: &Explain, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_path()?;
    let reader = Reader::open(&store)?;
    let Some(record) = reader.cron_record(&explain.cron)? else {
        let known: Vec<String> = reader.crons()?.into_iter().map(|cron| cron.name).collect();
        return Err(unknown_cron(&explain.cron, &known));
    };
    let cron = record.cron.clone().map_err(Failure::Failed)?;
    let zone = cron.calendar.zone().clone();
    let at = times::parse_occurrence(&explain.at, &zone)
        .map_err(|message| Failure::Usage(format!("--at: {message}")))?;
    let found = reader.record_at(record.cron_id, at)?;
    // What was planned by an older definition is explained by that.
    let then = match found.as_ref().and_then(|row| row.run.cron.as_ref()) {
        Some(version) => reader.definition(version.definition_id, &record.name)?,
        None => None,
    };
    let then = then.unwrap_or_else(|| cron.clone());
    let is_running = matches!(daemon_state(&store), DaemonState::Running { .. });
    let facts =
        Facts { record: &record, cron: &then, found: found.as_ref(), at, now: session.now(), is_running };
    let verdict = verdict::judge(&facts);
    let (before, after) = (instant_before(&cron, at), instant_after(&cron, at));
    if session.output.is_json() {
        session.output.json(&json!({
            "cron_name": record.name,
            "at": time(Some(at)),
            "local": times::rfc3339(at, &zone),
            "verdict": verdict.word(),
            "detail": verdict.words(&zone),
            "before": time(before),
            "after": time(after),
            "run": found.as_ref().filter(|_| verdict.is_on_record()).map(wire::Run::of),
        }))?;
        return Ok(());
    }
    print(&record.name, at, &verdict, (before, after), &zone, session)
}

fn print(
    name: &str,
    at: Timestamp,
    verdict: &Verdict<'_>,
    (before, after): (Option<Timestamp>, Option<Timestamp>),
    zone: &TimeZone,
    session: &mut Session,
) -> Result<(), Failure> {
    let style = match verdict.word() {
        "fired" | "will-fire" => Style::Good,
        "missed" => Style::Bad,
        _ => Style::Odd,
    };
    let word = session.output.paint(style, verdict.word());
    session.output.line(&format!("{name} at {}: {word}", times::local_with_day(at, zone)))?;
    session.output.line(&format!("  {}", verdict.words(zone)))?;
    let words = |at: Option<Timestamp>| at.map_or("none".to_owned(), |at| times::local_with_day(at, zone));
    session.output.line(&format!("  instant before: {}", words(before)))?;
    session.output.line(&format!("  instant after:  {}", words(after)))?;
    Ok(())
}

fn instant_after(cron: &Cron, at: Timestamp) -> Option<Timestamp> {
    cron.calendar.next_after(at).map(|occasion| occasion.at)
}

/// Calendars only go forward: from ever longer ago, until there is an instant before this one.
fn instant_before(cron: &Cron, at: Timestamp) -> Option<Timestamp> {
    let mut ago = SignedDuration::from_mins(2);
    let most = SignedDuration::from_hours(24 * 366 * 30);
    while ago < most {
        let mut last = None;
        let mut next = instant_after(cron, at.saturating_sub(ago).unwrap_or(Timestamp::MIN));
        while let Some(found) = next.filter(|found| *found < at) {
            last = Some(found);
            next = instant_after(cron, found);
        }
        if last.is_some() {
            return last;
        }
        ago = ago.saturating_mul(4);
    }
    None
}
