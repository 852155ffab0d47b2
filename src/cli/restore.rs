//! `agentcron restore`: a backup in the place of the database.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::backup::shown;
use super::terminal::{Failure, Progress, Session};
use crate::domain::ids::InstallationId;
use crate::present::{counted, times};
use crate::store::{RestoreAs, RestoredStore, restore as put_back};

/// Put a backup in the place of the database, while no daemon runs
#[derive(Args, Debug)]
#[command(after_help = "\
The database that is there is kept beside it, under another name. What happened
since the backup was made is not known any more. So occurrences of that time are
recorded as missed (`restored`) at the next start, and none is started a second
time: `agentcron backfill` runs those that you want. Runs and webhooks that were
in progress when the backup was made are looked for or sent again.

Examples:
  systemctl stop agentcron && agentcron restore backup.db && systemctl start agentcron
  agentcron restore backup.db --catchup       catch up as each cron's catchup says,
                                              after looking for each on the agent server
  agentcron restore backup.db --as-new        for a copy beside the original")]
pub(super) struct Restore {
    /// The backup, as `agentcron backup` wrote it
    file: PathBuf,
    /// Let `catchup` decide about what was due since the backup, instead of recording it as missed
    #[arg(long, conflicts_with = "as_new")]
    catchup: bool,
    /// Give the store an id of its own, so that it can be used beside the original: it has the history, and nothing of it goes on
    #[arg(long)]
    as_new: bool,
}

pub(super) fn restore(restore: &Restore, session: &mut Session) -> Result<(), Failure> {
    let store = session.store_file("restore the server with pg_restore, as it was dumped")?;
    let restore_as = match (restore.as_new, restore.catchup) {
        (true, _) => RestoreAs::New,
        (false, true) => RestoreAs::CatchUp,
        (false, false) => RestoreAs::Missed,
    };
    let new = InstallationId(Uuid::new_v4());
    let restored =
        put_back(&restore.file, &store, restore_as, new, session.now(), &mut shown(Progress::new()))?;
    let RestoredStore { backup_at, moved_to, runs, deliveries } = &restored;
    if session.output.is_json() {
        let restored = json!({
            "store": store, "backup_at": backup_at.map(|at| at.to_string()), "restored_as": restore_as.as_str(), "moved_to": moved_to,
            "runs_in_progress": runs, "webhooks_queued": deliveries,
        });
        return Ok(session.output.json(&restored)?);
    }
    let at = backup_at.map(|at| times::local_with_day(at, &session.zone));
    let of = at.as_deref().map_or("an empty store".to_owned(), |at| format!("the backup of {at}"));
    let mut lines = vec![format!("{} is restored from {of}", store.display())];
    if let Some(moved_to) = moved_to {
        lines.push(format!("the database that was there is {}", moved_to.display()));
    }
    let (runs, webhooks) = (counted(*runs as u64, "run"), counted(*deliveries as u64, "webhook"));
    let since = at.unwrap_or_default();
    lines.extend(match restore_as {
        RestoreAs::Missed => vec![
            format!("occurrences since {since} are recorded as missed (restored) when the daemon starts"),
            "`agentcron backfill CRON --dry-run` shows those that it can run".to_owned(),
            format!("{runs} in progress then: looked for on the agent server, and not started again"),
            format!("{webhooks} queued then: sent, perhaps a second time, under the same id"),
        ],
        RestoreAs::CatchUp => vec![
            format!("occurrences since {since} are caught up as each cron says, unless the agent server knows them"),
            format!("{runs} in progress then: looked for on the agent server first"),
            format!("{webhooks} queued then: sent, perhaps a second time, under the same id"),
        ],
        RestoreAs::New => vec![
            "it has an id of its own: the crons of the files begin anew, and those of clients are removed".to_owned(),
            format!("{runs} and {webhooks} in progress then are left to the original"),
        ],
    });
    lines.iter().try_for_each(|line| session.output.line(line))?;
    Ok(())
}
