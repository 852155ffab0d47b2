//! `agentcron webhook list`: the webhooks and their status.

use clap::Args;
use jiff::Timestamp;

use crate::api::wire;
use crate::cli::terminal::{
    Failure, Rows, Session, Shape, Shrink, TableOptions, find_run, print_attention, printable,
};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::run::called;
use crate::present::{attention, times, webhooks};
use crate::store::{DeliveryFilter, WebhookQueue, WebhookRow};
use crate::webhook::redacted;

const SHAPE: Shape = Shape {
    columns: &["webhook", "recorded", "cron", "status", "attempts", "next", "to", "why"],
    usual: &[8, 19, 16, 10, 8, 9, 32, 32],
    shrink: &[Shrink::Below("why"), Shrink::Below("to")],
};

/// List webhooks: status, attempts and next attempt, newest last
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron webhook list --status pending,failed --since yesterday
  agentcron webhook list --cron daily-digest -n 200
  agentcron webhook list --url ops.example.com --json | jq .reason")]
pub(super) struct List {
    /// Only webhooks with one of these statuses, separated by commas: pending, sending, delivered, failed, gone,
    /// aborted, blocked, suppressed
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<DeliveryStatus>,
    /// Only webhooks of this cron
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
    /// Only webhooks of this run (its id, or its first characters)
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only webhooks whose URL contains this text; the query is not searched
    #[arg(long, value_name = "TEXT")]
    url: Option<String>,
    /// Only webhooks of runs that ended at or after this time: such as yesterday or 07:00, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only webhooks of runs that ended before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show at most the newest N
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    table: TableOptions,
}

pub(super) fn list(list: &List, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    let filter = DeliveryFilter {
        statuses: list.status.clone(),
        cron: list.cron.clone(),
        run_id: list.run.as_deref().map(|run| find_run(run, &reader)).transpose()?,
        url: list.url.clone(),
        since: list.since.as_deref().map(|text| session.past("--since", text)).transpose()?,
        until: list.until.as_deref().map(|text| session.past("--until", text)).transpose()?,
    };
    let rows = reader.webhooks(&filter, list.limit)?;
    let queue = reader.webhook_queue()?;
    if session.output.is_json() {
        let object = |row| wire::Delivery::of(row, &queue.mode);
        return Ok(rows.iter().try_for_each(|row| session.output.json(&object(row)))?);
    }
    let found: Vec<_> = attention::of_queue(&queue).iter().map(wire::Attention::of).collect();
    print_attention(&found, session)?;
    if rows.is_empty() {
        return Ok(session.output.line("no webhooks")?);
    }
    let mut table = Rows::new(&SHAPE).with_options(&list.table)?.in_zone("recorded", &session.zone);
    for row in &rows {
        table.push(cells(row, &queue, session));
    }
    Ok(session.output.table(table)?)
}

fn cells(row: &WebhookRow, queue: &WebhookQueue, session: &Session) -> Vec<String> {
    let delivery = &row.delivery;
    let id = delivery.delivery_id.to_string();
    let next = match queue.mode.keeps(row.delivery.status) {
        Some(_) => Some("held".to_owned()),
        None => delivery.due_at.map(|due_at| next_text(due_at, session.now())),
    };
    vec![
        id[..8].to_owned(),
        times::local(delivery.created_at, &session.zone),
        printable(called(row.cron_name.as_deref())),
        session.output.paint(webhooks::tone(delivery.status), delivery.status.as_str()),
        delivery.attempts.to_string(),
        next.unwrap_or_default(),
        printable(&redacted(&delivery.url)),
        printable(&webhooks::why(delivery, queue, &session.zone, session.now())),
    ]
}

/// Returns when the next attempt is due. If it is due already, how long it has been so is not worth showing: that says
/// nothing about when its turn comes.
fn next_text(due_at: Timestamp, now: Timestamp) -> String {
    if due_at <= now { "due".to_owned() } else { times::relative(due_at, now) }
}
