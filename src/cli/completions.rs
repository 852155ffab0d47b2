//! `agentcron completions`: prints a script that teaches a shell the verbs and options.

use clap::{Args, Command};
use clap_complete::Shell;

use super::terminal::{Failure, Session};

/// Print the completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron completions bash > /etc/bash_completion.d/agentcron
  agentcron completions fish > ~/.config/fish/completions/agentcron.fish")]
pub(super) struct Completions {
    /// The shell that the script is for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for `command`, the whole command line.
pub(super) fn completions(
    completions: &Completions,
    mut command: Command,
    session: &mut Session,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut command, "agentcron", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))?;
    Ok(())
}
