//! Where the database and the socket are if the configuration does not say so. systemd tells a service its own folders
//! (`StateDirectory=`, `RuntimeDirectory=`), which a shell does not know: there, the folders of our unit are assumed.

use std::path::{Path, PathBuf};

use super::environment::Environment;

/// Where systemd makes the folders of `StateDirectory=` and `RuntimeDirectory=` for services of the system.
const STATE_ROOT: &str = "/var/lib";
const RUNTIME_ROOT: &str = "/run";
const FOLDER: &str = "agentcron";
const DATABASE: &str = "agentcron.db";
const SOCKET: &str = "agentcron.sock";

/// Returns the database of a configuration without `store.path`.
pub fn default_store(environment: &Environment) -> PathBuf {
    let folder = folder_in(environment, "env.STATE_DIRECTORY");
    folder.unwrap_or_else(|| Path::new(STATE_ROOT).join(FOLDER)).join(DATABASE)
}

/// Returns the socket on which a daemon listens without `http.socket`: in the runtime folder that belongs to the folder
/// of its database, or else beside the database.
pub(super) fn default_socket(environment: &Environment, store: &Path) -> PathBuf {
    let state = folder_in(environment, "env.STATE_DIRECTORY").map(|folder| folder.join(DATABASE));
    match folder_in(environment, "env.RUNTIME_DIRECTORY") {
        Some(folder) if state.as_deref() == Some(store) => folder.join(SOCKET),
        Some(_) | None => store.with_extension("sock"),
    }
}

/// Returns where the daemon of this database listens without `http.socket`, as far as that can be seen from outside of
/// its service.
///
/// The two places never belong to different databases: a service has the first one only if its database is in the
/// state folder of the same name. systemd removes it when the service stops.
pub fn socket_from_outside(environment: &Environment, store: &Path) -> PathBuf {
    let of_service = || {
        let folder = store.strip_prefix(STATE_ROOT).ok()?.parent()?;
        let is_of_service = store.file_name()? == DATABASE && !folder.as_os_str().is_empty();
        is_of_service.then(|| Path::new(RUNTIME_ROOT).join(folder).join(SOCKET))
    };
    let of_service = of_service().filter(|socket| socket.exists());
    of_service.unwrap_or_else(|| default_socket(environment, store))
}

/// Returns the folder that a variable of systemd names; of several, the first.
fn folder_in(environment: &Environment, variable: &str) -> Option<PathBuf> {
    let folders = environment.lookup(variable).ok()?;
    let first = folders.expose().split(':').next().unwrap_or_default();
    Path::new(first).is_absolute().then(|| PathBuf::from(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_a_service_are_the_defaults_within_it() {
        let shell = Environment::of_map([]);
        let unit = Environment::of_map([
            ("env.STATE_DIRECTORY", "/var/lib/agentcron"),
            ("env.RUNTIME_DIRECTORY", "/run/agentcron"),
        ]);
        let several = Environment::of_map([
            ("env.STATE_DIRECTORY", "/s/one:/s/two"),
            ("env.RUNTIME_DIRECTORY", "/r/one:/r/two"),
        ]);
        let state_only = Environment::of_map([("env.STATE_DIRECTORY", "/s/one")]);
        let odd = Environment::of_map([("env.STATE_DIRECTORY", "relative"), ("env.RUNTIME_DIRECTORY", "")]);
        for (environment, store, socket) in [
            (&shell, "/var/lib/agentcron/agentcron.db", "/var/lib/agentcron/agentcron.sock"),
            (&unit, "/var/lib/agentcron/agentcron.db", "/run/agentcron/agentcron.sock"),
            (&several, "/s/one/agentcron.db", "/r/one/agentcron.sock"),
            (&state_only, "/s/one/agentcron.db", "/s/one/agentcron.sock"),
            (&odd, "/var/lib/agentcron/agentcron.db", "/var/lib/agentcron/agentcron.sock"),
        ] {
            let default = default_store(environment);
            assert_eq!(default, PathBuf::from(store));
            assert_eq!(default_socket(environment, &default), PathBuf::from(socket));
        }
        let chosen = Path::new("/data/a.db");
        assert_eq!(
            default_socket(&unit, chosen),
            Path::new("/data/a.sock"),
            "beside a database of one's own"
        );
        assert_eq!(socket_from_outside(&shell, chosen), Path::new("/data/a.sock"));
    }
}
