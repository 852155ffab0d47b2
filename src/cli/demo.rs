//! `agentcron demo`: the whole daemon at work in ten seconds, without configuration and without a network.

mod narrator;
mod scene;

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::output::Style;
use super::run::{LogFormat, start_log};
use super::session::Session;
use super::times;
use crate::daemon::{self, World};
use crate::domain::cron::Target;
use crate::signals::{self, Stop};
use crate::store::Reader;
use narrator::Narrator;
use scene::Scene;

/// How often the store is asked whether anything was committed: quick enough to look immediate.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// See it work: an embedded agent server, a thread cron and a stateless one every few seconds, and a receiver for their
/// webhooks. It needs no configuration and no network, and ends with Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron demo
  agentcron demo --runs 6
  AGENTCRON_LOG=debug agentcron demo        with the log of its daemon on stderr

It needs no configuration and no network, and ends with Ctrl-C.")]
pub(super) struct Demo {
    /// Stop after this many completed runs and their webhooks
    #[arg(long, value_name = "N")]
    runs: Option<NonZeroUsize>,
}

pub(super) fn demo(demo: &Demo, session: &mut Session) -> Result<(), Failure> {
    if let Ok(level) = session.environment.lookup("env.AGENTCRON_LOG") {
        start_log(level.expose(), LogFormat::Text, &session.environment)?;
    }
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot start: {error}"));
    let scene = Scene::set(&session.environment)?;
    introduce(&scene, session)?;
    let stop = signals::listen().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let world = scene.world(&session.clock);
    let told = runtime.block_on(perform(world, demo.runs, &stop, session));
    runtime.shutdown_background();
    match told {
        Ok(narrator) => summarise(&scene, &narrator, session),
        Err(failure) => Err(failure),
    }
}

/// Runs the daemon and tells about it until enough is told or a signal comes.
async fn perform(
    world: World,
    runs: Option<NonZeroUsize>,
    stop: &Stop,
    session: &mut Session,
) -> Result<Narrator, Failure> {
    let store = world.config.store.path.clone();
    let names: Vec<String> =
        world.config.crons.iter().map(|definition| definition.cron.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ready = CancellationToken::new();
    let is_up = ready.clone();
    let mut served = pin!(daemon::serve(world, move || is_up.cancel(), stop.graceful.clone()));
    tokio::select! {
        // It has failed, or was stopped before it began.
        ended = &mut served => {
            ended?;
            return Narrator::new(Reader::open(&store)?, &names);
        }
        () = ready.cancelled() => {}
    }
    let mut narrator = Narrator::new(Reader::open(&store)?, &names)?;
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        told = narrate(&mut narrator, runs, stop, session) => {
            told?;
            None
        }
    };
    stop.graceful.cancel();
    match ended {
        Some(ended) => ended?,
        None => tokio::select! {
            ended = &mut served => ended?,
            () = stop.now.cancelled() => return Err(Failure::LeftAtOnce),
        },
    }
    // What was in flight has ended meanwhile.
    narrator.style(session)?;
    Ok(narrator)
}

async fn narrate(
    narrator: &mut Narrator,
    runs: Option<NonZeroUsize>,
    stop: &Stop,
    session: &mut Session,
) -> Result<(), Failure> {
    while runs.is_none_or(|runs| narrator.runs_completed() < runs.get()) && !stop.graceful.is_cancelled() {
        narrator.style(session)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn introduce(scene: &Scene, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        return Ok(());
    }
    let title = session.output.paint(Style::Bold, "agentcron demo");
    let output = &mut session.output;
    output.line(&format!(
        "{title}: an agent server, a webhook receiver and these crons, all in this process"
    ))?;
    for definition in &scene.config.crons {
        let cron = &definition.cron;
        let target = match cron.request.target {
            Target::Thread(_) => "always on the same thread",
            Target::Stateless(_) => "a new thread each time",
        };
        output.line(&format!("  {:<14}{}; {target}", cron.name, cron.calendar.describe()))?;
    }
    output.line("")?;
    output.flush()?;
    Ok(())
}

fn summarise(scene: &Scene, narrator: &Narrator, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() {
        return Ok(());
    }
    let mut outcomes: Vec<String> =
        narrator.completed.iter().map(|(status, count)| format!("{count} {status}")).collect();
    if outcomes.is_empty() {
        outcomes.push("none".to_owned());
    }
    let runs = narrator.runs_completed();
    let received = scene.received.load(Ordering::Relaxed);
    let title = session.output.paint(Style::Bold, &format!("{runs} runs completed"));
    let output = &mut session.output;
    output.line(&format!("\n{title}: {}; the receiver got {received} webhooks", outcomes.join(", ")))?;
    let mut lateness = narrator.lateness.clone();
    lateness.sort();
    if let (Some(median), Some(most)) = (lateness.get(lateness.len() / 2), lateness.last()) {
        let (median, most) = (times::took(*median), times::took(*most));
        output.line(&format!("fired {median} after their instants in the median, {most} at most"))?;
    }
    let config = scene.folder.join("agentcron.toml");
    let config = config.display();
    let mut run_id = narrator.last_run.map(|run_id| run_id.to_string()).unwrap_or_else(|| "RUN".to_owned());
    run_id.truncate(8);
    output.text(&format!(
        "
Look into its database, which is kept in {folder} until you delete it:
  agentcron history --config {config}
  agentcron show {run_id} --config {config}
Then begin with your own agent server:
  agentcron init my-crons
  agentcron check --config my-crons/agentcron.toml
  agentcron run --config my-crons/agentcron.toml
",
        folder = scene.folder.display(),
    ))?;
    Ok(())
}
