//! A text that is to become a file of the configuration. It is checked in its place, among the other files, before it is written
//! there.

use std::path::{Path, PathBuf};

use super::include;

/// The text that a file is to have.
#[derive(Debug)]
pub struct Draft {
    /// The file, without links on the way.
    file: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Draft {
    /// Makes a draft of a file, which need not exist yet.
    pub fn new(file: &Path, bytes: Vec<u8>) -> Self {
        Self { file: without_links(file), bytes }
    }

    /// Returns the file by the path that a pattern of `include` finds once it is there.
    pub fn found_by(&self, pattern: &Path) -> Option<PathBuf> {
        let found = pattern.parent()?.join(self.file.file_name()?);
        let has_star = pattern.as_os_str().as_encoded_bytes().contains(&b'*');
        let is_found = has_star && include::is_match(pattern, found.file_name()?);
        (is_found && self.is_of(&found)).then_some(found)
    }

    pub(super) fn is_of(&self, path: &Path) -> bool {
        without_links(path) == self.file
    }
}

/// Returns where a path leads. Of a file that does not exist, it is the folder that is looked up.
pub fn without_links(path: &Path) -> PathBuf {
    let of_folder = || {
        let folder = path.parent().filter(|folder| *folder != "").unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(of_folder).unwrap_or_else(|| path.to_owned())
}
