//! `agentcron prune`: deletes now what is kept no longer, or says what that is.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::terminal::{Failure, Rows, Session, Shape, ask, ask_again, printable};
use crate::api::wire::Pruning;
use crate::present::counted;
use crate::store::ExpiredOfCron;

/// Between two looks at how far the daemon is.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// Delete now what is kept no longer, or list what that is
#[derive(Args, Debug)]
#[command(after_help = "\
The daemon does this by itself every ten minutes: [store] and each cron say how
long history is kept. This command has it begin at once, and waits until it is
done. With --dry-run nothing is deleted, and no daemon needs to run.

Examples:
  agentcron prune --dry-run    what is to go, by cron, and because of which key
  agentcron prune")]
pub(super) struct Prune {
    /// Only list what would be deleted
    #[arg(long)]
    dry_run: bool,
}

const SHAPE: Shape = Shape {
    columns: &["cron", "because", "runs", "webhooks", "values", "bytes"],
    usual: &[24, 13, 9, 9, 9, 12],
    shrink: &[],
};

pub(super) fn prune(prune: &Prune, session: &mut Session) -> Result<(), Failure> {
    if prune.dry_run { list(session) } else { act(session) }
}

fn list(session: &mut Session) -> Result<(), Failure> {
    let rules = session.view_config(&session.config_path.clone())?.store.retention;
    let found = session.open_store()?.expired(rules, session.now())?;
    if session.output.is_json() {
        return Ok(found.iter().try_for_each(|of_cron| session.output.json(&in_json(of_cron)))?);
    }
    if found.is_empty() {
        return Ok(session.output.line("nothing is to be deleted")?);
    }
    let mut rows = Rows::new(&SHAPE);
    for of_cron in &found {
        let ExpiredOfCron { cron_name, key, deleted, bytes } = of_cron;
        let name = cron_name.as_deref().map_or_else(|| "(clients)".to_owned(), printable);
        let counts =
            [deleted.runs, deleted.deliveries, deleted.values, *bytes].map(|count| count.to_string());
        rows.push([name, (*key).to_owned()].into_iter().chain(counts).collect());
    }
    session.output.table(rows)?;
    let runs = counted(found.iter().map(|of_cron| of_cron.deleted.runs).sum(), "run");
    Ok(session.output.line(&format!("{runs} would be deleted; nothing was done"))?)
}

fn in_json(of_cron: &ExpiredOfCron) -> serde_json::Value {
    let ExpiredOfCron { cron_name, key, deleted, bytes } = of_cron;
    json!({
        "cron_name": cron_name, "because": key, "runs": deleted.runs, "deliveries": deleted.deliveries,
        "values": deleted.values, "bytes": bytes,
    })
}

fn act(session: &mut Session) -> Result<(), Failure> {
    let begun = Pruning::deserialize(ask(session, &["prune"], &json!({}))?);
    let pass = begun.map_err(|error| Failure::Failed(error.to_string()))?.pass;
    let done = loop {
        let state: Pruning = ask_again(session, &["prune"])?;
        if state.ended_pass >= pass {
            break state;
        }
        session.output.progress(&format!("{} deleted", counted(state.runs, "run")))?;
        std::thread::sleep(LOOKS_EVERY);
    };
    session.output.progress("")?;
    if session.output.is_json() {
        return Ok(session.output.json(&done)?);
    }
    if done.clock_doubted_seconds > 0 {
        let left = humantime::format_duration(Duration::from_secs(done.clock_doubted_seconds));
        return Err(Failure::Failed(format!(
            "nothing was deleted: the clock went far forward, and the daemon believes it once it has run for {left} more"
        )));
    }
    let parts = [
        counted(done.runs, "run"),
        counted(done.deliveries, "webhook"),
        format!("values of {}", counted(done.values, "run")),
    ];
    Ok(session.output.line(&format!("deleted: {}", parts.join(", ")))?)
}
