//! `agentcron outages`: when the agent server, a receiver, the disk or the daemon was away.

use clap::Args;
use jiff::Timestamp;

use super::terminal::{Failure, NoResponse, Rows, Session, Shape, Shrink, TableOptions, get, printable};
use crate::api::wire::{self, Page};
use crate::domain::bounds::READ_WAIT;
use crate::present::outages::why;
use crate::present::{Tone, times};
use crate::store::{Reader, daemon_state};

/// List when the agent server, a receiver, the disk or the daemon was away, or the agent server refused
/// the key, newest last
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. The last 10000 outages are kept.

Examples:
  agentcron outages
  agentcron outages --since 30d
  agentcron outages --json --since yesterday | jq 'select(.what == \"backend\")'")]
pub(super) struct Outages {
    /// Only outages that had not ended by this time: such as yesterday or 07:00, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: String,
    #[command(flatten)]
    table: TableOptions,
}

const SHAPE: Shape = Shape {
    columns: &["what", "since", "until", "lasted", "why"],
    usual: &[12, 19, 19, 12, 40],
    shrink: &[Shrink::Below("why")],
};

pub(super) fn outages(outages: &Outages, session: &mut Session) -> Result<(), Failure> {
    let since = session.past("--since", &outages.since)?;
    let mut found = found(since, session)?;
    found.reverse();
    if session.output.is_json() {
        return Ok(found.iter().try_for_each(|outage| session.output.json(outage))?);
    }
    if found.is_empty() {
        return Ok(session.output.line("no outages")?);
    }
    let mut rows = Rows::new(&SHAPE).with_options(&outages.table)?.in_zone("since", &session.zone);
    for outage in &found {
        rows.push(cells(outage, session));
    }
    Ok(session.output.table(rows)?)
}

/// Returns the outages, the latest first: from the daemon, which knows what it cannot store, or else from the database.
fn found(since: Timestamp, session: &mut Session) -> Result<Vec<wire::Outage>, Failure> {
    let place = session.place();
    let socket = session.socket_path().map_err(|_| NoResponse::NotAllowed);
    let page = socket.and_then(|socket| get(&socket, &format!("/v1/outages?since={since}"), READ_WAIT));
    match page {
        Ok(Page { items, .. }) => Ok(items),
        Err(_) => {
            let (place, now) = (place?, session.now());
            let outages = Reader::connect(&place)?.outages_seen(&daemon_state(&place, now), since, now)?;
            Ok(outages.iter().map(wire::Outage::of).collect())
        }
    }
}

fn cells(outage: &wire::Outage, session: &Session) -> Vec<String> {
    let outage = outage.outage();
    let called = outage.called();
    let until = outage.until.map(|until| times::local(until, &session.zone));
    let lasted = outage.until.unwrap_or(session.now()).duration_since(outage.since);
    vec![
        printable(&called),
        times::local(outage.since, &session.zone),
        until.unwrap_or_else(|| session.output.paint(Tone::Bad, "now")),
        times::took(lasted),
        printable(&why(&outage)),
    ]
}
