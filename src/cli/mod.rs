//! The command line. Each verb has a file of its own; `terminal/` is what they share. Only here is anything printed and
//! the exit code chosen.

mod acts;
mod all_crons;
mod arguments;
mod backfill;
mod backup;
mod cancel;
mod check;
mod complete;
mod completions;
mod daemons;
mod demo;
mod edit;
mod explain;
mod forget;
mod health;
mod history;
mod import;
mod init;
mod list;
mod man;
mod migrate;
mod next;
mod notify;
mod open;
mod outages;
mod pause;
mod private_folder;
mod prune;
mod report;
mod restore;
mod resume;
mod retry;
mod run;
mod run_input;
mod schema;
mod show;
mod skip_next;
mod stats;
mod status;
mod support;
mod terminal;
mod toml_value;
mod trigger;
mod waiting;
mod webhook;

use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use serde_json::Value;

use crate::config::{Environment, LookupError};

use arguments::{Arguments, Verb};
use terminal::{Failure, Session, USAGE, message_json, print_to_stderr};

/// Parses the arguments, runs the verb and returns the exit code.
pub fn main() -> ExitCode {
    let environment = Environment::of_process();
    let parsed = without_empty_variables(Arguments::command(), &environment)
        .try_get_matches()
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // If the pipe is closed already, nobody reads the help.
            let _ = match error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
                true => print_to_stderr(&usage_json(&error.to_string())),
                false => error.print(),
            };
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let mut session = Session::new(&arguments.global);
    let done = dispatch(arguments.verb, &mut session).and_then(|()| Ok(session.output.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            session.output.report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Returns what clap says about wrong arguments as one object: its message and, if there is one, its tip.
fn usage_json(text: &str) -> Value {
    let message = text.lines().next().unwrap_or_default();
    let mut object = message_json(USAGE, message.strip_prefix("error: ").unwrap_or(message));
    object["hint"] = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).into();
    object
}

/// Returns the command with variables that are set, but empty, counting as not set.
fn without_empty_variables(command: Command, environment: &Environment) -> Command {
    let is_empty = |arg: &Arg| {
        let name = arg.get_env().and_then(|name| name.to_str());
        let value = name.map(|name| environment.lookup(&format!("env.{name}")));
        matches!(value, Some(Err(LookupError::Empty(_))))
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(|subcommand| without_empty_variables(subcommand, environment))
}

fn dispatch(verb: Verb, session: &mut Session) -> Result<(), Failure> {
    match verb {
        Verb::Run(run) => run::run(&run, session),
        Verb::Check(check) => check::check(&check, session),
        Verb::Next(next) => next::next(&next, session),
        Verb::List(list) => list::list(&list, session),
        Verb::Status(status) => status::status(&status, session),
        Verb::Health(health) => health::health(&health, session),
        Verb::Open(open) => open::open(&open, session),
        Verb::Report(arguments) => report::report(&arguments, session),
        Verb::Stats(arguments) => stats::stats(&arguments, session),
        Verb::Daemons(daemons) => daemons::daemons(&daemons, session),
        Verb::Outages(outages) => outages::outages(&outages, session),
        Verb::Acts(acts) => acts::acts(&acts, session),
        Verb::History(history) => history::history(&history, session),
        Verb::Show(show) => show::show(&show, session),
        Verb::Explain(explain) => explain::explain(&explain, session),
        Verb::Trigger(trigger) => trigger::trigger(&trigger, session),
        Verb::Pause(pause) => pause::pause(&pause, session),
        Verb::Resume(resume) => resume::resume(&resume, session),
        Verb::SkipNext(skip_next) => skip_next::skip_next(&skip_next, session),
        Verb::Backfill(backfill) => backfill::backfill(&backfill, session),
        Verb::Cancel(cancel) => cancel::cancel(&cancel, session),
        Verb::Retry(retry) => retry::retry(&retry, session),
        Verb::Prune(prune) => prune::prune(&prune, session),
        Verb::Forget(forget) => forget::forget(&forget, session),
        Verb::Notify(notify) => notify::notify(&notify, session),
        Verb::Webhook(webhook) => webhook::webhook(&webhook, session),
        Verb::Backup(backup) => backup::backup(&backup, session),
        Verb::Restore(restore) => restore::restore(&restore, session),
        Verb::Migrate(migrate) => migrate::migrate(&migrate, session),
        Verb::Import(import) => import::import(&import, session),
        Verb::Support(support) => support::support(&support, session),
        Verb::Init(init) => init::init(&init, session),
        Verb::Edit(edit) => edit::edit(&edit, session),
        Verb::Schema(_) => schema::schema(session),
        Verb::Demo(demo) => demo::demo(&demo, session),
        Verb::Complete(complete) => complete::complete(&complete, session),
        Verb::Man(man) => man::man(&man, Arguments::command(), session),
        Verb::Completions(completions) => {
            completions::completions(&completions, Arguments::command(), session)
        }
    }
}
