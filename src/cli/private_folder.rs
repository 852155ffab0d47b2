//! A folder for temporary files that nobody else may read.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::terminal::Failure;
use crate::config::Environment;

/// Folders of one process: more of them are a mistake.
const NUMBER_MAX: u32 = 100;

/// Creates a folder in `$TMPDIR` or `/tmp`, whose name begins with this word.
pub(super) fn create(word: &str, environment: &Environment) -> Result<PathBuf, Failure> {
    let temporary = environment.lookup("env.TMPDIR");
    let temporary = temporary.map_or_else(|_| PathBuf::from("/tmp"), |path| PathBuf::from(path.expose()));
    let failed = |error: Error| {
        let temporary = temporary.display();
        Failure::Failed(format!(
            "cannot create a folder in {temporary}: {error}; set TMPDIR to a folder that you may write to"
        ))
    };
    for number in 1..=NUMBER_MAX {
        let folder = temporary.join(format!("agentcron-{word}-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(ErrorKind::AlreadyExists.into()))
}
