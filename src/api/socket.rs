//! The Unix socket of the daemon: for its owner only, from the first moment on, and never in the way of another daemon.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket that is listened on.
pub struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// Where it stands.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on the socket {path}: {source}")]
pub struct SocketError {
    path: PathBuf,
    source: io::Error,
}

impl Socket {
    /// Listens at `path`, in the place of a socket that a former daemon left there. The caller holds the lock of the
    /// store: whoever else might listen there is not a daemon of the same database.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        bind(path).map_err(|source| SocketError { path: path.to_owned(), source })
    }
}

/// The socket is made in a folder that nobody else may enter, gets its mode there, and is then moved to its place: at
/// no moment is there one that others may use, nor none where one was.
fn bind(path: &Path) -> io::Result<Socket> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            let words = "something else stands there; move it away or choose another http.socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
        }
        Ok(_) | Err(_) => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = folder.join(format!(".agentcron-{}", std::process::id()));
    match fs::DirBuilder::new().mode(0o700).create(&private) {
        // Of a former process that had our number.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_dir_all(&private)?;
            fs::DirBuilder::new().mode(0o700).create(&private)?;
        }
        other => other?,
    }
    let made = bind_within(&private, path);
    let _ = fs::remove_dir_all(&private);
    made
}

fn bind_within(private: &Path, path: &Path) -> io::Result<Socket> {
    let new = private.join("s");
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    let inode = fs::symlink_metadata(&new)?.ino();
    fs::rename(&new, path)?;
    Ok(Socket { listener, file: SocketFile { path: path.to_owned(), inode } })
}

impl SocketFile {
    /// Takes the socket away, if it is still ours.
    pub(super) fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket could not be taken away");
        }
    }
}
