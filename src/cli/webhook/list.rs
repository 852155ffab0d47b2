//! `agentcron webhook list`: which webhooks there are, and where they have got to.

use clap::Args;
use jiff::Timestamp;

use super::{delivery_mode, painted_status};
use crate::api::wire;
use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::session::Session;
use crate::cli::show;
use crate::cli::table::Rows;
use crate::cli::times;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::Reason;
use crate::domain::run::called;
use crate::store::{DeliveryFilter, WebhookQueue, WebhookRow};
use crate::webhook::redacted;

const COLUMNS: [&str; 8] = ["webhook", "recorded", "cron", "status", "attempts", "next", "to", "why"];
const DISPENSABLE: &[&str] = &["recorded", "attempts", "to", "webhook"];

/// List webhooks, newest last.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron webhook list --status pending,failed
  agentcron webhook list --cron daily-digest -n 200
  agentcron webhook list --url ops.example.com --json | jq .reason

Works while the daemon is down.")]
pub(super) struct List {
    /// Only with these: pending, sending, delivered, failed, gone, aborted, blocked, suppressed
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only of this cron
    #[arg(long, value_name = "NAME")]
    cron: Option<String>,
    /// Only about this run (its id, or its first characters)
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only with this in the URL, before its query
    #[arg(long, value_name = "TEXT")]
    url: Option<String>,
    /// At most the newest N
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

pub(super) fn list(list: &List, session: &mut Session) -> Result<(), Failure> {
    let reader = session.open_store()?;
    let statuses = list.status.iter().map(|word| word.parse::<DeliveryStatus>());
    let statuses: Result<_, _> = statuses.collect();
    let filter = DeliveryFilter {
        statuses: statuses.map_err(|unknown| Failure::Usage(format!("--status: {unknown}")))?,
        cron: list.cron.clone(),
        run_id: list.run.as_deref().map(|run| show::find(run, &reader)).transpose()?,
        url: list.url.clone(),
        ..DeliveryFilter::default()
    };
    let webhooks = reader.webhooks(&filter, list.limit)?;
    let mode = reader.webhook_queue()?;
    if session.output.is_json() {
        let line = |row| wire::Delivery::of(row, &mode.mode);
        return Ok(webhooks.iter().try_for_each(|row| session.output.json(&line(row)))?);
    }
    if let Some(words) = delivery_mode::words(&mode, session) {
        let words = session.output.paint(Style::Odd, &words);
        session.output.line(&words)?;
    }
    if webhooks.is_empty() {
        return Ok(session.output.line("no webhooks")?);
    }
    let mut table = Rows::new(&COLUMNS, "why", DISPENSABLE).in_zone("recorded", &session.zone);
    for row in &webhooks {
        table.push(cells(row, &mode, session));
    }
    Ok(session.output.table(table)?)
}

fn cells(row: &WebhookRow, mode: &WebhookQueue, session: &Session) -> Vec<String> {
    let delivery = &row.delivery;
    let id = delivery.delivery_id.to_string();
    let next = match mode.mode.keeps(row.delivery.status) {
        Some(_) => Some("held".to_owned()),
        None => delivery.due_at.map(|due_at| next_text(due_at, session.now())),
    };
    vec![
        id[..8].to_owned(),
        times::local(delivery.created_at, &session.zone),
        called(row.cron_name.as_deref()).to_owned(),
        painted_status(delivery.status, &session.output),
        delivery.attempts.to_string(),
        next.unwrap_or_default(),
        printable(&redacted(&delivery.url)),
        printable(delivery.reason.as_ref().map(Reason::text).unwrap_or_default()),
    ]
}

/// What is due waits for its receiver's turn: since when says nothing about that.
fn next_text(due_at: Timestamp, now: Timestamp) -> String {
    if due_at <= now { "due".to_owned() } else { times::relative(due_at, now) }
}
