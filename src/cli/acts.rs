//! `agentcron acts`: who did what.

use clap::Args;

use super::terminal::{Failure, Rows, Session, Shape, Shrink, Source, TableOptions, crons_named, printable};
use crate::api::wire::Act;
use crate::domain::bounds::ACTS_KEPT;
use crate::present::{ID_CHARS_SHOWN, times, with_short_ids};
use crate::store::{ActFilter, Reader};

/// Acts shown in a table without `--limit`.
const SHOWN: u64 = 50;

/// List who did what: pauses, triggers, cancellations, control of webhooks, newest last
#[derive(Args, Debug)]
#[command(after_help = "\
Works while the daemon is down. An act is something that a person, a client or
agentcron itself did and that changed something. The last 100000 are kept.

Examples:
  agentcron acts
  agentcron acts daily-digest --since yesterday
  agentcron acts --json --since 30d | jq 'select(.what == \"paused\")'

Columns:
  by  the user's id (at the Unix socket), the name of the key (over TCP), or agentcron itself")]
pub(super) struct Acts {
    /// Only acts on this cron (name or id), on its runs and on their webhooks
    cron: Option<String>,
    /// Only acts at or after this time: such as yesterday or 07:00, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only acts before this time; 07:00 is the last one that was, or else the first one after --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Show at most the newest N [default: 50; all with --json]
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    table: TableOptions,
}

const SHAPE: Shape = Shape {
    columns: &["at", "ago", "what", "by", "cron", "run", "note"],
    usual: &[19, 9, 12, 16, 16, 8, 30],
    shrink: &[Shrink::Omit("ago"), Shrink::Below("note"), Shrink::Omit("run")],
};

pub(super) fn acts(acts: &Acts, session: &mut Session) -> Result<(), Failure> {
    let (since, until) = session.period(acts.since.as_deref(), acts.until.as_deref())?;
    let limit = acts.limit.unwrap_or(match session.output.is_json() {
        true => ACTS_KEPT.unsigned_abs(),
        false => SHOWN,
    });
    let period = ActFilter { crons: None, since, until };
    let mut found = latest(acts.cron.as_deref(), period, limit, &session.source()?)?;
    found.reverse();
    if session.output.is_json() {
        return Ok(found.iter().try_for_each(|act| session.output.json(act))?);
    }
    if found.is_empty() {
        return Ok(session.output.line("no acts")?);
    }
    let mut rows = Rows::new(&SHAPE).with_options(&acts.table)?.in_zone("at", &session.zone);
    for act in &found {
        rows.push(cells(act, session));
    }
    Ok(session.output.table(rows)?)
}

/// Returns the latest acts of a period, on one cron or on anything, the latest first.
pub(super) fn latest(
    cron: Option<&str>,
    period: ActFilter,
    limit: u64,
    source: &Source,
) -> Result<Vec<Act>, Failure> {
    match source {
        Source::Daemon(daemon) => {
            let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
            let query = [
                ("cron", cron.unwrap_or_default().to_owned()),
                ("since", time(period.since)),
                ("until", time(period.until)),
            ];
            daemon.list("acts", &query, limit)
        }
        Source::Store(reader) => of_store(cron, period, limit, reader),
    }
}

fn of_store(cron: Option<&str>, period: ActFilter, limit: u64, reader: &Reader) -> Result<Vec<Act>, Failure> {
    let crons = cron.map(|name| crons_named(name, reader)).transpose()?;
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let acts = reader.acts_before(&ActFilter { crons, ..period }, None, limit)?;
    Ok(acts.iter().map(|(_, act)| Act::of(act)).collect())
}

fn cells(act: &Act, session: &Session) -> Vec<String> {
    let mut run_id = act.run_id.clone().unwrap_or_default();
    run_id.truncate(ID_CHARS_SHOWN);
    vec![
        times::local(act.at.0, &session.zone),
        times::relative(act.at.0, session.now()),
        act.did(),
        printable(&act.actor().to_string()),
        printable(act.cron_name.as_deref().unwrap_or_default()),
        run_id,
        printable(&with_short_ids(act.note.as_deref().unwrap_or_default())),
    ]
}
