//! `agentcron init`: writes a configuration to start from, which explains itself and passes `check`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Session, TextStyle};
use crate::config::STARTER_FILES;

/// What the starter says about the database, and what it says in a folder of the system's configuration: there, the
/// default is the folder that the unit may write to.
const STORE_BESIDE: &str = "path = \"agentcron.db\"                   # relative to this file";
const STORE_OF_SYSTEM: &str = "# path = \"/var/lib/agentcron/agentcron.db\"";

/// Write a commented configuration to start from
#[derive(Args, Debug)]
#[command(after_help = "\
Existing files are never overwritten.

Examples:
  agentcron init                     in this directory
  agentcron init /etc/agentcron      for the systemd unit")]
pub(super) struct Init {
    /// The directory to write to; created if it does not exist
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(super) fn init(init: &Init, session: &mut Session) -> Result<(), Failure> {
    let is_of_system = std::path::absolute(&init.dir)?.starts_with("/etc");
    let text = |text: &str| match is_of_system {
        true => text.replace(STORE_BESIDE, STORE_OF_SYSTEM),
        false => text.to_owned(),
    };
    let paths: Vec<(PathBuf, String)> =
        STARTER_FILES.iter().map(|(name, content)| (init.dir.join(name), text(content))).collect();
    // All files or none, as far as that can be known beforehand.
    if let Some((path, _)) = paths.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::Failed(format!(
            "{} exists already; nothing was written. Choose another directory: agentcron init DIR",
            path.display()
        )));
    }
    for (path, text) in &paths {
        write(path, text)
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
    }
    if session.output.is_json() {
        for (path, _) in &paths {
            session.output.json(&json!({ "written": path.display().to_string() }))?;
        }
        return Ok(());
    }
    print_next_steps(&paths, session)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn print_next_steps(paths: &[(PathBuf, String)], session: &mut Session) -> Result<(), Failure> {
    for (path, _) in paths {
        session.output.line(&format!("wrote {}", path.display()))?;
    }
    let config = paths.first().map(|(path, _)| path.display().to_string()).unwrap_or_default();
    let next = session.output.paint(TextStyle::Bold, "Next:");
    session.output.text(&format!(
        "\n{next}
  1. set backend.url in {config} to your agent server
  2. agentcron check --config {config}
  3. agentcron run --config {config}
  4. agentcron history --follow --config {config}\n"
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_has_the_line_that_is_replaced() {
        assert!(STARTER_FILES[0].1.contains(STORE_BESIDE));
    }
}
