//! What people ask, as the commands and the API ask it.

use std::path::Path;

use agentcron::api::wire::{CronStats, Report, Run, StatusReport};
use agentcron::domain::delivery::DeliveryStatus;
use agentcron::domain::ids::CronId;
use agentcron::domain::reason::ReasonCode;
use agentcron::domain::run::{Phase, Status, Trigger};
use agentcron::store::{
    CountsByCron, CronListing, DaemonState, DeliveryFilter, PageCursor, Reader, RunFilter, RunRow,
    StatusSnapshot, StoreError,
};
use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};

use super::machine::now;

/// The rows of a page of `history`, of the API, and of a cron's sparkline.
const HISTORY_ROWS: u32 = 50;
const PAGE_ROWS: u32 = 101;
const LAST_RUNS: u32 = 30;
/// A cron in the middle of the list, whose runs send webhooks.
const CRON: &str = "cron-05000";

type Ask = dyn Fn(&Reader) -> Result<usize, StoreError>;

pub(super) struct Question {
    pub(super) name: String,
    /// Asks it, and returns the number of rows in the answer.
    pub(super) ask: Box<Ask>,
}

pub(super) fn all(database: &Path) -> Result<Vec<Question>> {
    let reader = Reader::open(database)?;
    let at = now();
    let cron = *reader.crons_named(CRON)?.first().context("there is no such cron")?;
    let mut questions = status(database, at);
    for (name, filter) in run_filters(at, cron) {
        let of_api = filter.clone();
        questions.push(question(&format!("history {name}"), move |reader| {
            let cursor = reader.cursor_before_last(&filter, HISTORY_ROWS.into())?;
            rows_as_json(reader.runs_after(&filter, cursor, HISTORY_ROWS)?)
        }));
        questions.push(question(&format!("/v1/runs {name}"), move |reader| {
            rows_as_json(reader.runs_before(&of_api, None, PAGE_ROWS)?)
        }));
    }
    let of_cron = RunFilter { crons: Some(vec![cron]), ..RunFilter::default() };
    questions.push(question("the last 30 runs of a cron", move |reader| {
        rows_as_json(reader.runs_before(&of_cron, None, LAST_RUNS)?)
    }));
    for (name, filter) in delivery_filters(at) {
        questions.push(question(&format!("/v1/deliveries {name}"), move |reader| {
            Ok(reader.webhooks_before(&filter, None, PAGE_ROWS)?.len())
        }));
    }
    let run_id = reader.runs_before(&RunFilter::default(), None, 1)?.first().context("no run")?.1.run.run_id;
    questions.push(question("/v1/crons", move |reader| {
        Ok(reader.crons_after(&CronListing::default(), None, PAGE_ROWS, at)?.len())
    }));
    questions.push(question("/v1/crons/NAME", move |reader| Ok(reader.cron_details(CRON, at)?.iter().len())));
    questions.push(question("/v1/runs/ID", move |reader| Ok(reader.run_details(run_id)?.iter().len())));
    questions.push(question("/metrics", |reader| reader.measures(&CountsByCron::default()).map(|_| 1)));
    Ok(questions)
}

/// The state of the whole, and what it consists of.
fn status(database: &Path, at: Timestamp) -> Vec<Question> {
    let path = database.to_path_buf();
    let since = ago(at, 24);
    vec![
        question("status", move |reader| {
            let snapshot = StatusSnapshot::read(reader, reader.sharing(), DaemonState::Stopped, at)?;
            let report = StatusReport::of(&path.display().to_string(), &snapshot, None, at);
            Ok(serde_json::to_string(&report).map_or(0, |_| 1))
        }),
        question("  its counts of 24 hours", move |reader| reader.overview(since).map(|_| 1)),
        question("  its crons", |reader| Ok(reader.cron_heads()?.len())),
        question("  the instants decided already", move |reader| reader.decided(at).map(|_| 1)),
        question("  its queue of webhooks", |reader| reader.webhook_queue().map(|_| 1)),
        question("report --since 12h", move |reader| report(reader, ago(at, 12), at)),
        question("report --since 70h", move |reader| report(reader, ago(at, 70), at)),
        question("report --since 30d", move |reader| report(reader, ago(at, 30 * 24), at)),
        question("stats CRON --since 1y", move |reader| {
            Ok(CronStats::read(reader, CRON, ago(at, 365 * 24), at)?.map_or(0, |stats| stats.days.len()))
        }),
        question("  its outages", move |reader| Ok(reader.outages(since)?.len())),
    ]
}

