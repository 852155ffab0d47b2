//! `agentcron check`: every mistake at once, or what the configuration means.

mod online;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, TextStyle, demand_file, in_force, printable};
use crate::config::{self, Config, ConfigErrors, CronDefinition, KeptCron, Loss};
use crate::domain::cron::{Cron, CronSource, Target};
use crate::domain::ids::CronId;
use crate::domain::plan::Decided;
use crate::present::occurrences::of_cron;
use crate::present::{Tone, counted, pitfalls, times};
use crate::store::{DaemonState, NoticeKind, Place, Reader, daemon_state, exposure};

/// How many of the next times are shown.
const TIMES_SHOWN: usize = 3;
/// How many of the last runs are used to estimate how long a run takes.
const RUNS_MEASURED: u32 = 20;

/// Show every mistake in the configuration, or what will fire and when
#[derive(Args, Debug)]
#[command(after_help = "\
Nothing is started or changed. The exit code is 2 if there is any mistake; the
last lines say what a daemon does with these files. A secret that only the
daemon can read is a warning.

Examples:
  agentcron check
  agentcron check ./agentcron.toml
  agentcron check --online")]
pub(super) struct Check {
    /// The configuration to check, instead of --config
    file: Option<PathBuf>,
    /// Also ask the agent server whether it has the assistants, and whether we may use its threads
    #[arg(long)]
    online: bool,
}

pub(super) fn check(check: &Check, session: &mut Session) -> Result<(), Failure> {
    let path = check.file.clone().unwrap_or_else(|| session.config_path.clone());
    demand_file(&path)?;
    let environment = session.environment.for_looking();
    let loaded = config::load_partly(&path, &environment);
    let (mistakes, store) = (ConfigErrors(loaded.mistakes.clone()), loaded.store_location(&environment));
    let config = match store {
        Some(store) => in_force(loaded, store, &environment)?,
        None => return Err(Failure::Mistakes(mistakes, vec!["it does not start".to_owned()])),
    };
    if !mistakes.0.is_empty() {
        let consequences = config.consequences(&kept_crons(&config));
        return Err(Failure::Mistakes(mistakes, consequences));
    }
    session.output.warn_about(&config.warnings)?;
    if let Some(warning) = config.store.location.file().and_then(exposure) {
        session.output.warn(&warning)?;
    }
    // Nothing here needs a daemon: the database is used only if it exists and can be read.
    let place = Place::of(&config.store.location);
    if let Err(error) = place.as_ref().map_or_else(|_| Ok(()), Place::check) {
        session.output.warn(&format!("store: {error}"))?;
    }
    let place = place.ok();
    let history = place.as_ref().and_then(|place| Reader::connect(place).ok());
    let ids = history.as_ref().map(ids_in_store).unwrap_or_default();
    let crons: Vec<(&CronDefinition, Cron)> =
        config.crons.iter().filter_map(|definition| Some((&**definition, definition.cron()?))).collect();
    for (definition, cron) in &crons {
        let took = history.as_ref().and_then(|history| history.durations(&cron.name, RUNS_MEASURED).ok());
        let pitfalls = pitfalls::of_cron(cron, session.now(), &took.unwrap_or_default());
        if session.output.is_json() {
            print_json((definition, cron), ids.get(&cron.name).copied(), &pitfalls, session)?;
        } else {
            print((definition, cron), &pitfalls, session)?;
        }
    }
    let crons: Vec<&Cron> = crons.iter().map(|(_, cron)| cron).collect();
    if let Some(warning) = pitfalls::crowded_second(&crons, session.now()) {
        session.output.warn(&warning)?;
    }
    if !session.output.is_json() {
        print_summary(&config, place.as_ref(), session)?;
    }
    warn_about_daemon(place.as_ref(), history.as_ref(), session)?;
    if check.online { online::check(&path, session) } else { Ok(()) }
}

/// Returns the crons of the database that go on although the files do not define them.
fn kept_crons(config: &Config) -> Vec<KeptCron> {
    let reader = Place::of(&config.store.location).and_then(|place| Reader::connect(&place));
    let crons = reader.and_then(|store| store.cron_heads()).unwrap_or_default();
    let of_files = crons.into_iter().filter(|row| row.source == CronSource::File);
    let is_defined = |name: &str| config.crons.iter().any(|definition| definition.name == name);
    let others = of_files.filter(|row| !is_defined(&row.name));
    let others = others.map(|row| KeptCron { name: row.name, location: row.location.unwrap_or_default() });
    others.filter(|cron| config.kept.keep(cron)).collect()
}

