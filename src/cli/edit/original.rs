//! The file as it was when the editing began, and its replacement: whole or not at all, with the same mode and owner.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::cli::terminal::Failure;
use crate::config::{FILE_BYTES_MAX, read_regular, sync_folder};

/// The mode of a new file: the daemon reads it as a member of the folder's group, as it does with those of the package.
const MODE_OF_NEW: u32 = 0o640;

pub(super) struct Original {
    /// Without links on the way.
    pub(super) file: PathBuf,
    /// Empty if there was no file.
    pub(super) bytes: Vec<u8>,
    /// `None` if there was no file.
    owner: Option<Owner>,
}

struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Original {
    pub(super) fn read(file: PathBuf) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", file.display()));
        let owner = match fs::metadata(&file) {
            Ok(found) => Some(Owner { uid: found.uid(), gid: found.gid(), mode: found.mode() & 0o7777 }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let bytes = match &owner {
            Some(_) => read_regular(&file, FILE_BYTES_MAX).map_err(failed)?,
            None => Vec::new(),
        };
        Ok(Self { file, bytes, owner })
    }

    /// Puts these bytes in the place of the file. The error says why it stays as it is.
    pub(super) fn replace(&self, bytes: &[u8]) -> Result<(), String> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        // No pattern of `include` matches a hidden file.
        let unfinished = folder.join(format!(".{name}.new-{}", std::process::id()));
        let written =
            self.write(&unfinished, bytes).map_err(|error| format!("{}: {error}", folder.display()));
        let replaced = written.and_then(|()| self.put(&unfinished));
        // A file that was renamed is not there any more.
        let _ = fs::remove_file(&unfinished);
        replaced?;
        // If this fails, only a loss of power right now could bring the former text back.
        let _ = sync_folder(&self.file);
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        let mode = match &self.owner {
            Some(Owner { uid, gid, mode }) => {
                let found = file.metadata()?;
                if (found.uid(), found.gid()) != (*uid, *gid) {
                    fchown(&file, Some(*uid), Some(*gid))?;
                }
                *mode
            }
            None => {
                let folder = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
                // Who is no member of that group keeps the file in a group of their own.
                let _ = fchown(&file, None, Some(folder.gid()));
                MODE_OF_NEW
            }
        };
        // After the owner, whose change takes bits away.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    /// Renames the written file to the original, unless somebody else has changed that.
    fn put(&self, written: &Path) -> Result<(), String> {
        let file = self.file.display();
        let failed = |error: io::Error| format!("{file}: {error}");
        match &self.owner {
            Some(_) if read_regular(&self.file, FILE_BYTES_MAX).ok().as_ref() != Some(&self.bytes) => {
                Err(format!("{file} was changed by somebody else meanwhile"))
            }
            Some(_) => fs::rename(written, &self.file).map_err(failed),
            // Unlike a rename, a link fails if the path exists.
            None => fs::hard_link(written, &self.file).map_err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_not_if_somebody_else_was_faster() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let original = Original::read(file.clone()).unwrap();
        original.replace(b"new").unwrap();
        let mode = || fs::metadata(&file).unwrap().mode() & 0o7777;
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode()), ("new", 0o640));
        let problem = original.replace(b"newer").unwrap_err();
        assert!(problem.ends_with("a.toml was changed by somebody else meanwhile"), "{problem}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let other = Original::read(folder.path().join("b.toml")).unwrap();
        other.replace(b"first").unwrap();
        assert!(other.replace(b"second").is_err());
        assert_eq!(fs::read_to_string(folder.path().join("b.toml")).unwrap(), "first");
        let (new, of_folder) =
            (fs::metadata(folder.path().join("b.toml")).unwrap(), fs::metadata(folder.path()));
        assert_eq!((new.mode() & 0o7777, new.gid()), (0o640, of_folder.unwrap().gid()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left over");
    }
}
