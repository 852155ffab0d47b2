//! Finds the database and the daemon's socket in the configuration without validating the rest of it: reading the
//! history must work without the daemon's credentials, and despite mistakes elsewhere in the configuration.

use std::path::{Path, PathBuf};

use crate::config::{Environment, FILE_BYTES_MAX, default_store, read_regular, socket_from_outside};

/// Returns `store.path` of the file, or `None` if it cannot be read without loading the rest.
pub(super) fn store_path(config: &Path, environment: &Environment) -> Option<PathBuf> {
    let table = table(config)?;
    match table.get("store").map(|store| store.get("path")) {
        Some(Some(path)) => filled(config, environment, path.as_str()?),
        Some(None) | None => Some(default_store(environment)),
    }
}

/// Returns the path of the daemon's socket: `http.socket` or, without that key, where a daemon listens by default.
pub(super) fn socket_path(config: &Path, environment: &Environment) -> Option<PathBuf> {
    let table = table(config)?;
    match table.get("http").map(|http| http.get("socket")) {
        Some(Some(path)) => filled(config, environment, path.as_str()?),
        Some(None) | None => Some(socket_from_outside(environment, &store_path(config, environment)?)),
    }
}

fn table(config: &Path) -> Option<toml::Table> {
    String::from_utf8(read_regular(config, FILE_BYTES_MAX).ok()?).ok()?.parse().ok()
}

fn filled(config: &Path, environment: &Environment, written: &str) -> Option<PathBuf> {
    let filled = environment.fill(written).ok()?;
    let base = config.parent().unwrap_or(Path::new(""));
    Some(base.join(filled.expose()))
}

#[cfg(test)]
mod tests;