fn report(reader: &Reader, since: Timestamp, at: Timestamp) -> Result<usize, StoreError> {
    let report = Report::read(reader, Vec::new(), since, false, at)?;
    Ok(serde_json::to_string(&report).map_or(0, |_| report.crons.len()))
}

/// Filters by what is common, rare, and never there.
fn run_filters(at: Timestamp, cron: CronId) -> Vec<(&'static str, RunFilter)> {
    let any = RunFilter::default;
    let failed = vec![Status::Error, Status::Timeout, Status::Missed];
    let crons = Some(vec![cron]);
    vec![
        ("", any()),
        ("CRON", RunFilter { crons: crons.clone(), ..any() }),
        ("CRON --status error", RunFilter { crons: crons.clone(), statuses: vec![Status::Error], ..any() }),
        ("CRON --trigger api (never)", RunFilter { crons, triggers: vec![Trigger::Api], ..any() }),
        ("--status success", RunFilter { statuses: vec![Status::Success], ..any() }),
        ("--failed", RunFilter { statuses: failed, ..any() }),
        ("--status error", RunFilter { statuses: vec![Status::Error], ..any() }),
        ("--status cancelled (rare)", RunFilter { statuses: vec![Status::Cancelled], ..any() }),
        ("--status interrupted (rare)", RunFilter { statuses: vec![Status::Interrupted], ..any() }),
        ("--status running (few)", RunFilter { phases: vec![Phase::Running], ..any() }),
        ("--status unconfirmed (never)", RunFilter { phases: vec![Phase::Unconfirmed], ..any() }),
        ("--trigger schedule", RunFilter { triggers: vec![Trigger::Schedule], ..any() }),
        ("--trigger manual (rare)", RunFilter { triggers: vec![Trigger::Manual], ..any() }),
        ("--trigger api (never)", RunFilter { triggers: vec![Trigger::Api], ..any() }),
        ("--reason overlap", RunFilter { reasons: vec![ReasonCode::Overlap], ..any() }),
        ("--reason lost (rare)", RunFilter { reasons: vec![ReasonCode::Lost], ..any() }),
        ("--reason rejected (never)", RunFilter { reasons: vec![ReasonCode::Rejected], ..any() }),
        ("--since 1d", RunFilter { since: Some(ago(at, 24)), ..any() }),
        ("--until 2d", RunFilter { until: Some(ago(at, 48)), ..any() }),
        (
            "--since 1d --status cancelled",
            RunFilter { since: Some(ago(at, 24)), statuses: vec![Status::Cancelled], ..any() },
        ),
    ]
}

fn delivery_filters(at: Timestamp) -> Vec<(&'static str, DeliveryFilter)> {
    let any = DeliveryFilter::default;
    vec![
        ("", any()),
        ("cron", DeliveryFilter { cron: Some(CRON.to_owned()), ..any() }),
        ("cron (never)", DeliveryFilter { cron: Some("cron-00001".to_owned()), ..any() }),
        ("status delivered", DeliveryFilter { statuses: vec![DeliveryStatus::Delivered], ..any() }),
        ("status failed", DeliveryFilter { statuses: vec![DeliveryStatus::Failed], ..any() }),
        ("status suppressed (rare)", DeliveryFilter { statuses: vec![DeliveryStatus::Suppressed], ..any() }),
        ("status pending (never)", DeliveryFilter { statuses: vec![DeliveryStatus::Pending], ..any() }),
        ("url of one origin", DeliveryFilter { url: Some("hooks-0.".to_owned()), ..any() }),
        ("url (never)", DeliveryFilter { url: Some("nowhere".to_owned()), ..any() }),
        ("since 1d", DeliveryFilter { since: Some(ago(at, 24)), ..any() }),
        ("until 2d", DeliveryFilter { until: Some(ago(at, 48)), ..any() }),
    ]
}

fn question(name: &str, ask: impl Fn(&Reader) -> Result<usize, StoreError> + 'static) -> Question {
    Question { name: name.to_owned(), ask: Box::new(ask) }
}

/// Writes the rows as the API and `--json` do, because that is part of the cost.
fn rows_as_json(rows: Vec<(PageCursor, RunRow)>) -> Result<usize, StoreError> {
    let rows: Vec<Run> = rows.iter().map(|(_, row)| Run::of(row)).collect();
    Ok(serde_json::to_string(&rows).map_or(0, |_| rows.len()))
}

fn ago(at: Timestamp, hours: i64) -> Timestamp {
    at.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN)
}
