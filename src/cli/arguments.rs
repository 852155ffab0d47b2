//! The command line as clap sees it: the global options and the verbs. Each verb's own arguments are in its file.

use clap::{Parser, Subcommand};

use super::terminal::GlobalOptions;
use super::{
    acts, backfill, backup, cancel, check, complete, completions, daemons, demo, edit, explain, forget,
    health, history, import, init, list, man, migrate, next, notify, open, outages, pause, prune, report,
    restore, resume, retry, run, schema, show, skip_next, stats, status, support, trigger, webhook,
};

const AFTER_HELP: &str = "\
Examples:
  agentcron demo                see it work in ten seconds
  agentcron init                write a configuration to start from
  agentcron check               show every mistake, or what will fire and when
  agentcron edit                edit the configuration, check it, and put it into force
  agentcron run                 run the daemon in the foreground
  agentcron history --follow    watch runs start and end
  agentcron next --schedule '0 9 * * mon-fri' --timezone Europe/Berlin

In the morning:
  agentcron status                          what is wrong now, and what to do
  agentcron report                          what happened since last night, of every cron
  agentcron history --failed --since 12h    what failed, was missed, or was lost to an outage, and why
  agentcron outages --since 12h             when the agent server, a receiver or the daemon was away
  agentcron explain CRON --at 03:12         why it did not run then
  agentcron show CRON                       since when it fails, how long it takes, what was changed
  agentcron list --columns cron,ok,p50,p95  which cron is flaky or slow
  agentcron webhook list --since 12h        whether the webhooks arrived

Exit codes:
  0  done
  1  failed
  2  wrong usage or configuration
  3  store error
  4  another daemon has the database
  5  something needs a person (status, health)
  6  the daemon is not running (status, health)";

/// A cron daemon for agents: fires runs on a LangGraph agent server at the right instant, records every occurrence and
/// its outcome, and delivers one webhook per completed run.
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
    Run(run::Run),
    Check(check::Check),
    Next(next::Next),
    List(list::List),
    Status(status::Status),
    Health(health::Health),
    Open(open::Open),
    Report(report::ReportArguments),
    Stats(stats::Stats),
    Daemons(daemons::Daemons),
    Outages(outages::Outages),
    Acts(acts::Acts),
    History(history::History),
    Show(show::Show),
    Explain(explain::Explain),
    Trigger(trigger::Trigger),
    Pause(pause::Pause),
    Resume(resume::Resume),
    SkipNext(skip_next::SkipNext),
    Backfill(backfill::Backfill),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Prune(prune::Prune),
    Forget(forget::Forget),
    Webhook(webhook::Webhook),
    Notify(notify::Notify),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Migrate(migrate::Migrate),
    Support(support::Support),
    Import(import::Import),
    Init(init::Init),
    Edit(edit::Edit),
    Schema(schema::Schema),
    Demo(demo::Demo),
    Completions(completions::Completions),
    #[command(hide = true)]
    Complete(complete::Complete),
    #[command(hide = true)]
    Man(man::Man),
}
