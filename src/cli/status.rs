//! `agentcron status`: what is wrong, the worst first, and then what is well.

mod report;

use clap::Args;

use super::terminal::{Failure, Session, print_attention, printable, wrapped};
use crate::api::wire::{
    Attention, Configuration, Daemon, Holds, Notice, Outage, StatusReport, Time, Verdict,
};
use crate::domain::daemon::Life;
use crate::present::attention::Concern;
use crate::present::{Tone, counted, daemons, outages, times, webhooks};
use crate::store::{NoticeKind, exposure};

pub(super) use report::Question;

/// How many outages that are over are printed.
const OUTAGES_PRINTED: usize = 5;

/// Show what is wrong, the worst first, and then what is well
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. Exits with 0 if all is well, 5 if something
needs a person, and 6 if the daemon is not running.

Examples:
  agentcron status
  agentcron status --json | jq -r '.attention[] | .what + \" \" + .text'
  agentcron status > /dev/null || echo 'look at it'")]
pub(super) struct Status {}

pub(super) fn status(_: &Status, session: &mut Session) -> Result<(), Failure> {
    let question = Question::of(session)?;
    let report = question.report()?;
    if let Some(warning) = exposure(question.beside()) {
        session.output.warn(&warning)?;
    }
    match session.output.is_json() {
        true => session.output.json(&report)?,
        false => print(&report, session)?,
    }
    match report.verdict() {
        Verdict::Well => Ok(()),
        verdict => Err(Failure::Unwell(verdict)),
    }
}

fn print(report: &StatusReport, session: &mut Session) -> Result<(), Failure> {
    let found = &report.attention;
    let is_of_files = |one: &Attention| one.what.0 == Concern::Configuration;
    let (first, rest) = found.split_at(found.iter().rposition(is_of_files).map_or(0, |last| last + 1));
    print_attention(first, session)?;
    print_mistakes(report, session)?;
    print_attention(rest, session)?;
    let well = if found.is_empty() { session.output.paint(Tone::Good, "all is well") } else { String::new() };
    session.output.line(&well)?;
    let now = session.now();
    let next = match &report.next {
        _ if report.verdict() == Verdict::DaemonDown => "nothing until the daemon is started".to_owned(),
        Some(next) => {
            let (at, name) = (next.at.0, printable(&next.cron_name));
            format!("{name}, {} ({})", times::local_with_day(at, &session.zone), times::relative(at, now))
        }
        None => "nothing scheduled".to_owned(),
    };
    let mut fields = daemons_text(report, session);
    fields.extend([
        ("store", store_text(report, session)),
        ("configuration", files_text(report.configuration, session)),
        ("crons", crons_text(report)),
        ("next", next),
        ("runs, 24 h", report.ended_24h.to_string()),
        ("in progress", report.in_progress.to_string()),
        ("webhooks, 24 h", report.deliveries_24h.to_string()),
        ("webhooks queued", report.deliveries_waiting.to_string()),
    ]);
    if let Some(Time(at)) = report.backend_heard_at {
        let after_daemons = fields.iter().position(|(label, _)| *label == "store").unwrap_or_default();
        fields.insert(after_daemons, ("agent server", format!("answered {}", times::relative(at, now))));
    }
    fields
        .extend(report.backed_up_at.map(|Time(at)| ("backup", format!("made {}", times::relative(at, now)))));
    fields.extend(webhooks::suppressed_text(report.suppressed).map(|text| ("suppressed", text)));
    fields.extend(outages_text(&report.outages, session));
    Ok(session.output.fields(&fields)?)
}

/// Prints every mistake of the configuration that the daemon has found, with what becomes of it.
fn print_mistakes(report: &StatusReport, session: &mut Session) -> Result<(), Failure> {
    let is_of_files = |notice: &&Notice| notice.kind.0 == NoticeKind::Configuration;
    if let (Configuration::Mistakes { .. }, Some(notice)) =
        (report.configuration, report.notices.iter().find(is_of_files))
    {
        for line in notice.detail.lines() {
            print_mistake(&printable(line), session)?;
        }
    }
    Ok(())
}

