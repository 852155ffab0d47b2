//! `agentcron backup`: a copy of the database while it is in use.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Progress, Session};
use crate::config::StoreLocation;
use crate::store::{BackupProgress, StoreError, back_up};

/// Copy the database to a file, while the daemon runs or not
#[derive(Args, Debug)]
#[command(after_help = "\
The copy is as the database is now, in one file with mode 0600. Every page of it
is checked before the file appears. `agentcron restore` puts it back.

The daemon can make backups by itself: set backup.schedule and backup.dir in [store].

Examples:
  agentcron backup agentcron-backup.db
  agentcron backup \"/var/backups/agentcron-$(date +%F).db\"")]
pub(super) struct Backup {
    /// The file to write, which must not exist
    file: PathBuf,
}

pub(super) fn backup(backup: &Backup, session: &mut Session) -> Result<(), Failure> {
    let store = match session.store_location()? {
        StoreLocation::File(path) => path,
        StoreLocation::Server(_) => return dump_instead(&backup.file, session),
    };
    let bytes = back_up(&store, &backup.file, &mut shown(Progress::new()))?;
    if session.output.is_json() {
        return Ok(session.output.json(&json!({ "file": backup.file, "bytes": bytes }))?);
    }
    let line = format!(
        "{} copied to {} ({} KiB), and checked",
        store.display(),
        backup.file.display(),
        bytes / 1024
    );
    Ok(session.output.line(&line)?)
}

/// Prints how a server is backed up, which is its own business.
fn dump_instead(file: &Path, session: &mut Session) -> Result<(), Failure> {
    let url = session.place().ok().and_then(|place| place.server_url());
    let url = url.unwrap_or_else(|| "postgres://…".to_owned());
    let command = format!("pg_dump --format=custom --schema=agentcron --file={} {url}", file.display());
    if session.output.is_json() {
        return Ok(session.output.json(&json!({ "command": command }))?);
    }
    session
        .output
        .warn("nothing was copied: the store is on a PostgreSQL server, which has its own means")?;
    Ok(session.output.line(&command)?)
}

/// Returns what shows how far a copy is.
pub(super) fn shown(mut progress: Progress) -> impl FnMut(BackupProgress) -> Result<(), StoreError> {
    move |at| {
        match at {
            BackupProgress::Copied { pages, of } => {
                progress.show(&format!("copied {} %", pages * 100 / of.max(1)));
            }
            BackupProgress::Checking => progress.show("checking every page of the copy"),
        }
        Ok(())
    }
}
