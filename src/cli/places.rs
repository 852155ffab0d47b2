//! Where the database and the daemon's socket are, read from the configuration without judging the rest of it: a person who asks for the
//! history need not have the daemon's credentials, nor a configuration without mistakes.

use std::path::{Path, PathBuf};

use crate::config::Environment;

/// `store.path` of the file, if it is there and plain enough to be read by itself.
pub(super) fn store_path(config: &Path, environment: &Environment) -> Option<PathBuf> {
    path_in(config, environment, "store", "path")
}

/// Where the daemon listens, by the same reading: `http.socket`, else beside the database.
pub(super) fn socket_path(config: &Path, environment: &Environment) -> Option<PathBuf> {
    path_in(config, environment, "http", "socket")
        .or_else(|| Some(store_path(config, environment)?.with_extension("sock")))
}

fn path_in(config: &Path, environment: &Environment, section: &str, key: &str) -> Option<PathBuf> {
    let text = std::fs::read_to_string(config).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let written = table.get(section)?.get(key)?.as_str()?;
    let filled = environment.fill(written).ok()?;
    let base = config.parent().unwrap_or(Path::new(""));
    Some(base.join(filled.expose()))
}
