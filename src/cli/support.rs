//! `agentcron support`: one file for a bug report, without secrets and without what graphs were given and returned.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::status::Question;
use super::terminal::{Failure, Session, get};
use crate::api::wire::{LogTail, StatusReport};
use crate::config::{self, ConfigError, LEFT_OUT, Loaded, host_of, redacted_file};
use crate::domain::bounds::READ_WAIT;
use crate::domain::printable::on_lines;
use crate::present::attention::Concern;
use crate::store::NoticeKind;

/// Write one file for a bug report: versions, status, configuration, log, without secrets
#[derive(Args, Debug)]
#[command(after_help = "\
Left out are secrets, comments, notes, the inputs of crons, all that graphs were
given, asked, returned or failed with, mistaken values, and the paths of URLs.
What is not known to be harmless is left out too. Read the file all the same
before you send it.

Works while the daemon is down, without its last log lines. The file is readable
by you only, and none is overwritten.

Examples:
  agentcron support
  agentcron support /tmp/agentcron-support.txt")]
pub(super) struct Support {
    /// The file to write
    #[arg(value_name = "FILE", default_value = "agentcron-support.txt")]
    file: PathBuf,
}

const HEAD: &str = "\
Support file of agentcron. READ IT BEFORE YOU SEND IT: names of crons, hosts, paths of files and messages of the agent server are in it.

Left out: secrets, comments, inputs and mistaken values in the configuration; notes of people; what graphs were
given, asked, returned or failed with; user, path and query of URLs; and whatever is not known to be harmless.
";

pub(super) fn support(support: &Support, session: &mut Session) -> Result<(), Failure> {
    let path = &support.file;
    // First, since nothing is overwritten.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file =
        file.map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
    let text = text(session);
    file.write_all(text.as_bytes())?;
    if session.output.is_json() {
        return Ok(session.output.json(&json!({ "written": path.display().to_string() }))?);
    }
    let path = path.display();
    session.output.line(&format!("wrote {path}; read it before you send it"))?;
    Ok(())
}

/// Returns the whole file. What cannot be found out says why.
fn text(session: &mut Session) -> String {
    let question = Question::of(session);
    let status = question.and_then(|question| question.report()).map(|mut report| {
        redact(&mut report);
        hosts_only(&serde_json::to_string_pretty(&report).unwrap_or_default())
    });
    let loaded = config::load_partly(&session.config_path, &session.environment.for_looking());
    let found: Vec<ConfigError> = loaded.mistakes.iter().chain(&loaded.warnings).cloned().collect();
    let sections = [
        ("Versions", Ok(versions(session))),
        ("Status", status),
        ("Database", database(session)),
        ("Settings", Ok(config::effective_settings(&session.config_path, &found))),
        ("Configuration", Ok(configuration(&loaded, &found))),
        ("Log", log(session)),
    ];
    let mut text = HEAD.to_owned();
    for (name, content) in sections {
        let content = content.unwrap_or_else(|failure| format!("not known: {failure}"));
        text += &format!("\n==== {name}\n\n{}\n", on_lines(content.trim_end()));
    }
    text
}

fn versions(session: &Session) -> String {
    let first = |path: &str, key: &str| {
        let read = config::read_regular(Path::new(path), config::FILE_BYTES_MAX).unwrap_or_default();
        let text = String::from_utf8_lossy(&read);
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown");
        line.trim_matches('"').to_owned()
    };
    format!(
        "agentcron {}\n{} on {}, kernel {}\nwritten at {}",
        env!("CARGO_PKG_VERSION"),
        first("/etc/os-release", "PRETTY_NAME="),
        std::env::consts::ARCH,
        first("/proc/sys/kernel/osrelease", ""),
        session.now(),
    )
}

/// Returns the text with no more than the host of each URL in it: its path may be a token.
fn hosts_only(text: &str) -> String {
    let ends = |char: char| char.is_whitespace() || "\"'`<>".contains(char);
    // A placeholder in a URL ends no word.
    let text = text.replace("${{ ", "${{").replace(" }}", "}}");
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends) {
        let Some(at) = piece.find("://") else {
            shown.push_str(piece);
            continue;
        };
        let begin = piece[..at].trim_end_matches(|char: char| char.is_ascii_alphanumeric()).len();
        let end = piece.trim_end_matches(|char| ends(char) || ":.,;)".contains(char)).len().max(begin);
        shown.push_str(&piece[..begin]);
        shown.push_str(&host_of(&piece[begin..end]));
        shown.push_str(&piece[end..]);
    }
    shown
}

