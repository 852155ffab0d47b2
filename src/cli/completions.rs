//! `agentcron completions`: prints a script that teaches a shell the verbs and options, and lets it ask
//! `agentcron complete` for names and ids.

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
    let script = String::from_utf8_lossy(&script);
    let script = match completions.shell {
        Shell::Bash => format!("{script}{BASH}"),
        // An option offers only what it says itself.
        Shell::Fish => format!("{FISH}{}", script.replace(" -r\n", " -r -f -a '(__agentcron_values)'\n")),
        Shell::Zsh => script.replacen('\n', ZSH, 1).replace(":_default'", ":_agentcron_values'"),
        _ => script.into_owned(),
    };
    session.output.text(&script)?;
    Ok(())
}

/// Offers values where there are any, and otherwise what the script above knows.
const BASH: &str = r#"
_agentcron_values() {
    local IFS=$'\n' typed=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=($(compgen -W "$("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$typed"))
    [[ ${#COMPREPLY[@]} -gt 0 ]] || { unset IFS; _agentcron "$@"; }
}
complete -F _agentcron_values -o bashdefault -o default agentcron
"#;
const FISH: &str = "\
function __agentcron_values
    agentcron complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
complete -c agentcron -n 'count (__agentcron_values) >/dev/null' -f -a '(__agentcron_values)'
";
/// Stands behind the first line, which says what the script is for.
const ZSH: &str = r#"

_agentcron_values() {
    local -a line=(${(z)LBUFFER}) values
    [[ $LBUFFER == *[[:space:]] ]] && line+=('')
    values=(${(f)"$($line[1] complete -- "${(@)line[2,-1]}" 2>/dev/null)"})
    if (( $#values )); then compadd -a values; else _default; fi
}
"#;
