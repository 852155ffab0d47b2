//! `agentcron backfill`: runs for instants that have passed.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::ask::ask;
use super::failure::Failure;
use super::output::several;
use super::session::Session;
use super::table::Rows;
use super::times;

/// Start runs for the past instants that a cron's schedule names.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron backfill daily-digest --from 2026-03-01 --to 2026-03-08 --dry-run
  agentcron backfill daily-digest --from 7d --to 1d

Instants that were missed or fell into a pause are run; those that have run, or were skipped for
another reason, are left alone. The runs carry the trigger `backfill` and their old instant as
`scheduled_for`; unless the cron has overlap = \"allow\", they go one after the other.")]
pub(super) struct Backfill {
    /// The cron's name
    cron: String,
    /// The first instant that counts: RFC 3339, a local date or time, or how long ago
    #[arg(long, value_name = "TIME")]
    from: String,
    /// The first instant that does not count any more [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only list what would be run
    #[arg(long)]
    dry_run: bool,
    /// With more runs than this, nothing is done
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) fn backfill(backfill: &Backfill, session: &mut Session) -> Result<(), Failure> {
    let now = session.now();
    let instant = |option: &str, text: &str| {
        times::parse_past(text, &session.zone, now)
            .map_err(|message| Failure::Usage(format!("{option}: {message}")))
    };
    let from = instant("--from", &backfill.from)?;
    let to = backfill.to.as_deref().map_or(Ok(now), |text| instant("--to", text))?;
    let body = json!({
        "from": from.to_string(),
        "to": to.to_string(),
        "dry_run": backfill.dry_run,
        "limit": backfill.limit,
    });
    let answer = ask(session, &["crons", &backfill.cron, "backfill"], &body)?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let mut rows = Rows::new(&["scheduled", "run", "what"], "what", &[]).in_zone("scheduled", &session.zone);
    for line in answer["instants"].as_array().into_iter().flatten() {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let at = text("scheduled_for").parse::<Timestamp>();
        let at = at.map_or_else(|_| text("scheduled_for").to_owned(), |at| times::local(at, &session.zone));
        let what = match (text("fate"), backfill.dry_run) {
            ("run", true) => "would be run".to_owned(),
            ("run", false) => "is to be run".to_owned(),
            ("excluded", _) => "left out: an excluded day".to_owned(),
            (_, _) => format!("left as it is: {}", text("status")),
        };
        rows.push(vec![at, text("run_id").to_owned(), what]);
    }
    let runs = answer["runs"].as_u64().unwrap_or(0);
    session.output.table(rows)?;
    let words = if backfill.dry_run { "would be started; nothing was done" } else { "to be started" };
    Ok(session.output.line(&format!("{} {words}", several(runs, "run")))?)
}
