//! `agentcron migrate`: moves a store from a file to the PostgreSQL server of the configuration.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::terminal::{Failure, Progress, Session};
use crate::config::StoreLocation;
use crate::present::counted;
use crate::store::{MovedTable, Place, migrate as move_store};

/// Move the store from a SQLite file to the PostgreSQL server of `store.url`
#[derive(Args, Debug)]
#[command(after_help = "\
Stop the daemon, write store.url into the configuration, and run this. Crons,
history, webhooks and the store's own id are moved in one transaction, and the
rows of every table are counted on both sides. The file stays as it is, but no
daemon begins with it any more.

Examples:
  agentcron migrate --from /var/lib/agentcron/agentcron.db
  agentcron migrate --from agentcron.db --json | jq .tables.runs")]
pub(super) struct Migrate {
    /// The file with the store
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

pub(super) fn migrate(migrate: &Migrate, session: &mut Session) -> Result<(), Failure> {
    let location = session.store_location()?;
    if location.file().is_some() {
        return Err(Failure::Usage(
            "the configuration names no server to move the store to; write store.url, as in \
             `[store]` and `url = \"postgres://agentcron@db.internal/agentcron\"`"
                .to_owned(),
        ));
    }
    let place = place(&location, session)?;
    let mut shown = Progress::new();
    let moved = move_store(&migrate.from, &place, &session.clock, |table, rows| {
        shown.show(&format!("{table}: {rows} rows moved"));
    })?;
    drop(shown);
    if session.output.is_json() {
        let tables: serde_json::Map<String, serde_json::Value> =
            moved.into_iter().map(|table| (table.name, table.rows.into())).collect();
        return Ok(session
            .output
            .json(&json!({ "from": migrate.from, "to": place.to_string(), "tables": tables }))?);
    }
    let of = |name: &str| moved.iter().find(|table| table.name == name).map_or(0, |table| table.rows);
    let all: u64 = moved.iter().map(|MovedTable { rows, .. }| rows).sum();
    let lines = [
        format!("{} is moved to {place}", migrate.from.display()),
        format!(
            "{}, {} and {}: {} of {}, counted on both sides",
            counted(of("crons"), "cron"),
            counted(of("runs"), "run"),
            counted(of("deliveries"), "webhook"),
            counted(all, "row"),
            counted(moved.len() as u64, "table")
        ),
        "no daemon begins with the file any more; start the daemon to go on".to_owned(),
    ];
    Ok(lines.iter().try_for_each(|line| session.output.line(line))?)
}

fn place(location: &StoreLocation, session: &mut Session) -> Result<Place, Failure> {
    Place::of(location).map_err(|error| {
        let path = session.config_path.display();
        Failure::Failed(format!("{error}; {path} names a secret that cannot be read here: run this as root, or as the daemon's user"))
    })
}
