//! The editor, and the copy that it is given: in a folder that nobody else may read, since the text may hold a secret.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Original;
use crate::cli::private_folder;
use crate::cli::terminal::{Failure, Session};
use crate::config::{ConfigError, FILE_BYTES_MAX, read_regular, without_links};

const EDITOR_DEFAULT: &str = "vi";
/// Editors that begin at the line of an argument `+LINE`.
const TAKE_LINES: [&str; 8] = ["vi", "vim", "nvim", "nano", "emacs", "joe", "micro", "pico"];

pub(super) struct Editor {
    /// As a shell reads it.
    command: String,
    folder: PathBuf,
    copy: PathBuf,
    line: Option<usize>,
}

impl Editor {
    /// Copies the file for the editor that the user has chosen.
    pub(super) fn begin(
        original: &Original,
        line: Option<usize>,
        session: &Session,
    ) -> Result<Self, Failure> {
        let chosen = |name: &str| session.environment.lookup(name).ok();
        let command = match chosen("env.VISUAL").or_else(|| chosen("env.EDITOR")) {
            Some(command) => command.expose().to_owned(),
            None if io::stdin().is_terminal() => EDITOR_DEFAULT.to_owned(),
            None => {
                let message =
                    "there is no terminal; set $EDITOR to a program that edits the file it is given";
                return Err(Failure::Usage(message.to_owned()));
            }
        };
        let folder = private_folder::create("edit", &session.environment)?;
        // The editor tells the language by its ending.
        let copy = folder.join(original.file.file_name().unwrap_or_default());
        let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy);
        let written = written.and_then(|mut file| file.write_all(&original.bytes));
        written.map_err(|error| Failure::Failed(format!("cannot write {}: {error}", copy.display())))?;
        Ok(Self { command, folder, copy, line })
    }

    /// Lets the user edit the copy, and returns its bytes.
    pub(super) fn edit(&self) -> Result<Vec<u8>, Failure> {
        let program = self.command.split_whitespace().next().unwrap_or_default();
        let name = Path::new(program).file_name().unwrap_or_default();
        let line = self.line.filter(|_| TAKE_LINES.iter().any(|takes| name == *takes));
        let line = line.map(|line| format!("+{line}"));
        // As git does: the variable may have arguments.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{} \"$@\"", self.command), program]).args(line).arg(&self.copy);
        let status =
            command.status().map_err(|error| self.kept(&format!("cannot run {program}: {error}")))?;
        if !status.success() {
            return Err(self.kept(&format!("the editor {program} failed ({status}): nothing was changed")));
        }
        read_regular(&self.copy, FILE_BYTES_MAX)
            .map_err(|error| self.kept(&format!("{}: {error}", self.copy.display())))
    }

    /// Makes the next editing begin at the first mistake of the file.
    pub(super) fn go_to(&mut self, mistakes: &[ConfigError], file: &Path) {
        let first = mistakes.iter().find(|mistake| without_links(&mistake.file) == file);
        self.line = first.and_then(|mistake| mistake.position).map(|position| position.line).or(self.line);
    }

    /// Removes the copy.
    pub(super) fn discard(&self) {
        // Whatever the editor left beside it goes as well.
        let _ = fs::remove_dir_all(&self.folder);
    }

    pub(super) fn kept_at(&self) -> String {
        format!("your text is kept in {}", self.copy.display())
    }

    /// Returns a failure after which the text of the user is still there.
    pub(super) fn kept(&self, problem: &str) -> Failure {
        Failure::Failed(format!("{problem}; {}", self.kept_at()))
    }
}
