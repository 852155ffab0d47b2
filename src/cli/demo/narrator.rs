//! Prints what happens in the store as it happens: runs that fire and end, and their webhooks, each once and in order
//! of time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::api::wire::{self, Time};
use crate::cli::terminal::{Failure, Session, TextStyle, printable, tone};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::RunId;
use crate::domain::reason::Reason;
use crate::domain::run::Status;
use crate::present::{Tone, runs, times};
use crate::store::{DeliveryRow, Reader, RunRow, RunWatch, WatchUntil};

/// Longer replies are cut, so that they fit on a line of a terminal.
const REPLY_CHARS_MAX: usize = 70;

/// Follows the store and remembers what it has printed.
pub(super) struct Narrator {
    reader: Reader,
    watch: RunWatch,
    name_width: usize,
    printed: BTreeSet<(RunId, Stage)>,
    /// How many completed runs ended with each status. A run is completed once its webhook has ended as well.
    pub(super) completed: BTreeMap<Status, usize>,
    /// For each run, the time from its scheduled instant until the agent server accepted it.
    pub(super) lateness: Vec<SignedDuration>,
    /// The latest run that has ended.
    pub(super) last_run: Option<RunId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Fired,
    Ended,
    Webhook,
}

/// One line of the narration.
struct Narration {
    at: Timestamp,
    stage: Stage,
    style: TextStyle,
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
            printed: BTreeSet::new(),
            completed: BTreeMap::new(),
            lateness: Vec::new(),
            last_run: None,
        })
    }

    /// Returns how many runs are completed, together with their webhooks.
    pub(super) fn runs_completed(&self) -> usize {
        self.completed.values().sum()
    }

    /// Prints what has happened since the last call.
    pub(super) fn narrate_news(&mut self, session: &mut Session) -> Result<(), Failure> {
        let mut news = Vec::new();
        for row in self.reader.changes(&mut self.watch)? {
            self.collect(row, &mut news)?;
        }
        news.sort_by_key(|narration| (narration.at, narration.stage));
        for narration in news {
            self.print(&narration, session)?;
        }
        session.output.flush()?;
        Ok(())
    }

    fn collect(&mut self, row: RunRow, news: &mut Vec<Narration>) -> Result<(), Failure> {
        let run_id = row.run.run_id;
        let run = wire::Run::of(&row);
        if let Some((Time(started_at), late)) = run.started_at.zip(run.lateness())
            && self.printed.insert((run_id, Stage::Fired))
        {
            self.lateness.push(late);
            news.push(Narration {
                at: started_at,
                stage: Stage::Fired,
                style: Tone::Active.into(),
                word: "fired".to_owned(),
                rest: format!("{} late", times::took(late)),
                row: row.clone(),
            });
        }
        let Some((status, ended_at)) = row.status().zip(runs::ended_at(&row.run)) else { return Ok(()) };
        if self.printed.insert((run_id, Stage::Ended)) {
            self.last_run = Some(run_id);
            news.push(Narration {
                at: ended_at,
                stage: Stage::Ended,
                style: tone(&run).into(),
                word: status.to_string(),
                rest: self.outcome_text(row.run.run_id, &run)?,
                row: row.clone(),
            });
        }
        let is_completed = row.webhook.as_ref().is_none_or(DeliveryRow::is_over);
        if is_completed && self.printed.insert((run_id, Stage::Webhook)) {
            *self.completed.entry(status).or_default() += 1;
            news.extend(webhook_narration(row));
        }
        Ok(())
    }

    fn outcome_text(&self, run_id: RunId, run: &wire::Run) -> Result<String, Failure> {
        let took = run.duration().map(|took| format!("after {}", times::took(took)));
        let why = printable(&run.why());
        let message = if why.is_empty() { self.reply(run_id)?.unwrap_or_default() } else { why };
        let parts = [took.unwrap_or_default(), message].into_iter().filter(|part| !part.is_empty());
        Ok(parts.collect::<Vec<_>>().join(": "))
    }

    /// Returns the last message of the thread, with its number if the conversation is longer than one reply.
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

    fn print(&self, narration: &Narration, session: &mut Session) -> Result<(), Failure> {
        if session.output.is_json() {
            let event = match narration.stage {
                Stage::Fired => "fired",
                Stage::Ended => "ended",
                Stage::Webhook => "webhook",
            };
            let (at, run) = (narration.at.to_string(), wire::Run::of(&narration.row));
            session.output.json(&json!({ "at": at, "event": event, "run": run }))?;
            return Ok(());
        }
        let output = &session.output;
        let clock = output.paint(TextStyle::Dim, &times::time_of_day(narration.at, &session.zone));
        let name = format!("{:<width$}", narration.row.run.called(), width = self.name_width);
        let word = output.paint(narration.style, &format!("{:<8}", narration.word));
        session.output.line(&format!("{clock}  {name}  {word}  {}", narration.rest))?;
        Ok(())
    }
}

fn webhook_narration(row: RunRow) -> Option<Narration> {
    let webhook = row.webhook.clone()?;
    let at = webhook.ended_at?;
    let took = times::took(at.duration_since(webhook.created_at));
    let (style, rest) = if webhook.status == DeliveryStatus::Delivered {
        (TextStyle::Plain, format!("delivered in {took}"))
    } else {
        let reason = printable(webhook.reason.as_ref().map(Reason::text).unwrap_or_default());
        (Tone::Bad.into(), format!("{}: {reason}", webhook.status))
    };
    Some(Narration { at, stage: Stage::Webhook, style, word: "webhook".to_owned(), rest, row })
}
