//! `agentcron webhook list`: the webhooks and their status.

use clap::Args;
use jiff::Timestamp;

use crate::api::wire::{Attention, Delivery, StatusReport, Time, Word};
use crate::cli::terminal::{
    Failure, Rows, Session, Shape, Shrink, Source, TableOptions, find_run, joined, print_attention, printable,
};
use crate::domain::delivery::DeliveryStatus;
use crate::present::{ID_CHARS_SHOWN, attention, times, webhooks};
use crate::store::DeliveryFilter;

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
    let (since, until) = session.period(list.since.as_deref(), list.until.as_deref())?;
    let (mut rows, found): (Vec<Delivery>, Vec<Attention>) = match session.source()? {
        Source::Daemon(daemon) => {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
            let query = [
                ("status", joined(list.status.iter().map(|status| status.as_str()))),
                ("cron", text(&list.cron)),
                ("run", text(&list.run)),
                ("url", text(&list.url)),
                ("since", time(since)),
                ("until", time(until)),
            ];
            let rows = daemon.list("deliveries", &query, u64::from(list.limit))?;
            let mut status: StatusReport = daemon.get(&["status"], &[])?;
            status.attention.retain(|one| one.what.0.is_of_all_webhooks());
            (rows, status.attention)
        }
        Source::Store(reader) => {
            let filter = DeliveryFilter {
                statuses: list.status.clone(),
                cron: list.cron.clone(),
                run_id: list.run.as_deref().map(|run| find_run(run, &reader)).transpose()?,
                url: list.url.clone(),
                since,
                until,
                with_body: false,
            };
            let (queue, now) = (reader.webhook_queue()?, session.now());
            let rows = reader.webhooks_before(&filter, None, list.limit)?;
            let rows = rows.iter().map(|(_, row)| Delivery::of(row, &queue, now)).collect();
            (rows, attention::of_queue(&queue).iter().map(Attention::of).collect())
        }
    };
    rows.reverse();
    if session.output.is_json() {
        return Ok(rows.iter().try_for_each(|row| session.output.json(row))?);
    }
    print_attention(&found, session)?;
    if rows.is_empty() {
        return Ok(session.output.line("no webhooks")?);
    }
    let mut table = Rows::new(&SHAPE).with_options(&list.table)?.in_zone("recorded", &session.zone);
    for row in &rows {
        table.push(cells(row, session));
    }
    Ok(session.output.table(table)?)
}

fn cells(delivery: &Delivery, session: &Session) -> Vec<String> {
    let next = match delivery.held_since {
        Some(_) => Some("held".to_owned()),
        None => delivery.due_at.map(|Time(due_at)| next_text(due_at, session.now())),
    };
    let Word(status) = delivery.status;
    vec![
        delivery.delivery_id.chars().take(ID_CHARS_SHOWN).collect(),
        times::local(delivery.created_at.0, &session.zone),
        printable(delivery.called()),
        session.output.paint(webhooks::tone(status), status.as_str()),
        delivery.attempts_made.to_string(),
        next.unwrap_or_default(),
        printable(&delivery.url),
        printable(&why(delivery, session)),
    ]
}

/// Returns why a webhook has ended as it did, or what its last attempt came to and what it waits for.
pub(super) fn why(delivery: &Delivery, session: &Session) -> String {
    let local = |Time(at): Time| times::local(at, &session.zone);
    let waits = match (&delivery.waits, delivery.held_since, delivery.due_at) {
        (Some(waits), Some(since), _) => Some(format!("{waits}, since {}", local(since))),
        (Some(waits), None, _) => Some(waits.clone()),
        (None, _, Some(due_at)) => {
            let relative = times::relative(due_at.0, session.now());
            Some(format!("next attempt {relative}, at {}", local(due_at)))
        }
        (None, _, None) => None,
    };
    delivery.reason.clone().into_iter().chain(waits).collect::<Vec<_>>().join("; ")
}

/// Returns when the next attempt is due. If it is due already, how long it has been so is not worth showing: that says
/// nothing about when its turn comes.
fn next_text(due_at: Timestamp, now: Timestamp) -> String {
    if due_at <= now { "due".to_owned() } else { times::relative(due_at, now) }
}
