//! `agentcron status`: is the daemon running, is all well, does it run what the files say.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::failure::Failure;
use super::output::{Style, several};
use super::session::Session;
use super::times;
use super::webhook::delivery_mode;
use crate::api::wire::{Configuration, Facts, State};
use crate::config;
use crate::domain::cron::CronSource;
use crate::domain::ids::DefinitionId;
use crate::store::{CronRow, DaemonState, Notice, NoticeKind, Reader, daemon_state};

/// Show the state of the daemon, of the configuration and of the last 24 hours.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron status
  agentcron status --json | jq .daemon.running

Works while the daemon is down.")]
pub(super) struct Status {}

pub(super) fn status(_: &Status, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_path()?;
    let daemon = daemon_state(&store);
    let now = session.now();
    let facts = if store.exists() { Facts::read(&Reader::open(&store)?, now)? } else { Facts::none() };
    let file = file_state(session, &facts.crons);
    if session.output.is_json() {
        return Ok(session.output.json(&State::of(&store, &daemon, file, &facts, now))?);
    }
    let next = facts.next(now);
    let next = next.map_or("nothing is to come".to_owned(), |(at, name)| {
        format!("{name}, {} ({})", times::local_with_day(at, &session.zone), times::relative(at, now))
    });
    if let Some(words) = delivery_mode::words(&facts.mode, session) {
        let words = session.output.paint(Style::Odd, &words);
        session.output.line(&words)?;
    }
    let Facts { overview, crons, notices, mode } = &facts;
    let mut lines = vec![
        ("daemon", daemon_text(&daemon, session)),
        ("store", store_text(&store, session)),
        ("configuration", file_text(&file, notices, session)),
        ("crons", crons_text(crons)),
        ("next", next),
        ("runs, 24 h", counted(&overview.ended)),
        ("not over", counted(&overview.in_progress)),
        ("webhooks, 24 h", counted(&overview.deliveries)),
        ("waiting", several(overview.deliveries_waiting, "webhook")),
    ];
    lines.extend(delivery_mode::suppressed_text(mode).map(|words| ("suppressed", words)));
    for (name, value) in lines {
        let name = session.output.paint(Style::Dim, &format!("{name:<14}"));
        session.output.line(&format!("{name} {value}"))?;
    }
    print_notices(notices, session)
}

/// What the daemon has to say of itself.
fn print_notices(notices: &[Notice], session: &mut Session) -> Result<(), Failure> {
    let now = session.now();
    for notice in notices {
        let (name, style, words) = match notice.kind {
            NoticeKind::Configuration => {
                ("not taken up", Style::Bad, "the last good configuration goes on, since in the files:")
            }
            NoticeKind::ClockStep => ("clock step", Style::Odd, notice.detail.as_str()),
            NoticeKind::Listen => ("not listening", Style::Bad, notice.detail.as_str()),
        };
        let name = session.output.paint(style, &format!("{name:<14}"));
        session.output.line(&format!("{name} {words} ({})", times::relative(notice.at, now)))?;
        if notice.kind == NoticeKind::Configuration {
            for line in notice.detail.lines() {
                session.output.line(&format!("  {line}"))?;
            }
        }
    }
    Ok(())
}

fn file_state(session: &Session, crons: &[CronRow]) -> Configuration {
    if !session.config_path.exists() {
        return Configuration::Missing;
    }
    let config = match config::load(&session.config_path, &session.environment) {
        Ok(config) => config,
        Err(errors) => return Configuration::Mistakes { mistakes: errors.0.len() },
    };
    let from_files = crons.iter().filter(|row| row.source == CronSource::File);
    let mut stored: BTreeMap<&str, &CronRow> = from_files.map(|row| (row.name.as_str(), row)).collect();
    let (mut added, mut changed) = (0, 0);
    for definition in &config.crons {
        match stored.remove(definition.cron.name.as_str()) {
            None => added += 1,
            Some(row) => {
                let body = serde_json::to_string(&definition.fields).unwrap_or_default();
                changed += usize::from(DefinitionId::of_content(row.cron_id, &body) != row.definition_id);
            }
        }
    }
    let removed = stored.len();
    match (added, changed, removed) {
        (0, 0, 0) => Configuration::Same,
        _ => Configuration::Different { added, changed, removed },
    }
}

fn daemon_text(daemon: &DaemonState, session: &Session) -> String {
    match daemon {
        DaemonState::Running { pid } => {
            let running = session.output.paint(Style::Good, "running");
            pid.map_or(running.clone(), |pid| format!("{running} (pid {pid})"))
        }
        DaemonState::Stopped => session.output.paint(Style::Bad, "not running"),
        DaemonState::Unknown(problem) => format!("unknown: its lock cannot be read: {problem}"),
    }
}

fn store_text(store: &Path, session: &Session) -> String {
    match std::fs::metadata(store) {
        Ok(metadata) => {
            // What was written last stands in the log beside it.
            let mut log = store.as_os_str().to_owned();
            log.push("-wal");
            let log_bytes = std::fs::metadata(log).map_or(0, |log| log.len());
            let kibibytes = (metadata.len() + log_bytes).div_ceil(1024);
            format!("{} ({kibibytes} KiB)", store.display())
        }
        Err(_) => {
            let none = session.output.paint(Style::Odd, "no database yet");
            format!("{} ({none}; `agentcron run` makes it)", store.display())
        }
    }
}

fn file_text(file: &Configuration, notices: &[Notice], session: &Session) -> String {
    let path = session.config_path.display();
    let odd = |text: &str| session.output.paint(Style::Odd, text);
    let refused = notices.iter().any(|notice| notice.kind == NoticeKind::Configuration);
    match file {
        // Variables and credentials are the daemon's own: what is well from here may be wrong from there.
        Configuration::Same | Configuration::Different { .. } if refused => {
            format!("{path} ({}: see below)", odd("not taken up by the daemon"))
        }
        Configuration::Same => format!("{path} (as the daemon has it)"),
        Configuration::Different { added, changed, removed } => {
            let differs = odd("differs from what the daemon has");
            format!("{path} ({differs}: {added} added, {changed} changed, {removed} removed)")
        }
        Configuration::Mistakes { mistakes: count } => {
            let mistakes = odd(&format!("{count} mistakes as seen from here"));
            format!("{path} ({mistakes}; `agentcron check` shows them)")
        }
        Configuration::Missing => format!("{path} ({})", odd("there is no such file")),
    }
}

fn crons_text(crons: &[CronRow]) -> String {
    let disabled = crons.iter().filter(|row| row.cron.as_ref().is_ok_and(|cron| !cron.enabled)).count();
    let paused = crons.iter().filter(|row| row.state.paused.is_some()).count();
    let unreadable = crons.iter().filter(|row| row.cron.is_err()).count();
    let mut words = crons.len().to_string();
    if disabled > 0 {
        words.push_str(&format!(", {disabled} disabled"));
    }
    if paused > 0 {
        words.push_str(&format!(", {paused} paused"));
    }
    if unreadable > 0 {
        words.push_str(&format!(", {unreadable} that cannot be read (`agentcron list`)"));
    }
    words
}

/// `12 success, 1 error`.
fn counted<Word: std::fmt::Display>(counts: &[(Word, u64)]) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}
