//! Finds the database and the daemon's socket in the main file without validating the rest of it: reading the history
//! must work without the daemon's credentials, and both commands and the daemon must find them despite mistakes elsewhere.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::limits::FILE_BYTES_MAX;
use super::regular_file::read_regular;
use super::unit_places::{default_store, socket_from_outside};

/// Returns the database that the file names or has by default, or `None` if that cannot be told without the rest.
pub fn store_in_file(config: &Path, environment: &Environment) -> Option<PathBuf> {
    match section(config, "store")?.get("path") {
        Some(path) => filled(config, environment, path.as_str()?),
        None => Some(default_store(environment)),
    }
}

/// Returns the daemon's socket in the same way. A daemon that does not understand `[http]` has it where it is by default.
pub fn socket_in_file(config: &Path, environment: &Environment) -> Option<PathBuf> {
    let by_default = || Some(socket_from_outside(environment, &store_in_file(config, environment)?));
    named(config, "http", "socket", environment).or_else(by_default)
}

/// Returns the path that a table of the file has under a key, if it can be read.
pub(super) fn named(config: &Path, table: &str, key: &str, environment: &Environment) -> Option<PathBuf> {
    filled(config, environment, section(config, table)?.get(key)?.as_str()?)
}

/// Returns a table of the file, which is empty if the file has none. If the file as a whole is not TOML, only the lines
/// from the table's header to the next header are read.
fn section(config: &Path, name: &str) -> Option<toml::Table> {
    let text = String::from_utf8(read_regular(config, FILE_BYTES_MAX).ok()?).ok()?;
    if let Ok(mut whole) = text.parse::<toml::Table>() {
        return whole.remove(name).map_or_else(|| Some(toml::Table::new()), |found| found.try_into().ok());
    }
    let header = format!("[{name}]");
    let mut lines =
        text.lines().skip_while(|line| line.split('#').next().unwrap_or_default().trim() != header);
    let header = lines.next()?;
    let body = lines.take_while(|line| !line.starts_with('['));
    let alone = std::iter::once(header).chain(body).collect::<Vec<_>>().join("\n");
    alone.parse::<toml::Table>().ok()?.remove(name)?.try_into().ok()
}

fn filled(config: &Path, environment: &Environment, written: &str) -> Option<PathBuf> {
    let filled = environment.fill(written).ok()?;
    let base = config.parent().unwrap_or(Path::new(""));
    Some(base.join(filled.expose()))
}

#[cfg(test)]
mod tests;
