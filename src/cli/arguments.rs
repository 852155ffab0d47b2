//! What may be typed: the global options and the verbs. Each verb's own arguments stand in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{
    backfill, cancel, check, completions, demo, explain, history, import, init, list, next, pause, resume,
    run, show, skip_next, status, trigger, webhook,
};

const AFTER_HELP: &str = "\
Examples:
  agentcron demo                     see it work in ten seconds, without any configuration
  agentcron init                     write a configuration to start from
  agentcron check                    every mistake at once, then what will fire and when
  agentcron run                      the daemon, in the foreground
  agentcron history --follow         watch runs begin and end
  agentcron next --schedule '0 9 * * mon-fri' --timezone Europe/Berlin

Exit codes:
  0 done   1 failed   2 wrong usage or configuration   3 the store   4 another daemon has the database";

/// They stand apart in the help, so that a verb's own options are found at once.
const GLOBAL: &str = "Options of every command";

/// A cron daemon for agents: fires runs on a LangGraph agent server at the right instant, keeps every occurrence and
/// its outcome, and delivers one webhook per completed run.
#[derive(Debug, Parser)]
#[command(name = "agentcron", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Options that every verb takes, before or after it.
#[derive(Args, Clone, Debug)]
pub(super) struct Global {
    /// The configuration [default: /etc/agentcron/agentcron.toml]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "AGENTCRON_CONFIG", hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    /// Print JSON, one object a line, times in RFC 3339
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(super) json: bool,
    /// Colour the output (auto: on a terminal, unless NO_COLOR is set)
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(super) color: When,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the daemon in the foreground
    Run(run::Run),
    /// Show every mistake in the configuration, or what will fire and when
    Check(check::Check),
    /// Show the next times of a cron, of all crons, or of any schedule
    Next(next::Next),
    /// List the crons: schedule, next time, last outcome
    List(list::List),
    /// Show the state of the daemon and of the last 24 hours
    Status(status::Status),
    /// List runs and their outcomes, newest last
    History(history::History),
    /// Show everything about one run
    Show(show::Show),
    /// Say why a cron did, did not, or will not fire at an instant
    Explain(explain::Explain),
    /// Start a run of a cron now
    Trigger(trigger::Trigger),
    /// Let a cron rest: its occurrences are skipped
    Pause(pause::Pause),
    /// End a pause
    Resume(resume::Resume),
    /// Skip the next occurrence of a cron
    SkipNext(skip_next::SkipNext),
    /// Start runs for past instants of a cron
    Backfill(backfill::Backfill),
    /// Cancel a run
    Cancel(cancel::Cancel),
    /// List, show, hold, release and replay webhooks
    Webhook(webhook::Webhook),
    /// Write the crons of an agent server to a file
    Import(import::Import),
    /// Write a commented configuration to start from
    Init(init::Init),
    /// See it work: embedded agent server, three crons, a webhook receiver
    Demo(demo::Demo),
    /// Print the completion script of a shell
    Completions(completions::Completions),
}
