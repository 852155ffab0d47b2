//! Tells what happens in the store as it happens: fired, outcome, webhook, each once and in the order of time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::wire;
use crate::cli::failure::Failure;
use crate::cli::output::{Style, printable};
use crate::cli::run_line::{self, time};
use crate::cli::session::Session;
use crate::cli::times;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::RunId;
use crate::domain::run::Status;
use crate::store::{DeliveryRow, Reader, RunRow, RunWatch, WatchUntil};

/// Longer replies are cut: this is a line on a terminal.
const REPLY_CHARS_MAX: usize = 70;

/// Follows the store and remembers what it has told.
pub(super) struct Narrator {
    reader: Reader,
    watch: RunWatch,
    name_width: usize,
    told: BTreeSet<(RunId, Stage)>,
    /// What became of the runs that are over and told of.
    pub(super) completed: BTreeMap<Status, usize>,
    /// From the scheduled instant until the agent server had accepted the run.
    pub(super) lateness: Vec<SignedDuration>,
    /// The latest run that is over.
    pub(super) last_run: Option<RunId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Fired,
    Ended,
    Webhook,
}

/// One line.
struct Event {
    at: Timestamp,
    stage: Stage,
    style: Style,
    word: String,
    rest: String,
    row: RunRow,
}

impl Narrator {
    pub(super) fn new(reader: Reader, names: &[&str]) -> Result<Self, Failure> {
        let watch = reader.watch(WatchUntil::WebhookEnded)?;
        let name_width = names.iter().map(|name| name.len()).max().unwrap_or(0);
        Ok(Self {
            reader,
            watch,
            name_width,
            told: BTreeSet::new(),
            completed: BTreeMap::new(),
            lateness: Vec::new(),
            last_run: None,
        })
    }

    /// How many runs are over, their webhooks too.
    pub(super) fn runs_completed(&self) -> usize {
        self.completed.values().sum()
    }

    /// Tells what is new.
    pub(super) fn style(&mut self, session: &mut Session) -> Result<(), Failure> {
        let mut events = Vec::new();
        for row in self.reader.changes(&mut self.watch)? {
            self.take_note(row, &mut events)?;
        }
        events.sort_by_key(|event| (event.at, event.stage));
        for event in events {
            self.tell(&event, session)?;
        }
        session.output.flush()?;
        Ok(())
    }

    fn take_note(&mut self, row: RunRow, events: &mut Vec<Event>) -> Result<(), Failure> {
        let run_id = row.run.run_id;
        if let Some(started_at) = run_line::backend_run(&row.run).map(|backend_run| backend_run.started_at)
            && self.told.insert((run_id, Stage::Fired))
        {
            let late = started_at.duration_since(row.run.scheduled_for);
            self.lateness.push(late);
            let rest = format!("{} after its instant", times::took(late));
            events.push(Event {
                at: started_at,
                stage: Stage::Fired,
                style: Style::BackendRun,
                word: "fired".to_owned(),
                rest,
                row: row.clone(),
            });
        }
        let Some((status, ended_at)) = row.status().zip(run_line::ended_at(&row.run)) else { return Ok(()) };
        if self.told.insert((run_id, Stage::Ended)) {
            self.last_run = Some(run_id);
            events.push(Event {
                at: ended_at,
                stage: Stage::Ended,
                style: run_line::style(&row),
                word: status.to_string(),
                rest: self.outcome_text(&row, ended_at)?,
                row: row.clone(),
            });
        }
        let is_told = row.webhook.as_ref().is_none_or(DeliveryRow::is_over);
        if is_told && self.told.insert((run_id, Stage::Webhook)) {
            *self.completed.entry(status).or_default() += 1;
            events.extend(webhook_event(row));
        }
        Ok(())
    }

    fn outcome_text(&self, row: &RunRow, ended_at: Timestamp) -> Result<String, Failure> {
        let started_at = run_line::backend_run(&row.run).map(|backend_run| backend_run.started_at);
        let took = started_at.map(|at| format!("after {}", times::took(ended_at.duration_since(at))));
        let why = run_line::why(row);
        let said = if why.is_empty() { self.reply(row.run.run_id)?.unwrap_or_default() } else { why };
        Ok([took.unwrap_or_default(), said]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": "))
    }

    /// The last message of the thread, and how many there are if it is a longer conversation.
    fn reply(&self, run_id: RunId) -> Result<Option<String>, Failure> {
        let values = self.reader.run_details(run_id)?.and_then(|details| details.values);
        let Some(Value::Array(messages)) = values.as_ref().and_then(|values| values.get("messages")) else {
            return Ok(None);
        };
        let last = messages.last().and_then(|message| message["content"].as_str()).unwrap_or_default();
        let mut reply: String = last.chars().take(REPLY_CHARS_MAX).collect();
        if reply.len() < last.len() {
            reply.push('…');
        }
        let count = if messages.len() > 2 { format!(" (message {})", messages.len()) } else { String::new() };
        Ok(Some(format!("\"{}\"{count}", printable(&reply))))
    }

    fn tell(&self, event: &Event, session: &mut Session) -> Result<(), Failure> {
        if session.output.is_json() {
            let stage = match event.stage {
                Stage::Fired => "fired",
                Stage::Ended => "ended",
                Stage::Webhook => "webhook",
            };
            let run = wire::Run::of(&event.row);
            session.output.json(&json!({ "at": time(Some(event.at)), "event": stage, "run": run }))?;
            return Ok(());
        }
        let output = &session.output;
        let clock = output.paint(Style::Dim, &times::time_of_day(event.at, &session.zone));
        let name = format!("{:<width$}", event.row.run.called(), width = self.name_width);
        let word = output.paint(event.style, &format!("{:<8}", event.word));
        session.output.line(&format!("{clock}  {name}  {word}  {}", event.rest))?;
        Ok(())
    }
}

fn webhook_event(row: RunRow) -> Option<Event> {
    let webhook = row.webhook.clone()?;
    let at = webhook.ended_at?;
    let took = times::took(at.duration_since(webhook.created_at));
    let (style, rest) = match webhook.status {
        DeliveryStatus::Delivered => (Style::Plain, format!("delivered in {took}")),
        DeliveryStatus::Failed
        | DeliveryStatus::Gone
        | DeliveryStatus::Aborted
        | DeliveryStatus::Blocked
        | DeliveryStatus::Suppressed
        | DeliveryStatus::Pending
        | DeliveryStatus::Sending => (
            Style::Bad,
            format!(
                "{}: {}",
                webhook.status,
                webhook.reason.map(|reason| reason.text().to_owned()).unwrap_or_default()
            ),
        ),
    };
    Some(Event { at, stage: Stage::Webhook, style, word: "webhook".to_owned(), rest, row })
}
