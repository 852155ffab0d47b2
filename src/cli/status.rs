//! `agentcron status`: is the daemon running, is it healthy, and does it run what the files say.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::terminal::{Failure, Session, printable};
use crate::api::wire::{Configuration, StatusReport, StatusSnapshot};
use crate::config::{self, KeptCron};
use crate::domain::cron::CronSource;
use crate::domain::ids::DefinitionId;
use crate::domain::outage::Outage;
use crate::present::{Tone, counted, times, webhooks};
use crate::store::{CronRow, DaemonState, Denied, Notice, NoticeKind, Reader, daemon_state, exposure};

/// Show the state of the daemon and of the last 24 hours
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down.

Examples:
  agentcron status
  agentcron status --json | jq .daemon.running")]
pub(super) struct Status {}

pub(super) fn status(_: &Status, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_path()?;
    let daemon = daemon_state(&store);
    let now = session.now();
    // A file that this user may not see is not missing.
    let snapshot = match store.try_exists() {
        Ok(false) => StatusSnapshot::empty(),
        _ => StatusSnapshot::read(&Reader::open(&store)?, now)?,
    };
    if let Some(warning) = exposure(&store) {
        session.output.warn(&warning)?;
    }
    let files = compare_files(session, &snapshot.crons);
    if session.output.is_json() {
        return Ok(session.output.json(&StatusReport::of(&store, &daemon, files, &snapshot, now))?);
    }
    let is_worst = |notice: &&Notice| notice.kind == NoticeKind::StoreCopy;
    print_notices(snapshot.notices.iter().filter(is_worst), session)?;
    if let Some(notice) = webhooks::queue_notice(&snapshot.queue, &session.zone) {
        let notice = session.output.paint(Tone::Attention, &printable(&notice));
        session.output.line(&notice)?;
    }
    if matches!(daemon, DaemonState::Running { .. }) {
        print_outages(&snapshot.outages, session)?;
    }
    let next = snapshot.next(now).map_or("nothing scheduled".to_owned(), |(at, name)| {
        let at = format!("{} ({})", times::local_with_day(at, &session.zone), times::relative(at, now));
        format!("{}, {at}", printable(name))
    });
    let StatusSnapshot { overview, crons, notices, queue, .. } = &snapshot;
    let mut fields = vec![
        ("daemon", daemon_text(&daemon, session)),
        ("store", store_text(&store, session)),
        ("configuration", files_text(&files, notices, session)),
        ("crons", crons_text(crons)),
        ("next", next),
        ("runs, 24 h", counts_text(&overview.ended)),
        ("in progress", counts_text(&overview.in_progress)),
        ("webhooks, 24 h", counts_text(&overview.deliveries)),
        ("webhooks queued", overview.deliveries_waiting.to_string()),
    ];
    fields.extend(webhooks::suppressed_text(queue).map(|text| ("suppressed", text)));
    session.output.fields(&fields)?;
    if let Some(text) = denied_text(overview.denied) {
        let label = session.output.paint(Tone::Bad, "no access");
        session.output.line(&format!("{label}: {text}"))?;
    }
    print_notices(notices.iter().filter(|notice| !is_worst(notice)), session)
}

/// Prints the outages that last.
fn print_outages(outages: &[Outage], session: &mut Session) -> Result<(), Failure> {
    let now = session.now();
    for outage in outages.iter().filter(|outage| outage.until.is_none()) {
        let label = session.output.paint(Tone::Bad, &printable(&format!("{} unreachable", outage.called())));
        let since = times::local_with_day(outage.since, &session.zone);
        let ago = times::relative(outage.since, now);
        session.output.line(&format!("{label} since {since} ({ago}): {}", printable(&outage.why)))?;
    }
    Ok(())
}

/// Prints what the daemon itself has noticed.
fn print_notices<'n>(
    notices: impl Iterator<Item = &'n Notice>,
    session: &mut Session,
) -> Result<(), Failure> {
    let now = session.now();
    for notice in notices {
        let (label, tone, text) = match notice.kind {
            NoticeKind::StoreCopy => ("copy of this store", Tone::Bad, notice.detail.as_str()),
            NoticeKind::Configuration => {
                ("configuration", Tone::Bad, "not all of it is in force as the files have it:")
            }
            NoticeKind::ClockStep => ("clock step", Tone::Attention, notice.detail.as_str()),
            NoticeKind::Listen => ("not listening", Tone::Bad, notice.detail.as_str()),
        };
        let label = session.output.paint(tone, label);
        let since = times::relative(notice.at, now);
        session.output.line(&format!("{label} ({since}): {}", printable(text)))?;
        if notice.kind == NoticeKind::Configuration {
            for line in notice.detail.lines() {
                session.output.line(&format!("  {}", printable(line)))?;
            }
        }
    }
    Ok(())
}

