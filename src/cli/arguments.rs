//! The command line as clap sees it: the global options and the verbs. Each verb's own arguments are in its file.

use clap::{Parser, Subcommand};

use super::terminal::GlobalOptions;
use super::{
    backfill, cancel, check, completions, demo, explain, history, import, init, list, next, pause, resume,
    run, show, skip_next, status, trigger, webhook,
};

const AFTER_HELP: &str = "\
Examples:
  agentcron demo                see it work in ten seconds, no configuration needed
  agentcron init                write a configuration to start from
  agentcron check               show every mistake, or what will fire and when
  agentcron run                 run the daemon in the foreground
  agentcron history --follow    watch runs start and end
  agentcron next --schedule '0 9 * * mon-fri' --timezone Europe/Berlin

Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  store error
  4  another daemon has the database";

/// A cron daemon for agents
///
/// Fires runs on a LangGraph agent server at the right instant, records every occurrence and its outcome, and delivers
/// one webhook per completed run.
#[derive(Debug, Parser)]
#[command(name = "agentcron", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: GlobalOptions,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon in the foreground
    Run(run::Run),
    /// Show every mistake in the configuration, or what will fire and when
    Check(check::Check),
    /// Show the next times of a cron, of all crons, or of any schedule
    Next(next::Next),
    /// List the crons with their schedule, next time and last outcome
    List(list::List),
    /// Show the state of the daemon and of the last 24 hours
    Status(status::Status),
    /// List runs and their outcomes, newest last
    History(history::History),
    /// Show everything about one run
    Show(show::Show),
    /// Explain why a cron did, did not, or will not fire at an instant
    Explain(explain::Explain),
    /// Start a run of a cron now
    Trigger(trigger::Trigger),
    /// Pause a cron: its occurrences are skipped
    Pause(pause::Pause),
    /// Resume a paused cron
    Resume(resume::Resume),
    /// Skip the next occurrence of a cron
    SkipNext(skip_next::SkipNext),
    /// Start runs for past instants of a cron
    Backfill(backfill::Backfill),
    /// Cancel a run
    Cancel(cancel::Cancel),
    /// List, show, test, hold, release and replay webhooks
    Webhook(webhook::Webhook),
    /// Import the crons of an agent server into a file
    Import(import::Import),
    /// Write a commented configuration to start from
    Init(init::Init),
    /// See agentcron work: an embedded agent server, three crons and a webhook receiver
    Demo(demo::Demo),
    /// Print the completion script for a shell
    Completions(completions::Completions),
}
