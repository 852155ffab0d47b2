//! Opens files that somebody else may have put in their place. Opening a pipe waits for its writer, reading a device may
//! never end, and a symbolic link leads elsewhere: so only regular files are opened, without waiting, and they are read
//! up to a limit.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// What happens if the path is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    Followed,
    Refused,
}

/// Opens a regular file.
///
/// # Errors
/// What is not a regular file is [`ErrorKind::InvalidInput`], with a message that says what it is.
pub fn open_regular(path: &Path, options: &mut OpenOptions, links: Links) -> io::Result<File> {
    // Looked at first, since opening a device may already do something.
    let (found, flags) = match links {
        Links::Followed => (std::fs::metadata(path), OFlags::NONBLOCK),
        Links::Refused => (std::fs::symlink_metadata(path), OFlags::NONBLOCK | OFlags::NOFOLLOW),
    };
    match found {
        Ok(found) => demand_regular(found.file_type())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    demand_regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a regular file whole, also through symbolic links.
///
/// # Errors
/// Those of [`open_regular`], and [`ErrorKind::FileTooLarge`] for a file of more than `bytes_max`.
pub fn read_regular(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path, OpenOptions::new().read(true), Links::Followed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let message = format!("larger than {} MiB, which is the limit for one file", bytes_max >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Makes the names in the folder of a file durable.
pub fn sync_folder(of: &Path) -> io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    Ok(rustix::fs::fsync(folder)?)
}

/// Fails with [`ErrorKind::InvalidInput`] if it is not a regular file, and says what it is.
pub fn demand_regular(found: FileType) -> io::Result<()> {
    let what = match found {
        found if found.is_file() => return Ok(()),
        found if found.is_dir() => "a directory",
        found if found.is_fifo() => "a pipe",
        found if found.is_socket() => "a socket",
        found if found.is_symlink() => "a symbolic link",
        _ => "a device",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, expected a regular file")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _listener = UnixListener::bind(path("socket")).unwrap();
        std::fs::write(path("file"), "text").unwrap();
        for target in ["pipe", "file", "nothing"] {
            std::os::unix::fs::symlink(path(target), path(&format!("to-{target}"))).unwrap();
        }
        let of = |links, path: &Path| match open_regular(path, OpenOptions::new().read(true), links) {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        };
        for (path, followed, refused) in [
            (path("file"), "opened", "opened"),
            (path("to-file"), "opened", "it is a symbolic link, expected a regular file"),
            (path("pipe"), "it is a pipe, expected a regular file", "it is a pipe, expected a regular file"),
            (
                path("to-pipe"),
                "it is a pipe, expected a regular file",
                "it is a symbolic link, expected a regular file",
            ),
            (
                path("socket"),
                "it is a socket, expected a regular file",
                "it is a socket, expected a regular file",
            ),
            (
                path(""),
                "it is a directory, expected a regular file",
                "it is a directory, expected a regular file",
            ),
            (
                "/dev/null".into(),
                "it is a device, expected a regular file",
                "it is a device, expected a regular file",
            ),
            (
                path("absent"),
                "No such file or directory (os error 2)",
                "No such file or directory (os error 2)",
            ),
            (
                path("to-nothing"),
                "No such file or directory (os error 2)",
                "it is a symbolic link, expected a regular file",
            ),
        ] {
            assert_eq!(of(Links::Followed, &path), followed, "{}", path.display());
            assert_eq!(of(Links::Refused, &path), refused, "{}", path.display());
        }
        assert_eq!(read_regular(&path("file"), 4).unwrap(), b"text");
        assert_eq!(read_regular(&path("file"), 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
