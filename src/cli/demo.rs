//! `agentcron demo`: the whole daemon at work in ten seconds, without a configuration and without a network.

mod narrator;
mod setup;

use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::open;
use super::terminal::{Failure, LogFormat, Session, TextStyle, start_log};
use crate::api::wire::PageLink;
use crate::daemon::{self, World};
use crate::domain::bounds::LINK_LASTS_MAX;
use crate::domain::cron::Target;
use crate::present::{counted, times};
use crate::signals::{self, Stop};
use crate::store::Reader;
use narrator::Narrator;
use setup::DemoSetup;

/// How often the store is checked for commits: quick enough to look immediate.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// See agentcron work, without a configuration and without a network
#[derive(Args, Debug)]
#[command(after_help = "\
The demo runs an embedded agent server, three crons that fire every few seconds,
and a receiver for their webhooks, all in one process. It prints a link to its web
page, and Ctrl-C ends it.

Examples:
  agentcron demo
  agentcron demo --runs 6
  AGENTCRON_LOG=debug agentcron demo       with the daemon's log on stderr")]
pub(super) struct Demo {
    /// Stop after this many completed runs and their webhooks
    #[arg(long, value_name = "N")]
    runs: Option<NonZeroUsize>,
}

pub(super) fn demo(demo: &Demo, session: &mut Session) -> Result<(), Failure> {
    if let Ok(level) = session.environment.lookup("env.AGENTCRON_LOG") {
        start_log(level.expose(), LogFormat::Text, session)?;
    }
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let setup = DemoSetup::create(&session.environment)?;
    print_introduction(&setup, session)?;
    let stop = signals::listen().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let world = setup.world(&session.clock);
    let narrator = runtime.block_on(run_daemon(world, &setup.socket, demo.runs, &stop, session));
    runtime.shutdown_background();
    print_summary(&setup, &narrator?, session)
}

/// Runs the daemon and narrates until `runs` are completed or a signal arrives.
async fn run_daemon(
    world: World,
    socket: &Path,
    runs: Option<NonZeroUsize>,
    stop: &Stop,
    session: &mut Session,
) -> Result<Narrator, Failure> {
    let store = world.config.store.location.beside().to_owned();
    let names: Vec<String> = world.config.crons.iter().map(|definition| definition.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ready = CancellationToken::new();
    let is_up = ready.clone();
    let mut served = pin!(daemon::serve(world, move || is_up.cancel(), stop.graceful.clone()));
    tokio::select! {
        // It failed, or was stopped before it was ready.
        ended = &mut served => {
            ended?;
            return Narrator::new(Reader::open(&store)?, &names);
        }
        () = ready.cancelled() => {}
    }
    if !session.output.is_json() {
        print_link(&link_into(socket).await?, session)?;
    }
    let mut narrator = Narrator::new(Reader::open(&store)?, &names)?;
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        narrated = narrate(&mut narrator, runs, stop, session) => {
            narrated?;
            None
        }
    };
    stop.graceful.cancel();
    match ended {
        Some(ended) => ended?,
        None => tokio::select! {
            ended = &mut served => ended?,
            () = stop.now.cancelled() => return Err(Failure::StoppedAtOnce),
        },
    }
    // While it stopped, the daemon finished the work in progress.
    narrator.narrate_news(session)?;
    Ok(narrator)
}

/// Returns a link into the web page of the demo's own daemon.
async fn link_into(socket: &Path) -> Result<PageLink, Failure> {
    let socket = socket.to_path_buf();
    tokio::task::spawn_blocking(move || open::link(&socket, LINK_LASTS_MAX))
        .await
        .unwrap_or_else(|error| Err(Failure::Failed(error.to_string())))
}

fn print_link(link: &PageLink, session: &mut Session) -> Result<(), Failure> {
    let Some(url) = &link.url else { return Ok(()) };
    let minutes = link.lasts_seconds / 60;
    let url = session.output.paint(TextStyle::Bold, url);
    let output = &mut session.output;
    output.line(&format!("Watch it in a browser (the link works once, within {minutes} minutes):"))?;
    output.line(&format!("  {url}"))?;
    output.line("")?;
    output.flush()?;
    Ok(())
}

async fn narrate(
    narrator: &mut Narrator,
    runs: Option<NonZeroUsize>,
    stop: &Stop,
    session: &mut Session,
) -> Result<(), Failure> {
    while runs.is_none_or(|runs| narrator.runs_completed() < runs.get()) && !stop.graceful.is_cancelled() {
        narrator.narrate_news(session)?;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

fn print_introduction(setup: &DemoSetup, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        return Ok(());
    }
    let title = session.output.paint(TextStyle::Bold, "agentcron demo");
    let output = &mut session.output;
    output.line(&format!("{title}: agent server, webhook receiver and three crons in one process"))?;
    for cron in setup.config.crons.iter().filter_map(|definition| definition.cron()) {
        let target = match cron.request.target {
            Target::Thread(_) => "same thread",
            Target::Stateless(_) => "new threads",
        };
        output.line(&format!("  {:<14}{}; {target}", cron.name, cron.calendar.describe()))?;
    }
    output.line("")?;
    output.flush()?;
    Ok(())
}

fn print_summary(setup: &DemoSetup, narrator: &Narrator, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        return Ok(());
    }
    let mut outcomes: Vec<String> =
        narrator.completed.iter().map(|(status, count)| format!("{count} {status}")).collect();
    if outcomes.is_empty() {
        outcomes.push("none".to_owned());
    }
    let outcomes = outcomes.join(", ");
    let runs = counted(narrator.runs_completed() as u64, "run");
    let received = counted(setup.received.load(Ordering::Relaxed) as u64, "webhook");
    let title = session.output.paint(TextStyle::Bold, &format!("{runs} completed"));
    let output = &mut session.output;
    output.line("")?;
    output.line(&format!("{title}: {outcomes}; the receiver got {received}"))?;
    let mut lateness = narrator.lateness.clone();
    lateness.sort();
    if let (Some(median), Some(most)) = (lateness.get(lateness.len() / 2), lateness.last()) {
        let (median, most) = (times::took(*median), times::took(*most));
        output.line(&format!("started {median} after the scheduled instant (median), {most} at most"))?;
    }
    // As it was typed, so that the commands can be copied.
    let program = std::env::args().next().unwrap_or_else(|| "agentcron".to_owned());
    let config = setup.folder.join("agentcron.toml");
    let config = config.display();
    let mut run_id = narrator.last_run.map(|run_id| run_id.to_string()).unwrap_or_else(|| "RUN".to_owned());
    run_id.truncate(8);
    output.text(&format!(
        "
Explore its database, which stays in {folder} until you delete it:
  {program} history --config {config}
  {program} show {run_id} --config {config}
Then start with your own agent server:
  {program} init my-crons
  {program} check --config my-crons/agentcron.toml
  {program} run --config my-crons/agentcron.toml
",
        folder = setup.folder.display(),
    ))?;
    Ok(())
}
