//! `agentcron explain`: why a cron did, did not, or will not fire at an instant.

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::terminal::{Failure, Session, json_time, parse_occurrence, printable, unknown_cron};
use crate::api::wire;
use crate::domain::run::Status;
use crate::present::explain::{self, Explanation, InstantFacts};
use crate::present::{runs, times};
use crate::store::{Reader, RunRow, daemon_state};

/// Explain why a cron did, did not, or will not fire at an instant
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron explain daily-digest --at '2026-03-29 02:30'
  agentcron explain daily-digest --at 2026-03-29T00:30Z --json | jq -r .verdict")]
pub(super) struct Explain {
    /// Name of the cron
    cron: String,
    /// The instant: RFC 3339, or a local date and time in the cron's time zone. A local time that a clock change skips
    /// means the end of the gap, where skipped occurrences fire
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
    let at =
        parse_occurrence(&explain.at, &zone).map_err(|message| Failure::Usage(format!("--at: {message}")))?;
    let records = reader.records_at(record.cron_id, at)?;
    // What became of an occurrence is what became of the last of its runs that took place.
    let took_place = |row: &&RunRow| !matches!(row.status(), Some(Status::Skipped | Status::Missed));
    let found = records.iter().rev().find(took_place).or(records.last());
    // What an older definition planned is explained by that definition.
    let then = match found.and_then(|row| row.run.cron.as_ref()) {
        Some(version) => reader.definition(version.definition_id, &record.name)?,
        None => None,
    };
    let then = then.unwrap_or_else(|| cron.clone());
    let daemon = daemon_state(&store);
    let explanation = explain::explain(&InstantFacts {
        record: &record,
        cron: &then,
        found,
        at,
        now: session.now(),
        daemon: &daemon,
    });
    let (before, after) = (explain::instant_before(&cron, at), explain::instant_after(&cron, at));
    if session.output.is_json() {
        session.output.json(&json!({
            "cron_name": record.name,
            "at": json_time(Some(at)),
            "local": times::rfc3339(at, &zone),
            "verdict": explanation.verdict().as_str(),
            "detail": explanation.message(&zone),
            "before": json_time(before),
            "after": json_time(after),
            "run": explanation.run().map(wire::Run::of),
            "runs": explanation.run().map_or(Vec::new(), |_| records.iter().map(wire::Run::of).collect()),
        }))?;
        return Ok(());
    }
    print_explanation(&record.name, at, &explanation, &zone, session)?;
    if explanation.run().is_some() && records.len() > 1 {
        for row in &records {
            session.output.line(&format!("  {}", printable(&runs::in_short(row))))?;
        }
    }
    let local = |at: Option<Timestamp>| at.map_or("none".to_owned(), |at| times::local_with_day(at, &zone));
    session.output.line(&format!("  instant before: {}", local(before)))?;
    session.output.line(&format!("  instant after:  {}", local(after)))?;
    Ok(())
}

fn print_explanation(
    name: &str,
    at: Timestamp,
    explanation: &Explanation<'_>,
    zone: &TimeZone,
    session: &mut Session,
) -> Result<(), Failure> {
    let verdict = explanation.verdict();
    let word = session.output.paint(verdict.tone(), verdict.as_str());
    session.output.line(&format!("{} at {}: {word}", printable(name), times::local_with_day(at, zone)))?;
    Ok(session.output.line(&format!("  {}", printable(&explanation.message(zone))))?)
}
