//! Which file is meant: that of a cron, one of the configuration, or one that it would include.

use std::path::{Path, PathBuf};

use crate::cli::terminal::{Failure, unknown_cron};
use crate::config::{Draft, Loaded, without_links};

/// The file to edit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Without links, since what a link leads to is replaced.
    pub(super) file: PathBuf,
    /// Where what was named begins.
    pub(super) line: Option<usize>,
}

/// Returns the file that a word names; the main file without one.
pub(super) fn find(what: Option<&str>, loaded: &Loaded) -> Result<Target, Failure> {
    let Some(what) = what else {
        return Ok(Target { file: without_links(&loaded.path), line: None });
    };
    if let Some(place) = loaded.place_of(what) {
        return Ok(Target { file: without_links(&place.file), line: Some(place.position.line) });
    }
    // From here, or as `include` says it.
    let beside = loaded.path.parent().unwrap_or(Path::new("/")).join(what);
    let files = [Path::new(what), &beside].map(without_links);
    if let Some(file) = files.iter().find(|file| is_of_configuration(file, loaded)) {
        return Ok(Target { file: file.clone(), line: None });
    }
    if what.contains('/') || files[0].exists() {
        let main = loaded.path.display();
        return Err(Failure::Usage(format!(
            "{what} is not a file of {main}, and no `include` of it matches it"
        )));
    }
    let known: Vec<String> = loaded.definitions().map(|definition| definition.name.clone()).collect();
    Err(unknown_cron(what, &known))
}

fn is_of_configuration(file: &Path, loaded: &Loaded) -> bool {
    let as_draft = Draft::new(file, Vec::new());
    loaded.sources.files.iter().any(|source| without_links(source) == file)
        || loaded.sources.patterns.iter().any(|pattern| as_draft.found_by(pattern).is_some())
}
