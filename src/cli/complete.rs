//! `agentcron complete`: the names, ids and words that may stand at the cursor. The scripts of `agentcron completions`
//! call it.

use std::path::PathBuf;

use clap::Args;

use super::terminal::{Failure, Session};
use crate::config::is_cron_name;
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

/// What is being typed.
enum Wanted {
    Crons,
    CronsAndRuns,
    Runs(RunFilter),
    Webhooks,
    Words(Vec<&'static [&'static str]>),
}

/// Prints one value a line; nothing if there is none, or if the database cannot be read.
pub(super) fn complete(complete: &Complete, session: &mut Session) -> Result<(), Failure> {
    let words: Vec<&str> = complete.words.iter().map(String::as_str).collect();
    let config = words.iter().position(|word| *word == "--config").and_then(|at| words.get(at + 1));
    if let Some(config) = config {
        session.config_path = PathBuf::from(config);
    }
    let values = wanted(&words).map(|wanted| values(&wanted, session));
    for value in values.and_then(Result::ok).unwrap_or_default() {
        // A shell may expand it.
        if is_cron_name(&value) {
            session.output.line(&value)?;
        }
    }
    Ok(())
}

fn wanted(words: &[&str]) -> Option<Wanted> {
    let [before @ .., _] = words else { return None };
    let mut verbs = before.iter().filter(|word| !word.starts_with('-'));
    let (verb, noun) = (*verbs.next()?, verbs.next().copied());
    match (*before.last()?, verb) {
        ("--cron", _) => return Some(Wanted::Crons),
        ("--run", _) => return Some(Wanted::Runs(RunFilter::default())),
        ("--trigger", _) => return Some(Wanted::Words(vec![Trigger::WORDS])),
        ("--reason", _) => return Some(Wanted::Words(vec![ReasonCode::WORDS])),
        ("--status", "webhook") => return Some(Wanted::Words(vec![DeliveryStatus::WORDS])),
        ("--status", _) => return Some(Wanted::Words(vec![Status::WORDS, Phase::WORDS])),
        // It may take a value of any kind.
        (option, _) if option.starts_with('-') => return None,
        (_, _) => {}
    }
    match (verb, noun) {
        (
            "next" | "list" | "history" | "explain" | "trigger" | "pause" | "resume" | "skip-next"
            | "backfill",
            _,
        ) => Some(Wanted::Crons),
        ("show", _) => Some(Wanted::CronsAndRuns),
        ("cancel", _) => {
            let phases = vec![Phase::Pending, Phase::Sending, Phase::Unconfirmed, Phase::Running];
            Some(Wanted::Runs(RunFilter { phases, ..RunFilter::default() }))
        }
        ("webhook", Some("show" | "replay")) => Some(Wanted::Webhooks),
        (_, _) => None,
    }
}

fn values(wanted: &Wanted, session: &mut Session) -> Result<Vec<String>, Failure> {
    if let Wanted::Words(sets) = wanted {
        return Ok(sets.iter().flat_map(|set| set.iter()).map(|word| (*word).to_owned()).collect());
    }
    let reader = session.open_store()?;
    let crons =
        || -> Result<Vec<String>, Failure> { Ok(reader.crons()?.into_iter().map(|row| row.name).collect()) };
    let runs = |filter: &RunFilter| -> Result<Vec<String>, Failure> {
        let rows = reader.runs_before(filter, None, LATEST)?;
        Ok(rows.into_iter().map(|(_, row)| short(&row.run.run_id)).collect())
    };
    Ok(match wanted {
        Wanted::Crons => crons()?,
        Wanted::CronsAndRuns => [crons()?, runs(&RunFilter::default())?].concat(),
        Wanted::Runs(filter) => runs(filter)?,
        Wanted::Webhooks => {
            let rows = reader.webhooks(&DeliveryFilter::default(), LATEST)?;
            rows.iter().map(|row| short(&row.delivery.delivery_id)).collect()
        }
        Wanted::Words(_) => Vec::new(),
    })
}

fn short(id: &impl std::fmt::Display) -> String {
    let mut id = id.to_string();
    id.truncate(ID_CHARS_SHOWN);
    id
}
