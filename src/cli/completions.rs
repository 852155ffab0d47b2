//! `agentcron completions`: the shells learn the verbs and options.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::arguments::Arguments;
use super::failure::Failure;
use super::session::Session;

/// Print the completion script of a shell.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron completions bash > /etc/bash_completion.d/agentcron
  agentcron completions fish > ~/.config/fish/completions/agentcron.fish")]
pub(super) struct Completions {
    /// For this shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completions(completions: &Completions, session: &mut Session) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "agentcron", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))?;
    Ok(())
}
