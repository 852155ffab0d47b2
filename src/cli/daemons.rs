//! `agentcron daemons`: the daemons of the store, and what each holds.

use clap::Args;

use super::terminal::{Failure, NoResponse, Rows, Session, Shape, Shrink, TableOptions, get, printable};
use crate::api::wire::{Daemon, Page};
use crate::domain::bounds::READ_WAIT;
use crate::present::{daemons as shown, times};
use crate::store::{Reader, daemon_state};

/// List the daemons of the store, and what each holds: lost ones first, then those about to end
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. Several daemons are listed if they share the
store. Each start has another number.

Examples:
  agentcron daemons
  agentcron daemons --json | jq -r 'select(.state == \"lost\") | .host'

Columns:
  state  live, draining (about to end: it begins nothing more), or lost (no sign of life;
         the others recover what it holds)
  holds  the runs, webhooks and threads to delete that it has claimed")]
pub(super) struct Daemons {
    #[command(flatten)]
    table: TableOptions,
}

const SHAPE: Shape = Shape {
    columns: &["number", "state", "host", "pid", "version", "started", "seen", "holds"],
    usual: &[6, 8, 16, 7, 8, 19, 13, 26],
    shrink: &[Shrink::Omit("version"), Shrink::Omit("pid"), Shrink::Below("holds")],
};

pub(super) fn daemons(daemons: &Daemons, session: &mut Session) -> Result<(), Failure> {
    let found = found(session)?;
    if session.output.is_json() {
        return Ok(found.iter().try_for_each(|daemon| session.output.json(daemon))?);
    }
    if found.is_empty() {
        return Ok(session.output.line("no daemon")?);
    }
    let mut rows = Rows::new(&SHAPE).with_options(&daemons.table)?.in_zone("started", &session.zone);
    for daemon in &found {
        rows.push(cells(daemon, session));
    }
    Ok(session.output.table(rows)?)
}

/// Returns the daemons: from one that responds, which knows whether it has the store alone, or else from the database.
fn found(session: &mut Session) -> Result<Vec<Daemon>, Failure> {
    let place = session.place();
    let socket = session.socket_path().map_err(|_| NoResponse::NotAllowed);
    match socket.and_then(|socket| get(&socket, "/v1/daemons", READ_WAIT)) {
        Ok(Page { items, .. }) => Ok(items),
        Err(_) => {
            let (place, now) = (place?, session.now());
            let state = daemon_state(&place, now);
            let daemons = Reader::connect(&place)?.daemons(place.sharing(), &state, now)?;
            Ok(daemons.iter().map(Daemon::of).collect())
        }
    }
}

fn cells(daemon: &Daemon, session: &Session) -> Vec<String> {
    vec![
        daemon.number.to_string(),
        session.output.paint(shown::tone(daemon.state.0), daemon.state.0.as_str()),
        printable(&daemon.host),
        daemon.pid.to_string(),
        printable(&daemon.version),
        times::local(daemon.started_at.0, &session.zone),
        times::relative(daemon.seen_at.0, session.now()),
        shown::holds(daemon.holds.runs, daemon.holds.webhooks, daemon.holds.threads),
    ]
}