/// Leaves out what graphs failed with, and what people wrote: notes, and what the files have that is mistaken.
fn redact(report: &mut StatusReport) {
    let left_out = || LEFT_OUT.to_owned();
    for found in report.attention.iter_mut().filter(|found| quotes(found.what.0)) {
        found.text = left_out();
    }
    for notice in report.notices.iter_mut().filter(|notice| notice.kind.0 == NoticeKind::Configuration) {
        notice.detail = left_out();
    }
    if let Some(note) = report.all_paused.as_mut().and_then(|pause| pause.note.as_mut()) {
        *note = left_out();
    }
}

/// Returns whether what is said of this may quote what people wrote, in a note or in a file, or what a graph failed with.
fn quotes(concern: Concern) -> bool {
    match concern {
        Concern::AllPaused
        | Concern::Configuration
        | Concern::CronUnreadable
        | Concern::CronFailing
        | Concern::CronPaused
        | Concern::WebhooksHeld => true,
        Concern::Daemon
        | Concern::LoopStuck
        | Concern::Disk
        | Concern::Store
        | Concern::Backend
        | Concern::Unstarted
        | Concern::StoreCopy
        | Concern::Panicked
        | Concern::DiskLow
        | Concern::Denied
        | Concern::Receiver
        | Concern::Undelivered
        | Concern::UrlSuspended
        | Concern::WebhooksLost
        | Concern::Backup
        | Concern::Listen
        | Concern::WebhooksDisabled
        | Concern::WebhooksReleased
        | Concern::ClockStep => false,
    }
}

/// Returns a text without what it quotes in backticks, unless that is the name of a key, or a command of ours.
fn without_quotes(text: &str) -> String {
    let is_known = |quoted: &str| {
        let bare = quoted.trim_matches(['[', ']']);
        bare.split('.').all(config::is_name) || quoted.starts_with("agentcron ")
    };
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        1 if !is_known(part) => format!("`{LEFT_OUT}`"),
        1 => format!("`{part}`"),
        _ => part.to_owned(),
    });
    parts.collect()
}

fn database(session: &mut Session) -> Result<String, Failure> {
    let counts = session.open_store()?.row_counts()?;
    Ok(counts.iter().map(|(table, count)| format!("{table}: {count} rows\n")).collect())
}

fn configuration(loaded: &Loaded, found: &[ConfigError]) -> String {
    let mut text = String::new();
    for mistake in found {
        // What it shows of the file may hold what was meant for another key.
        let mistake = ConfigError { excerpt: None, ..mistake.clone() };
        text += &without_quotes(&hosts_only(&format!("{mistake}\n")));
    }
    let shown = |path: &Path| format!("\n---- {}\n{}", path.display(), redacted_file(path, found));
    text + &loaded.sources.files.iter().map(|path| shown(path)).collect::<String>()
}

fn log(session: &mut Session) -> Result<String, Failure> {
    let hint = "its log is on its stderr; under systemd: journalctl -u agentcron";
    let tail = session.socket_path().map(|socket| get(&socket, "/v1/log", READ_WAIT));
    match tail {
        Ok(Ok(LogTail { lines })) => {
            Ok(lines.iter().map(|line| without_quotes(&hosts_only(line)) + "\n").collect())
        }
        Ok(Err(_)) | Err(_) => Err(Failure::Failed(format!("no daemon responds; {hint}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_every_url_only_the_host_is_left() {
        for (text, shown) in [
            (
                "receiver http://a.example/hook/t0ken unreachable: 500",
                "receiver http://a.example/… unreachable: 500",
            ),
            ("\"https://u:p@a.example:8443\", next", "\"https://a.example:8443\", next"),
            ("url=https://a.example/${{ env.TOKEN }}/x?y=z.", "url=(left out)."),
            ("url=https://a.example/x?token=t0ken,t0ken;t0ken", "url=https://a.example/…"),
            ("é://x", "é(left out)"),
            ("(see https://a.example/x): no", "(see https://a.example/…): no"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(hosts_only(text), shown);
        }
    }

    #[test]
    fn of_what_is_quoted_only_names_of_ours_are_left() {
        for (text, shown) in [
            (
                "a.toml:3:9: got `s3cret`, expected `30s`",
                "a.toml:3:9: got `(left out)`, expected `(left out)`",
            ),
            ("unknown key `s3cret` in `[backend]`", "unknown key `(left out)` in `[backend]`"),
            ("`store.backup` and `agentcron check`", "`store.backup` and `agentcron check`"),
            ("an open `s3cret", "an open `(left out)`"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_quotes(text), shown);
        }
    }
}
