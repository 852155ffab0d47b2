//! Finds the database and the daemon's socket in the main file without validating the rest of it: reading the history
//! must work without the daemon's credentials, and both commands and the daemon must find them despite mistakes elsewhere.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::limits::FILE_BYTES_MAX;
use super::reference::{STORE, TOP_LEVEL};
use super::regular_file::read_regular;
use super::server_url::session;
use super::store_location::{ServerLocation, StoreLocation};
use super::unit_places::default_store;

/// Returns where the store is that the file names or has by default, or `None` if that cannot be told without the rest.
pub fn store_in_file(config: &Path, environment: &Environment) -> Option<StoreLocation> {
    let section = section(config, "store")?;
    let file = match section.get("path") {
        _ if section.contains_key("url") => return named_store(config, environment),
        Some(path) => filled(config, environment, path.as_str()?),
        // An unknown key may be this one.
        None if section.keys().any(|key| STORE.key(key).is_none()) => None,
        None => Some(default_store(environment)),
    };
    file.map(StoreLocation::File)
}

/// Returns where the store is that the file names, if it can be read.
pub(super) fn named_store(config: &Path, environment: &Environment) -> Option<StoreLocation> {
    let section = section(config, "store")?;
    let text = |key: &str| section.get(key).and_then(toml::Value::as_str);
    let Some(url) = text("url") else {
        return named(config, "store", "path", environment).map(StoreLocation::File);
    };
    let secret = |text: &str| environment.fill(text).ok();
    // Whoever may not have the secrets of the daemon asks the daemon.
    let password = text("password").map(secret);
    let session = |url: &str| {
        let url = secret(url).filter(|_| password != Some(None))?;
        session(url.expose(), password.as_ref().and_then(Option::as_ref), environment).ok()
    };
    Some(StoreLocation::Server(Box::new(ServerLocation {
        session: session(url),
        listen: text("listen_url").and_then(session),
        ca_file: text("ca_file").and_then(|path| filled(config, environment, path)),
        beside: default_store(environment),
    })))
}

/// Returns where the database may be if the file does not say so: what it has in `[store]` or in unknown tables, whatever
/// the key, and by default.
pub fn stores_perhaps(config: &Path, environment: &Environment) -> Vec<PathBuf> {
    let whole = text(config).and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let tables = whole.iter().filter(|(name, _)| *name == "store" || is_unknown(name));
    let values = tables.filter_map(|(_, table)| table.as_table()).flat_map(|table| table.values());
    let named = values.filter_map(|value| filled(config, environment, value.as_str()?));
    named.chain([default_store(environment)]).collect()
}

/// Returns the daemon's socket if the file names one.
pub fn socket_in_file(config: &Path, environment: &Environment) -> Option<PathBuf> {
    named(config, "http", "socket", environment)
}

/// Returns the path that a table of the file has under a key, if it can be read.
pub(super) fn named(config: &Path, table: &str, key: &str, environment: &Environment) -> Option<PathBuf> {
    filled(config, environment, section(config, table)?.get(key)?.as_str()?)
}

/// Returns a table of the file, which is empty if the file has none; `None` if another may be meant to be it. If the file as
/// a whole is not TOML, only the lines from the table's header to the next header are read.
fn section(config: &Path, name: &str) -> Option<toml::Table> {
    let text = text(config)?;
    if let Ok(mut whole) = text.parse::<toml::Table>() {
        return match whole.remove(name) {
            Some(found) => found.try_into().ok(),
            None if whole.iter().any(|(name, value)| value.is_table() && is_unknown(name)) => None,
            None => Some(toml::Table::new()),
        };
    }
    let header = format!("[{name}]");
    let mut lines =
        text.lines().skip_while(|line| line.split('#').next().unwrap_or_default().trim() != header);
    let header = lines.next()?;
    let body = lines.take_while(|line| !line.starts_with('['));
    let alone = std::iter::once(header).chain(body).collect::<Vec<_>>().join("\n");
    alone.parse::<toml::Table>().ok()?.remove(name)?.try_into().ok()
}

fn text(config: &Path) -> Option<String> {
    String::from_utf8(read_regular(config, FILE_BYTES_MAX).ok()?).ok()
}

fn is_unknown(table: &str) -> bool {
    !TOP_LEVEL.tables.contains(&table)
}

fn filled(config: &Path, environment: &Environment, written: &str) -> Option<PathBuf> {
    let filled = environment.fill(written).ok()?;
    let base = config.parent().unwrap_or(Path::new(""));
    Some(base.join(filled.expose()))
}

#[cfg(test)]
mod tests;