/// Prints a line about a mistake, in several if it is long. An excerpt of a file stays as it is, above its caret.
fn print_mistake(line: &str, session: &mut Session) -> Result<(), Failure> {
    if line.starts_with("  | ") {
        return Ok(session.output.line(&format!("    {line}"))?);
    }
    let lines = wrapped(line, session.output.width().saturating_sub(4), 4);
    lines.iter().try_for_each(|line| session.output.line(&format!("    {line}")))?;
    Ok(())
}

fn daemon_text(report: &StatusReport, session: &Session) -> String {
    let daemon = &report.daemon;
    let running = match daemon.running {
        Some(true) => session.output.paint(Tone::Good, "running"),
        Some(false) => return session.output.paint(Tone::Bad, "not running"),
        None => "running, most likely".to_owned(),
    };
    let now = session.now();
    let started = daemon.started_at.map(|Time(at)| {
        format!(", started {} ({})", times::short(at, now, &session.zone), times::relative(at, now))
    });
    let version = daemon.version.as_ref().map(|version| format!(", version {}", printable(version)));
    let pid = daemon.pid.map(|pid| format!(", pid {pid}"));
    [Some(running), started, version, pid].into_iter().flatten().collect()
}

/// Returns a line about the daemon, and one for each of those that share its store, the worst first.
fn daemons_text(report: &StatusReport, session: &Session) -> Vec<(&'static str, String)> {
    let mut lines = vec![("daemon", daemon_text(report, session))];
    if report.daemons.len() > 1 || report.daemons.iter().any(|daemon| daemon.state.0 == Life::Lost) {
        let label = |index| if index == 0 { "daemons" } else { "" };
        let text = |daemon: &Daemon| {
            let state = session.output.paint(daemons::tone(daemon.state.0), daemon.state.0.as_str());
            let Holds { runs, webhooks, threads } = daemon.holds;
            format!(
                "{state}: {} on {}, seen {}, holds {}",
                daemon.number,
                printable(&daemon.host),
                times::relative(daemon.seen_at.0, session.now()),
                daemons::holds(runs, webhooks, threads)
            )
        };
        lines.extend(report.daemons.iter().enumerate().map(|(index, daemon)| (label(index), text(daemon))));
    }
    lines
}

fn store_text(report: &StatusReport, session: &Session) -> String {
    let (store, path) = (&report.store, printable(&report.store.path));
    match store.exists {
        true => format!("{path} ({} KiB)", store.bytes.div_ceil(1024)),
        false => {
            let none = session.output.paint(Tone::Attention, "no database yet");
            format!("{path} ({none}; `agentcron run` creates it)")
        }
    }
}

fn files_text(files: Configuration, session: &Session) -> String {
    let state = match files {
        Configuration::Same => "in use".to_owned(),
        Configuration::Different { .. } => session.output.paint(Tone::Attention, "not in use as it is now"),
        Configuration::Mistakes { mistakes } => {
            let mistakes = counted(mistakes as u64, "mistake");
            session.output.paint(Tone::Bad, &format!("{mistakes}; see `agentcron check`"))
        }
    };
    format!("{} ({state})", session.config_path.display())
}

fn crons_text(report: &StatusReport) -> String {
    match report.crons {
        0 => "none".to_owned(),
        all => format!("{all} ({})", report.crons_by_state),
    }
}

/// Returns a line for each of the last outages that are over.
fn outages_text(outages: &[Outage], session: &Session) -> Vec<(&'static str, String)> {
    let now = session.now();
    let over = outages.iter().filter_map(|outage| {
        let Time(until) = outage.until?;
        Some(printable(&outages::past(&outage.outage(), until, now, &session.zone)))
    });
    let mut lines: Vec<String> = over.collect();
    if lines.len() > OUTAGES_PRINTED {
        let more = lines.split_off(OUTAGES_PRINTED).len();
        lines.push(format!("and {more} more: `agentcron outages --since 1d`"));
    }
    let label = |index| if index == 0 { "outages, 24 h" } else { "" };
    lines.into_iter().enumerate().map(|(index, line)| (label(index), line)).collect()
}
