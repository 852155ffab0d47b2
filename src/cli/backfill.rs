//! `agentcron backfill`: starts runs for past instants.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::terminal::{Failure, Rows, Session, Shape, ask};
use crate::present::{counted, times};

const SHAPE: Shape = Shape { columns: &["scheduled", "run", "what"], usual: &[19, 36, 20], shrink: &[] };

/// Start runs for past instants of a cron's schedule
#[derive(Args, Debug)]
#[command(after_help = "\
Instants that were missed, or skipped by a pause or an edit, are run. Those that
have run already, or were skipped for another reason, are left as they are.

The runs have the trigger `backfill` and the past instant as `scheduled_for`.
They run one after the other, unless the cron has overlap = \"allow\". Instants
before the daemon first knew the cron are left out, and those whose records are
deleted, since they may have run. --before-beginning runs them all the same.

Examples:
  agentcron backfill daily-digest --from 2026-03-01 --to 2026-03-08 --dry-run
  agentcron backfill daily-digest --from 7d --to 1d")]
pub(super) struct Backfill {
    /// Name of the cron
    cron: String,
    /// Start of the range (inclusive): RFC 3339, a local date or time, or how long ago, such as 7d [default: when the
    /// daemon first knew the cron]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Let --from be before the daemon first knew the cron, or where its records are deleted
    #[arg(long, requires = "from")]
    before_beginning: bool,
    /// End of the range (exclusive) [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only list what would run
    #[arg(long)]
    dry_run: bool,
    /// Refuse to start more runs than this
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

pub(super) fn backfill(backfill: &Backfill, session: &mut Session) -> Result<(), Failure> {
    let from = backfill.from.as_deref().map(|text| session.past("--from", text)).transpose()?;
    let to = backfill.to.as_deref().map_or(Ok(session.now()), |text| session.past("--to", text))?;
    let body = json!({
        "from": from.map(|from| from.to_string()),
        "before_beginning": backfill.before_beginning,
        "to": to.to_string(),
        "dry_run": backfill.dry_run,
        "limit": backfill.limit,
    });
    let answer = ask(session, &["crons", &backfill.cron, "backfill"], &body)?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    let will_run = if backfill.dry_run { "would run" } else { "will run" };
    print_instants(&answer, will_run, session)?;
    if let (Some(asked), Ok(begins)) =
        (from, answer["from"].as_str().unwrap_or_default().parse::<Timestamp>())
        && asked < begins
    {
        let (cron, begins) = (&backfill.cron, times::local(begins, &session.zone));
        let why = format!("the daemon did not know {cron} yet, or has deleted its records");
        session.output.line(&format!(
            "instants before {begins} are left out: {why}; --before-beginning runs them too"
        ))?;
    }
    let runs = counted(answer["runs"].as_u64().unwrap_or(0), "run");
    let outcome = if backfill.dry_run { "would be started; nothing was done" } else { "will be started" };
    Ok(session.output.line(&format!("{runs} {outcome}"))?)
}

fn print_instants(answer: &Value, will_run: &str, session: &mut Session) -> Result<(), Failure> {
    let mut rows = Rows::new(&SHAPE).in_zone("scheduled", &session.zone);
    for instant in answer["instants"].as_array().into_iter().flatten() {
        let text = |key: &str| instant[key].as_str().unwrap_or_default();
        let at = text("scheduled_for").parse::<Timestamp>();
        let at = at.map_or_else(|_| text("scheduled_for").to_owned(), |at| times::local(at, &session.zone));
        let what = match text("fate") {
            "run" => will_run.to_owned(),
            "excluded" => "left out: excluded day".to_owned(),
            _ => format!("unchanged: {}", text("status")),
        };
        rows.push(vec![at, text("run_id").to_owned(), what]);
    }
    Ok(session.output.table(rows)?)
}