/// Compares the configuration files with the crons that the daemon has.
fn compare_files(session: &Session, crons: &[CronRow]) -> Configuration {
    if !session.config_path.exists() {
        return Configuration::Missing;
    }
    let config = match config::load(&session.config_path, &session.environment.for_looking()) {
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
    // What only the daemon has values for is not known here.
    let is_removed = |row: &&&CronRow| {
        let (name, location) = (row.name.clone(), row.location.clone().unwrap_or_default());
        !config.kept.keep(&KeptCron { name, location })
    };
    let removed = stored.values().filter(is_removed).count();
    match (added, changed, removed) {
        (0, 0, 0) => Configuration::Same,
        _ => Configuration::Different { added, changed, removed },
    }
}

fn daemon_text(daemon: &DaemonState, session: &Session) -> String {
    match daemon {
        DaemonState::Running { pid } => {
            let running = session.output.paint(Tone::Good, "running");
            pid.map_or(running.clone(), |pid| format!("{running} (pid {pid})"))
        }
        DaemonState::Stopped => session.output.paint(Tone::Bad, "not running"),
        DaemonState::Unknown(problem) => format!("unknown: its lock file cannot be read: {problem}"),
    }
}

fn store_text(store: &Path, session: &Session) -> String {
    match std::fs::metadata(store) {
        Ok(metadata) => {
            // The latest changes are in the write-ahead log beside the file.
            let mut log = store.as_os_str().to_owned();
            log.push("-wal");
            let log_bytes = std::fs::metadata(log).map_or(0, |log| log.len());
            let kibibytes = (metadata.len() + log_bytes).div_ceil(1024);
            format!("{} ({kibibytes} KiB)", store.display())
        }
        Err(_) => {
            let none = session.output.paint(Tone::Attention, "no database yet");
            format!("{} ({none}; `agentcron run` creates it)", store.display())
        }
    }
}

fn files_text(files: &Configuration, notices: &[Notice], session: &Session) -> String {
    let path = session.config_path.display();
    let attention = |text: &str| session.output.paint(Tone::Attention, text);
    let refused = notices.iter().any(|notice| notice.kind == NoticeKind::Configuration);
    match files {
        // The daemon has variables and credentials of its own: what is valid here may be wrong there.
        Configuration::Same | Configuration::Different { .. } if refused => {
            format!("{path} ({}, see below)", attention("not all of it is in force"))
        }
        Configuration::Same => format!("{path} (in use)"),
        Configuration::Different { added, changed, removed } => {
            let differs = attention("differs from what the daemon uses");
            format!("{path} ({differs}: {added} added, {changed} changed, {removed} removed)")
        }
        Configuration::Mistakes { mistakes } => {
            let mistakes = attention(&counted(*mistakes as u64, "mistake"));
            format!("{path} ({mistakes}; see `agentcron check`)")
        }
        Configuration::Missing => format!("{path} ({})", attention("there is no such file")),
    }
}

fn crons_text(crons: &[CronRow]) -> String {
    let disabled = crons.iter().filter(|row| row.cron.as_ref().is_ok_and(|cron| !cron.enabled)).count();
    let paused = crons.iter().filter(|row| row.state.paused.is_some()).count();
    let unreadable = crons.iter().filter(|row| row.cron.is_err()).count();
    let mut text = crons.len().to_string();
    if disabled > 0 {
        text.push_str(&format!(", {disabled} disabled"));
    }
    if paused > 0 {
        text.push_str(&format!(", {paused} paused"));
    }
    if unreadable > 0 {
        text.push_str(&format!(", {unreadable} unreadable (see `agentcron list`)"));
    }
    text
}

/// Returns what the agent server refuses us, and what to do about it; `None` if it refuses nothing.
fn denied_text(denied: Denied) -> Option<String> {
    let runs = (denied.runs > 0).then(|| format!("{} cannot be followed", counted(denied.runs, "run")));
    let threads =
        (denied.threads > 0).then(|| format!("{} cannot be deleted", counted(denied.threads, "thread")));
    let what: Vec<String> = [runs, threads].into_iter().flatten().collect();
    let advice = "the agent server refuses us; set backend.api_key or backend.headers to credentials that see everything";
    (!what.is_empty()).then(|| format!("{}: {advice}", what.join(", ")))
}

/// Returns `12 success, 1 error`.
fn counts_text<Word: std::fmt::Display>(counts: &[(Word, u64)]) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}
