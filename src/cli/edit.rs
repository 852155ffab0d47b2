//! `agentcron edit`: edits a copy of a configuration file, checks it in its place among the other files, shows what it changes,
//! writes it whole, and says what came into force.

mod difference;
mod editor;
mod original;
mod reloading;
mod target;

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use super::terminal::{Failure, Session, demand_file};
use crate::config::{self, ConfigError, ConfigErrors, Draft, Environment, Loaded};
use crate::present::counted;
use difference::Difference;
use editor::Editor;
use original::Original;
use target::Target;

/// Edit a configuration file, check it, show what it changes, and put it into force
#[derive(Args, Debug)]
#[command(after_help = "\
The editor is $VISUAL, $EDITOR or vi. The file is replaced only if the
configuration has no new mistakes, and if nobody has changed it meanwhile; its mode
and owner stay. Text that is not saved is kept, and the command says where.
Without a terminal nothing is asked: mistakes end the command.

Examples:
  agentcron edit                     the main file
  agentcron edit daily-digest        the file of this cron, at its place
  agentcron edit crons.d/new.toml    a file of the configuration, also a new one")]
pub(super) struct Edit {
    /// Name of a cron, or a file [default: the main file]
    #[arg(value_name = "CRON|FILE")]
    what: Option<String>,
}

/// What somebody wants who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Save,
    EditAgain,
    GiveUp,
}

/// One editing of one file.
struct Editing {
    main: PathBuf,
    environment: Environment,
    before: Loaded,
    original: Original,
    editor: Editor,
}

pub(super) fn edit(edit: &Edit, session: &mut Session) -> Result<(), Failure> {
    let main = session.config_path.clone();
    demand_file(&main)?;
    let environment = session.environment.for_looking();
    let before = config::load_partly(&main, &environment);
    let Target { file, line } = target::find(edit.what.as_deref(), &before)?;
    let original = Original::read(file)?;
    let editor = Editor::begin(&original, line, session)?;
    // After the change it may name another one, and the daemon is still at this one.
    let socket = session.socket_path();
    let mut editing = Editing { main, environment, before, original, editor };
    let Some((bytes, difference)) = editing.edit_until_good(session)? else {
        editing.editor.discard();
        return say("nothing was changed", session);
    };
    if let Err(problem) = editing.original.replace(&bytes) {
        return Err(editing.editor.kept(&problem));
    }
    editing.editor.discard();
    say(&format!("saved {}", editing.original.file.display()), session)?;
    reloading::reload(socket, &editing.original.file, difference, session)
}

impl Editing {
    /// Lets somebody edit until there are no new mistakes and the change is wanted. Returns `None` if nothing is to be changed.
    fn edit_until_good(&mut self, session: &mut Session) -> Result<Option<(Vec<u8>, Difference)>, Failure> {
        loop {
            let bytes = self.editor.edit()?;
            if bytes == self.original.bytes {
                return Ok(None);
            }
            let draft = Draft::new(&self.original.file, bytes.clone());
            let after = config::load_draft(&self.main, &self.environment, &draft);
            let mistakes = self.new_mistakes(&after);
            if !mistakes.is_empty() {
                self.editor.go_to(&mistakes, &self.original.file);
                self.offer_another_try(mistakes, session)?;
                continue;
            }
            let difference = Difference::of(&self.before, &after, &self.original, &bytes);
            difference.print(session)?;
            match ask("save this? [Y]es, [e]dit again, [n]o", Choice::Save, session)? {
                Choice::Save => return Ok(Some((bytes, difference))),
                Choice::EditAgain => {}
                Choice::GiveUp => return Err(self.editor.kept("nothing was saved")),
            }
        }
    }

    /// Returns the mistakes of the file, and those of others that were not there before.
    fn new_mistakes(&self, after: &Loaded) -> Vec<ConfigError> {
        let is_here = |mistake: &ConfigError| config::without_links(&mistake.file) == self.original.file;
        let is_new = |mistake: &&ConfigError| is_here(mistake) || !self.before.mistakes.contains(mistake);
        after.mistakes.iter().filter(is_new).cloned().collect()
    }

    /// Shows the mistakes, and fails unless somebody wants to mend them.
    fn offer_another_try(&self, mistakes: Vec<ConfigError>, session: &mut Session) -> Result<(), Failure> {
        let count = counted(mistakes.len() as u64, "mistake");
        if !may_ask(session) {
            let kept = self.editor.kept_at();
            return Err(Failure::Mistakes(
                ConfigErrors(mistakes),
                vec![format!("nothing was saved; {kept}")],
            ));
        }
        for mistake in &mistakes {
            session.output.line(&mistake.to_string())?;
        }
        match ask(&format!("{count}; [E]dit again, [n]o more"), Choice::EditAgain, session)? {
            Choice::EditAgain | Choice::Save => Ok(()),
            Choice::GiveUp => {
                Err(self.editor.kept(&format!("{count} in the configuration: nothing was saved")))
            }
        }
    }
}

fn may_ask(session: &Session) -> bool {
    io::stdin().is_terminal() && !session.output.is_json()
}

/// Asks for a choice. Without a terminal it is `usual`.
fn ask(question: &str, usual: Choice, session: &mut Session) -> Result<Choice, Failure> {
    if !may_ask(session) {
        return Ok(usual);
    }
    loop {
        session.output.line(question)?;
        session.output.flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(Choice::GiveUp);
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "" => return Ok(usual),
            "y" | "yes" => return Ok(Choice::Save),
            "e" | "edit" => return Ok(Choice::EditAgain),
            "n" | "no" => return Ok(Choice::GiveUp),
            _ => {}
        }
    }
}

fn say(text: &str, session: &mut Session) -> Result<(), Failure> {
    if session.output.is_json() { Ok(()) } else { Ok(session.output.line(text)?) }
}
