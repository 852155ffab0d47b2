//! Where the database is, read from the configuration without judging the rest of it: a person who asks for the
//! history need not have the daemon's credentials, nor a configuration without mistakes.

use std::path::{Path, PathBuf};

use crate::config::{Environment, STORE_PATH_DEFAULT};

/// `store.path` of the file, if it is there and plain enough to be read by itself.
pub(super) fn store_path(config: &Path, environment: &Environment) -> Option<PathBuf> {
    let text = std::fs::read_to_string(config).ok()?;
    let table: toml::Table = text.parse().ok()?;
    let written = match table.get("store").map(|store| store.get("path")) {
        Some(Some(path)) => path.as_str()?,
        Some(None) | None => STORE_PATH_DEFAULT,
    };
    let filled = environment.fill(written).ok()?;
    let base = config.parent().unwrap_or(Path::new(""));
    Some(base.join(filled.expose()))
}

#[cfg(test)]
mod tests;
