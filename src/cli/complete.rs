//! `agentcron complete`: the names, ids and words that may stand at the cursor. The scripts of `agentcron completions`
//! call it.

use std::path::PathBuf;

use clap::Args;

use super::terminal::{Failure, Session, Source};
use crate::api::wire::Cron;
use crate::config::is_cron_name;
use crate::domain::cron_state::CronStatus;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status, Trigger};
use crate::present::ID_CHARS_SHOWN;
use crate::store::{DeliveryFilter, RunFilter};

/// How many of the latest runs or webhooks are offered.
const LATEST: u32 = 20;

/// Print what may stand at the cursor of a command line
#[derive(Args, Debug)]
pub(super) struct Complete {
    /// The words after `agentcron`; the last one is being typed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// What may be typed.
enum Wanted {
    Cron,
    Run,
    Webhook,
    Word(&'static [&'static str]),
}

/// Prints one value a line; nothing if there is none, or if the database cannot be read.
pub(super) fn complete(complete: &Complete, session: &mut Session) -> Result<(), Failure> {
    let words: Vec<&str> = complete.words.iter().map(String::as_str).collect();
    let config = words.iter().position(|word| *word == "--config").and_then(|at| words.get(at + 1));
    if let Some(config) = config {
        session.config_path = PathBuf::from(config);
    }
    for wanted in wanted(&words) {
        for value in values(&wanted, session).unwrap_or_default() {
            // A shell may expand it.
            if is_cron_name(&value) {
                session.output.line(&value)?;
            }
        }
    }
    Ok(())
}

fn wanted(words: &[&str]) -> Vec<Wanted> {
    let [before @ .., _] = words else { return Vec::new() };
    let mut verbs = before.iter().filter(|word| !word.starts_with('-'));
    let (verb, noun) = (verbs.next().copied().unwrap_or_default(), verbs.next().copied());
    match (before.last().copied().unwrap_or_default(), verb, noun) {
        ("--cron", ..) => vec![Wanted::Cron],
        ("--run", ..) => vec![Wanted::Run],
        ("--trigger", ..) => vec![Wanted::Word(Trigger::WORDS)],
        ("--reason", ..) => vec![Wanted::Word(ReasonCode::WORDS)],
        ("--state", ..) => vec![Wanted::Word(CronStatus::WORDS)],
        ("--status", "webhook", _) => vec![Wanted::Word(DeliveryStatus::WORDS)],
        ("--status", ..) => vec![Wanted::Word(Status::WORDS), Wanted::Word(Phase::WORDS)],
        // It may take a value of any kind.
        (option, ..) if option.starts_with('-') => Vec::new(),
        (_, "next" | "list" | "acts" | "history" | "explain" | "trigger", _)
        | (_, "edit" | "pause" | "resume" | "skip-next" | "backfill", _) => vec![Wanted::Cron],
        (_, "show", _) => vec![Wanted::Cron, Wanted::Run],
        (_, "cancel" | "retry", _) => vec![Wanted::Run],
        (_, "webhook", Some("show" | "replay")) => vec![Wanted::Webhook],
        (..) => Vec::new(),
    }
}

fn values(wanted: &Wanted, session: &mut Session) -> Result<Vec<String>, Failure> {
    let short = |id: String| id[..ID_CHARS_SHOWN].to_owned();
    Ok(match wanted {
        Wanted::Word(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Wanted::Cron => match session.source()? {
            Source::Store(reader) => reader.cron_heads()?.into_iter().map(|row| row.name).collect(),
            Source::Daemon(daemon) => {
                let crons: Vec<Cron> = daemon.list("crons", &[], u64::MAX)?;
                crons.into_iter().map(|cron| cron.cron_name).collect()
            }
        },
        Wanted::Run => {
            let runs = session.open_store()?.runs_before(&RunFilter::default(), None, LATEST)?;
            runs.iter().map(|(_, row)| short(row.run.run_id.to_string())).collect()
        }
        Wanted::Webhook => {
            let webhooks = session.open_store()?.webhooks(&DeliveryFilter::default(), LATEST)?;
            webhooks.iter().map(|row| short(row.delivery.delivery_id.to_string())).collect()
        }
    })
}
