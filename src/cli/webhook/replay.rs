//! `agentcron webhook replay`: sends webhooks again, unchanged.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::terminal::{Failure, Rows, Session, Shape, Shrink, ask, printable};
use crate::domain::bounds::REPLAY_DEFAULT;
use crate::domain::run::called;
use crate::present::{counted, times};

const SHAPE: Shape = Shape {
    columns: &["webhook", "recorded", "cron", "was", "to", "reason"],
    usual: &[8, 19, 16, 10, 32, 32],
    shrink: &[Shrink::Below("reason"), Shrink::Below("to")],
};

/// Send webhooks again
#[derive(Args, Debug)]
#[command(after_help = "\
The same webhook-id and bytes are sent at once, and retried from the start of
the retry schedule. Without --status, every selected webhook that ended
undelivered is sent; webhooks that are named by their ids are sent whatever
their status. Deliveries to a suspended URL are resumed.

Examples:
  agentcron webhook replay 5f1c2ab9
  agentcron webhook replay --status failed --since 2d --dry-run
  agentcron webhook replay --status suppressed          after disable_webhooks
  agentcron webhook replay --cron daily-digest --status delivered --since 1h
  agentcron webhook replay --status pending --url ops.example.com    retry now")]
pub(super) struct Replay {
    /// Webhooks by their ids, their runs' ids, or the first characters of either (at least 4)
    #[arg(value_name = "ID", conflicts_with_all = ["status", "since", "until", "cron", "run", "url"])]
    ids: Vec<String>,
    /// Only webhooks with one of these statuses, separated by commas: failed, gone, aborted, blocked, suppressed,
    /// delivered, pending
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only webhooks recorded at or after this time: RFC 3339, a local date or time, or how long ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only webhooks recorded before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only webhooks of this cron
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
    /// Only webhooks of this run (its id, or its first characters)
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only webhooks whose URL contains this text; the query is not searched
    #[arg(long, value_name = "TEXT")]
    url: Option<String>,
    /// Send at most this many (up to 10000), the oldest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = REPLAY_DEFAULT)]
    limit: u32,
    /// Only count them and list the first ones
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn replay(replay: &Replay, session: &mut Session) -> Result<(), Failure> {
    let body = body(replay, session)?;
    let answer = ask(session, &["webhooks", "replay"], &body)?;
    if session.output.is_json() {
        return Ok(session.output.json(&answer)?);
    }
    print_rows(&answer, session)?;
    print_summary(&answer, session)
}

fn body(replay: &Replay, session: &mut Session) -> Result<Value, Failure> {
    let (since, until) = session.period(replay.since.as_deref(), replay.until.as_deref())?;
    let [since, until] = [since, until].map(|at| at.map(|at| at.to_string()));
    let (mut ids, mut run_id) = (Vec::new(), None);
    if !replay.ids.is_empty() || replay.run.is_some() {
        let source = session.source()?;
        for text in &replay.ids {
            ids.push(source.find_webhook(text)?);
        }
        run_id = replay.run.as_deref().map(|run| source.find_run(run)).transpose()?;
    }
    Ok(json!({
        "ids": ids,
        "status": replay.status,
        "since": since,
        "until": until,
        "cron": replay.cron,
        "run_id": run_id,
        "url": replay.url,
        "limit": replay.limit,
        "dry_run": replay.dry_run,
    }))
}

fn print_rows(answer: &Value, session: &mut Session) -> Result<(), Failure> {
    let webhooks = answer["webhooks"].as_array().into_iter().flatten();
    let mut rows = Rows::new(&SHAPE).in_zone("recorded", &session.zone);
    for webhook in webhooks {
        let text = |key: &str| webhook[key].as_str().unwrap_or_default();
        let at = text("created_at").parse::<Timestamp>();
        rows.push(vec![
            text("delivery_id").chars().take(8).collect(),
            at.map_or_else(|_| text("created_at").to_owned(), |at| times::local(at, &session.zone)),
            printable(webhook["run_id"].as_str().map_or("", |_| called(webhook["cron_name"].as_str()))),
            text("status").to_owned(),
            printable(text("url")),
            printable(text("reason")),
        ]);
    }
    let listed = answer["webhooks"].as_array().map_or(0, Vec::len);
    if listed == 0 {
        return Ok(());
    }
    session.output.table(rows)?;
    let more = answer["replayed"].as_u64().unwrap_or(0).saturating_sub(listed as u64);
    if more > 0 {
        session.output.line(&format!("… and {more} more"))?;
    }
    Ok(())
}

fn print_summary(answer: &Value, session: &mut Session) -> Result<(), Failure> {
    let counts = answer["by_status"].as_object().into_iter().flatten();
    let counts: Vec<String> = counts.map(|(status, count)| format!("{count} {status}")).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let replayed = counted(answer["replayed"].as_u64().unwrap_or(0), "webhook");
    let done = if answer["dry_run"] == true { "would be replayed; nothing was done" } else { "replayed" };
    session.output.line(&format!("{replayed} {done}{counts}"))?;
    for url in answer["resumed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        session.output.line(&format!("{} was suspended; deliveries to it are resumed", printable(url)))?;
    }
    if answer["more"] == true {
        session.output.line("there are more: run the command again, or with a higher --limit")?;
    }
    Ok(())
}
