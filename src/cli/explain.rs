//! `agentcron explain`: why a cron did, did not, or will not fire at an instant.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::terminal::{Failure, Session, parse_occurrence, printable, unknown_cron};
use crate::api::wire;
use crate::domain::run::Status;
use crate::present::explain::{self, InstantFacts};
use crate::present::{Tone, runs, times};
use crate::store::{Reader, RunRow, daemon_state};

/// Explain why a cron did, did not, or will not fire at an instant
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron explain daily-digest                      its last instant
  agentcron explain daily-digest --at 'yesterday 9am'
  agentcron explain daily-digest --at '2026-03-29 02:30'
  agentcron explain daily-digest --at 2026-03-29T00:30Z --json | jq -r .verdict")]
pub(super) struct Explain {
    /// Name of the cron
    cron: String,
    /// The instant: RFC 3339, or a local time in the cron's time zone, such as 09:00 or 'yesterday 9am' [default: the last
    /// instant of its schedule]. A local time that a clock change skips means the end of the gap, where skipped
    /// occurrences fire
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

pub(super) fn explain(explain: &Explain, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_path()?;
    let reader = Reader::open(&store)?;
    let Some(record) = reader.cron_record(&explain.cron)? else {
        let known: Vec<String> = reader.crons_without_runs()?.into_iter().map(|cron| cron.name).collect();
        return Err(unknown_cron(&explain.cron, &known));
    };
    let cron = record.cron.clone().map_err(Failure::Failed)?;
    let (zone, now) = (cron.calendar.zone().clone(), session.now());
    let at = match &explain.at {
        Some(text) => parse_occurrence(text, &zone, now)
            .map_err(|message| Failure::Usage(format!("--at: {message}")))?,
        None => explain::instant_before(&cron, now).ok_or_else(|| {
            Failure::Failed(format!("{} has not had any instant yet; give one with --at", record.name))
        })?,
    };
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
    let explanation =
        explain::explain(&InstantFacts { record: &record, cron: &then, found, at, now, daemon: &daemon });
    let (before, after) = (explain::instant_before(&cron, at), explain::instant_after(&cron, at));
    if session.output.is_json() {
        session.output.json(&json!({
            "cron_name": record.name,
            "at": at.to_string(),
            "local": times::rfc3339(at, &zone),
            "verdict": explanation.verdict().as_str(),
            "detail": explanation.message(&session.zone),
            "before": before.map(|at| at.to_string()),
            "after": after.map(|at| at.to_string()),
            "run": explanation.run().map(wire::Run::of),
            "runs": explanation.run().map_or(Vec::new(), |_| records.iter().map(wire::Run::of).collect()),
        }))?;
        return Ok(());
    }
    let own = session.zone.clone();
    let local = |at: Timestamp| times::local_to_both(at, &own, &zone);
    let or_none = |at: Option<Timestamp>| at.map_or("none".to_owned(), local);
    let output = &mut session.output;
    let verdict = output.paint(explanation.verdict().tone(), explanation.verdict().as_str());
    output.line(&format!("{} at {}: {verdict}", printable(&record.name), local(at)))?;
    output.line(&format!("  {}", printable(&explanation.message(&own))))?;
    if explanation.run().is_some() && records.len() > 1 {
        for row in &records {
            output.line(&format!("  {}", printable(&runs::in_short(row))))?;
        }
    }
    output.line(&format!("  instant before: {}", or_none(before)))?;
    output.line(&format!("  instant after:  {}", or_none(after)))?;
    if let Some(removed_at) = record.removed_at {
        let text = format!("the cron was removed at {}", times::local_with_day(removed_at, &own));
        output.line(&format!("  {}", output.paint(Tone::Attention, &text)))?;
    }
    Ok(())
}