/// Warns if the daemon runs something else, because it does not understand all of these files, or has not reloaded them.
fn warn_about_daemon(
    place: Option<&Place>,
    store: Option<&Reader>,
    session: &mut Session,
) -> Result<(), Failure> {
    let state = place.map(|place| daemon_state(place, session.now()));
    let is_running = matches!(state, Some(DaemonState::Running { .. }));
    let Some(store) = store.filter(|_| is_running) else { return Ok(()) };
    let notices = store.notices()?;
    if let Some(refused) = notices.iter().find(|notice| notice.kind == NoticeKind::Configuration) {
        let detail = printable(&refused.detail);
        session.output.warn(&format!("the running daemon has not reloaded all of the files: {detail}"))?;
    }
    Ok(())
}

fn print(
    (definition, cron): (&CronDefinition, &Cron),
    pitfalls: &[String],
    session: &mut Session,
) -> Result<(), Failure> {
    let (now, zone) = (session.now(), session.zone.clone());
    let name = session.output.paint(TextStyle::Bold, &cron.name);
    let location = session.output.paint(TextStyle::Dim, &definition.location.to_string());
    let output = &mut session.output;
    output.line(&format!("{name}  {location}"))?;
    let calendar = &cron.calendar;
    output.line(&format!("  {}  {}", calendar.expression(), calendar.timezone()))?;
    output.line(&format!("  {}; {}", calendar.describe(), target(definition, cron)))?;
    if !cron.enabled {
        let disabled = output.paint(Tone::Attention, "disabled: it does not fire (enabled = false)");
        output.line(&format!("  {disabled}"))?;
    }
    for pitfall in pitfalls {
        let warning = output.paint(Tone::Attention, "warning:");
        output.line(&format!("  {warning} {pitfall}"))?;
    }
    for upcoming in of_cron(cron, &Decided::default(), now).take(TIMES_SHOWN) {
        let time = times::local_to_both(upcoming.at, &zone, calendar.zone());
        let note = upcoming.note.map(|note| format!("  {note}")).unwrap_or_default();
        output.line(&format!("    {time}  {}{note}", times::relative(upcoming.at, now)))?;
    }
    output.line("")?;
    Ok(())
}

/// Returns the ids of the configuration's crons by their names. The ids are derived from the id of the
/// installation, which is in the database: without one, a cron of a file has no id yet.
fn ids_in_store(store: &Reader) -> HashMap<String, CronId> {
    let crons = store.cron_heads().unwrap_or_default().into_iter();
    crons.filter(|row| row.source == CronSource::File).map(|row| (row.name, row.cron_id)).collect()
}

/// Returns what the cron runs, as the second half of a sentence.
fn target(definition: &CronDefinition, cron: &Cron) -> String {
    let request = &cron.request;
    let assistant = &request.assistant_id;
    match (request.target, definition.fields().thread) {
        // The thread's id is derived in the same way, so the name is shown.
        (Target::Thread(_), Some(name)) => format!("runs {assistant} on the thread `{name}`"),
        (Target::Thread(thread_id), None) => format!("runs {assistant} on thread {thread_id}"),
        (Target::Stateless(_), _) => format!("runs {assistant} on a new thread each time"),
    }
}

fn print_json(
    (definition, cron): (&CronDefinition, &Cron),
    cron_id: Option<CronId>,
    pitfalls: &[String],
    session: &mut Session,
) -> Result<(), Failure> {
    let next: Vec<String> = of_cron(cron, &Decided::default(), session.now())
        .take(TIMES_SHOWN)
        .map(|upcoming| upcoming.at.to_string())
        .collect();
    session.output.json(&json!({
        "cron_id": cron_id.map(|id| id.to_string()),
        "cron_name": cron.name,
        "location": definition.location.to_string(),
        "schedule": cron.calendar.expression(),
        "timezone": cron.calendar.timezone(),
        "description": cron.calendar.describe(),
        "assistant_id": cron.request.assistant_id,
        "enabled": cron.enabled,
        "next": next,
        "warnings": pitfalls,
    }))?;
    Ok(())
}

fn print_summary(config: &Config, place: Option<&Place>, session: &mut Session) -> Result<(), Failure> {
    let crons = match config.crons.len() {
        0 if config.kept.is_empty() => "no crons yet (write a [cron.NAME] table)".to_owned(),
        count => counted(count as u64, "cron"),
    };
    let others = if config.kept.is_empty() { "" } else { ", others not checked here" };
    let backend = match config.unknown.contains(&Loss::Backend) {
        true => "not checked here".to_owned(),
        false => config.backend.url.to_string(),
    };
    let verdict = session.output.paint(Tone::Good, "no mistakes");
    let summary = format!(
        "{verdict} in {}: {crons}{others}, agent server {backend}, store {}",
        config.path.display(),
        place.map_or_else(|| "on the server of store.url".to_owned(), ToString::to_string)
    );
    session.output.line(&summary)?;
    Ok(())
}
