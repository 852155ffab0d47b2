//! The Unix socket of the daemon: open to its owner only from the moment it exists, and to the members of a group once it
//! belongs to that. It is never in the way of another daemon.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::config::{GroupError, group_id};

/// A socket that the daemon listens on.
pub struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The socket's place in the file system; `inode` tells our socket from one that another daemon put there later.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Why the daemon cannot listen on its socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on the socket {path}: {source}")]
pub struct SocketError {
    path: PathBuf,
    source: io::Error,
}

/// Why the members of a group cannot use the socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketGroupError {
    #[error(transparent)]
    Unknown(#[from] GroupError),
    #[error(
        "the daemon may not give the socket to group {group}: {source} (it has to be a member of that group)"
    )]
    Refused { group: String, source: io::Error },
}

impl Socket {
    /// Lets the members of a group use the socket, and nobody else who could not. If this fails, it stays as it is.
    pub fn open_to(&self, group: &str) -> Result<(), SocketGroupError> {
        let id = group_id(group)?;
        let path = &self.file.path;
        // First the group, so that no other group is ever let in.
        give(path, id)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o660)))
            .map_err(|source| SocketGroupError::Refused { group: group.to_owned(), source })
    }

    /// Listens at `path`, replacing a socket that a former daemon left there. The caller holds the lock of the store,
    /// so no other daemon of the same database can be listening there.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        bind(path).map_err(|source| SocketError { path: path.to_owned(), source })
    }
}

/// Creates the socket in a folder that nobody else may enter, sets its mode there, and then moves it into place: at no
/// moment can others open it, and at no moment is `path` missing.
fn bind(path: &Path) -> io::Result<Socket> {
    match fs::symlink_metadata(path) {
        Ok(existing) if !existing.file_type().is_socket() => {
            let message = "the path is taken by something that is not a socket; move it away or choose another http.socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(_) | Err(_) => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = folder.join(format!(".agentcron-{}", std::process::id()));
    match fs::DirBuilder::new().mode(0o700).create(&private) {
        // A former process with the same process id left it behind.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_dir_all(&private)?;
            fs::DirBuilder::new().mode(0o700).create(&private)?;
        }
        other => other?,
    }
    let socket = bind_within(&private, path);
    let _ = fs::remove_dir_all(&private);
    socket
}

fn bind_within(private: &Path, path: &Path) -> io::Result<Socket> {
    let new = private.join("s");
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    let inode = fs::symlink_metadata(&new)?.ino();
    fs::rename(&new, path)?;
    Ok(Socket { listener, file: SocketFile { path: path.to_owned(), inode } })
}

/// The sandbox of the unit lets nobody change an owner, so that is not tried without need.
fn give(path: &Path, group: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.gid() == group {
        return Ok(());
    }
    lchown(path, None, Some(group))
}

impl SocketFile {
    /// Removes the socket if it is still ours.
    pub(super) fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "could not remove the socket");
        }
    }
}
