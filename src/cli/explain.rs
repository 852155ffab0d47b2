//! `agentcron explain`: why a cron did, did not, or will not fire at an instant.

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::terminal::{Failure, Session, Source, in_short, parse_occurrence, printable, unknown_cron};
use crate::api::wire::{Explanation, Time, Word};
use crate::domain::calendar::zone_named;
use crate::present::{Tone, times};
use crate::store::{DaemonState, daemon_state};

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
    let (source, store) = (session.source()?, session.place());
    let (own, now) = (session.zone.clone(), session.now());
    let explained = |at: Option<Timestamp>| match &source {
        Source::Daemon(daemon) => {
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            let zone = own.iana_name().unwrap_or_default().to_owned();
            daemon.get(&["crons", &explain.cron, "explain"], &[("at", at), ("timezone", zone)])
        }
        Source::Store(reader) => {
            let daemon = store.as_ref().map(|store| daemon_state(store, now));
            let daemon = daemon.unwrap_or_else(|failure| DaemonState::Unknown(failure.to_string()));
            match Explanation::read(reader, &daemon, (&explain.cron, at), &own, now)? {
                Some(explanation) => explanation.map_err(Failure::Failed),
                None => {
                    let known: Vec<String> = reader.cron_heads()?.into_iter().map(|cron| cron.name).collect();
                    Err(unknown_cron(&explain.cron, &known))
                }
            }
        }
    };
    let zone_of = |explanation: &Explanation| {
        zone_named(&explanation.timezone).map_err(|error| Failure::Failed(error.to_string()))
    };
    let explanation = match &explain.at {
        None => explained(None)?,
        // What was typed is in the time zone of the cron.
        Some(text) => {
            let zone = zone_of(&explained(Some(now))?)?;
            let at = parse_occurrence(text, &zone, now);
            explained(Some(at.map_err(|message| Failure::Usage(format!("--at: {message}")))?))?
        }
    };
    match session.output.is_json() {
        true => Ok(session.output.json(&explanation)?),
        false => print(&explanation, &zone_of(&explanation)?, session),
    }
}

fn print(explanation: &Explanation, zone: &TimeZone, session: &mut Session) -> Result<(), Failure> {
    let own = session.zone.clone();
    let local = |Time(at): Time| times::local_to_both(at, &own, zone);
    let or_none = |at: Option<Time>| at.map_or("none".to_owned(), local);
    let output = &mut session.output;
    let Word(verdict) = explanation.verdict;
    let painted = output.paint(verdict.tone(), verdict.as_str());
    output.line(&format!("{} at {}: {painted}", printable(&explanation.cron_name), local(explanation.at)))?;
    output.line(&format!("  {}", printable(&explanation.detail)))?;
    if explanation.runs.len() > 1 {
        explanation.runs.iter().try_for_each(|run| output.line(&format!("  {}", in_short(run))))?;
    }
    output.line(&format!("  instant before: {}", or_none(explanation.before)))?;
    output.line(&format!("  instant after:  {}", or_none(explanation.after)))?;
    if let Some(Time(removed_at)) = explanation.removed_at {
        let text = format!("the cron was removed at {}", times::local_with_day(removed_at, &own));
        output.line(&format!("  {}", output.paint(Tone::Attention, &text)))?;
    }
    Ok(())
}
