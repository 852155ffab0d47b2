//! `[backend]`, `[store]`, `[http]` and the top-level durations: raw -> settled.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::duration::parse_duration;
use super::environment::Environment;
use super::errors::{Report, quoted};
use super::limits::{API_KEY_CHARS_MIN, CONCURRENT_RUNS_MAX, VALUES_BYTES_MAX};
use super::placeholders::{check_text, missing};
use super::secret::Secret;
use super::section::Section;
use super::validated::{BackendConfig, HttpConfig, StoreConfig};

/// Where `langgraph dev` listens.
const BACKEND_URL_DEFAULT: &str = "http://127.0.0.1:2024";
/// One more than that: for clients, the same with another number.
const LISTEN_DEFAULT: &str = "127.0.0.1:2025";
const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
const CONCURRENT_RUNS_DEFAULT: usize = 256;
/// Where the database is if nothing is said.
pub const STORE_PATH_DEFAULT: &str = "/var/lib/agentcron/agentcron.db";
const VALUES_BYTES_DEFAULT: usize = 64 << 10;
const SHUTDOWN_GRACE_DEFAULT: Duration = Duration::from_secs(20);

/// What settling needs besides the section: relative paths start at `base`, the main file's directory.
pub(super) struct SectionReader<'r> {
    pub(super) base: &'r Path,
    pub(super) environment: &'r Environment,
    pub(super) report: &'r mut Report,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBackend {
    url: Option<String>,
    api_key: Option<String>,
    request_timeout: Option<String>,
    max_concurrent_runs: Option<u64>,
    ca_file: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    path: Option<String>,
    values_bytes_max: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    listen: Option<String>,
    api_keys: Option<Vec<String>>,
    socket: Option<String>,
    disable_webhooks: Option<bool>,
}

/// `[backend]`
pub(super) fn backend(root: &Section<'_>, reader: &mut SectionReader<'_>) -> Option<BackendConfig> {
    let section = root.child("backend", "backend", reader.report);
    let raw: RawBackend = section.read(&[], |_| None, reader.report);
    let url = reader.text(&section, "url", raw.url.as_deref().unwrap_or(BACKEND_URL_DEFAULT));
    let url = url.and_then(|url| {
        backend_url(&url).map_err(|(message, hint)| reader.error(&section, "url", message, hint)).ok()
    });
    let api_key = raw.api_key.as_deref().map(|text| reader.secret(&section, "api_key", "", text));
    let timeout = reader.duration(&section, "request_timeout", raw.request_timeout, REQUEST_TIMEOUT_DEFAULT);
    if timeout == Some(Duration::ZERO) {
        reader.error(&section, "request_timeout", "got no time at all, expected more than zero", None);
    }
    let runs = raw.max_concurrent_runs.unwrap_or(CONCURRENT_RUNS_DEFAULT as u64);
    let ca_file = raw.ca_file.as_deref().map(|text| reader.path(&section, "ca_file", text));
    Some(BackendConfig {
        max_concurrent_runs: reader.number(&section, "max_concurrent_runs", runs, 1, CONCURRENT_RUNS_MAX)?,
        url: url?,
        api_key: api_key.map_or(Some(None), |key| key.map(Some))?,
        request_timeout: timeout?,
        ca_file: ca_file.map_or(Some(None), |path| path.map(Some))?,
    })
}

/// `[store]`
pub(super) fn store(root: &Section<'_>, reader: &mut SectionReader<'_>) -> Option<StoreConfig> {
    let section = root.child("store", "store", reader.report);
    let raw: RawStore = section.read(&[], |_| None, reader.report);
    let path = reader.path(&section, "path", raw.path.as_deref().unwrap_or(STORE_PATH_DEFAULT));
    let bytes = raw.values_bytes_max.unwrap_or(VALUES_BYTES_DEFAULT as u64);
    let values_bytes_max = reader.number(&section, "values_bytes_max", bytes, 0, VALUES_BYTES_MAX)?;
    Some(StoreConfig { path: path?, values_bytes_max })
}

/// `[http]`; `disabled_elsewhere` is what `langgraph.json` says.
pub(super) fn http(
    root: &Section<'_>,
    disabled_elsewhere: bool,
    reader: &mut SectionReader<'_>,
) -> Option<HttpConfig> {
    let section = root.child("http", "http", reader.report);
    let raw: RawHttp = section.read(&[], |_| None, reader.report);
    let api_keys = api_keys(&section, &raw.api_keys.unwrap_or_default(), reader);
    let listen = listen(&section, raw.listen.as_deref(), reader);
    if let Some(Some(address)) = listen
        && !address.ip().is_loopback()
        && !section.has("api_keys")
    {
        let message = format!("{address} can be reached from other machines, and anybody there could use it");
        let hint = "set http.api_keys = [\"${{ credential.NAME }}\"], or listen on 127.0.0.1".to_owned();
        reader.error(&section, "listen", &message, Some(hint));
    }
    if listen == Some(None) && section.has("api_keys") {
        let message = "of no use while listen is off: the Unix socket needs no key";
        reader.report.warning(section.error("api_keys", "", message, None));
    }
    let socket = raw.socket.as_deref().map(|text| reader.path(&section, "socket", text));
    let forced = disabled_by_environment(&section, reader);
    Some(HttpConfig {
        listen: listen?,
        api_keys: api_keys?,
        socket: socket.map_or(Some(None), |path| path.map(Some))?,
        disable_webhooks: raw.disable_webhooks.unwrap_or(false) || disabled_elsewhere || forced,
    })
}

/// `off`, or an address; the outer `None` is a mistake.
fn listen(
    section: &Section<'_>,
    text: Option<&str>,
    reader: &mut SectionReader<'_>,
) -> Option<Option<SocketAddr>> {
    let text = text.unwrap_or(LISTEN_DEFAULT);
    let filled = reader.text(section, "listen", text)?;
    if filled == "off" {
        return Some(None);
    }
    let expected = "expected an address with a port such as 127.0.0.1:2025 or [::1]:2025, or off";
    let address = filled.parse::<SocketAddr>().map_err(|_| {
        reader.error(section, "listen", &format!("got {}, {expected}", quoted(text)), None);
    });
    address.ok().map(Some)
}

/// Keys for our own server: as hard to guess as a key has to be that is open to the network.
fn api_keys(
    section: &Section<'_>,
    written: &[String],
    reader: &mut SectionReader<'_>,
) -> Option<Vec<Secret>> {
    let hint = || Some("such as `openssl rand -hex 32`".to_owned());
    if section.has("api_keys") && written.is_empty() {
        let hint = "leave it out if no key is needed, on loopback".to_owned();
        reader.error(section, "api_keys", "an empty list would let nobody in", Some(hint));
        return None;
    }
    let mut keys = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let pointer = format!("/{index}");
        let key = reader.secret(section, "api_keys", &pointer, text)?;
        let is_sendable = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if key.expose().len() < API_KEY_CHARS_MIN || !is_sendable {
            let message = format!("expected at least {API_KEY_CHARS_MIN} visible ASCII characters");
            reader.report.error(section.error("api_keys", &pointer, &message, hint()));
        }
        keys.push(key);
    }
    Some(keys)
}

/// A switch for the moment when editing a file is too slow or not possible.
fn disabled_by_environment(section: &Section<'_>, reader: &mut SectionReader<'_>) -> bool {
    const VARIABLE: &str = "env.AGENTCRON_DISABLE_WEBHOOKS";
    let Ok(value) = reader.environment.lookup(VARIABLE) else { return false };
    match value.expose() {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => {
            let file = &section.document.source.file;
            reader.report.file_error(file, "$AGENTCRON_DISABLE_WEBHOOKS: expected true or false");
            true
        }
    }
}

/// `shutdown_grace`; zero means at once.
pub(super) fn shutdown_grace(
    root: &Section<'_>,
    raw: Option<String>,
    reader: &mut SectionReader<'_>,
) -> Option<Duration> {
    reader.duration(root, "shutdown_grace", raw, SHUTDOWN_GRACE_DEFAULT)
}

/// The message does not quote the URL: it may hold a password.
fn backend_url(text: &str) -> Result<Url, (&'static str, Option<String>)> {
    let example = || Some("such as http://127.0.0.1:2024".to_owned());
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => ("not a URL: there is no scheme", example()),
        _ => ("not a URL", Some(error.to_string())),
    })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(("expected a URL with http or https and a host", example()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "got a URL with a user or password in it",
            Some("write api_key = \"…\" instead".to_owned()),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("got a URL with a query or fragment", Some("end it with the path".to_owned())));
    }
    if url.port() == Some(0) {
        return Err(("got port 0, expected 1 to 65535", None));
    }
    Ok(url)
}

impl SectionReader<'_> {
    /// A mistake at a key.
    pub(super) fn error(&mut self, section: &Section<'_>, key: &str, message: &str, hint: Option<String>) {
        self.report.error(section.error(key, "", message, hint));
    }

    /// A text with its placeholders filled.
    pub(super) fn fill(
        &mut self,
        section: &Section<'_>,
        key: &str,
        pointer: &str,
        text: &str,
    ) -> Option<String> {
        let complaints = check_text(text, false).into_iter();
        let missing = missing(text, self.environment).into_iter().map(|error| (error.to_string(), None));
        let mut fine = true;
        for (message, hint) in complaints.chain(missing) {
            fine = false;
            self.report.error(section.error(key, pointer, &message, hint));
        }
        let filled = self.environment.fill(text).ok().filter(|_| fine)?;
        Some(filled.expose().to_owned())
    }

    /// A text with its placeholders filled, not empty.
    pub(super) fn text(&mut self, section: &Section<'_>, key: &str, text: &str) -> Option<String> {
        let filled = self.fill(section, key, "", text)?;
        if filled.trim().is_empty() {
            self.error(section, key, "got an empty text", None);
            return None;
        }
        Some(filled)
    }

    /// A text that nobody shall see, not empty.
    pub(super) fn secret(
        &mut self,
        section: &Section<'_>,
        key: &str,
        pointer: &str,
        text: &str,
    ) -> Option<Secret> {
        let filled = self.fill(section, key, pointer, text)?;
        if filled.trim().is_empty() || filled.contains(char::is_control) {
            let hint = "leave the key out to send none".to_owned();
            let message = "expected a text in one line, and not an empty one";
            self.report.error(section.error(key, pointer, message, Some(hint)));
            return None;
        }
        Some(Secret::new(&filled))
    }

    /// A path; a relative one starts at the main file's directory.
    pub(super) fn path(&mut self, section: &Section<'_>, key: &str, text: &str) -> Option<PathBuf> {
        let filled = self.text(section, key, text)?;
        if filled.contains(char::is_control) {
            self.error(section, key, "expected a path without control characters", None);
            return None;
        }
        Some(self.base.join(filled))
    }

    fn duration(
        &mut self,
        section: &Section<'_>,
        key: &str,
        raw: Option<String>,
        default: Duration,
    ) -> Option<Duration> {
        let Some(written) = raw else { return Some(default) };
        let filled = self.text(section, key, &written)?;
        // What came from the environment is not quoted.
        let message = |message: String| {
            if filled == written { message } else { "not a duration such as 90s or 5m".into() }
        };
        parse_duration(&filled).map_err(|error| self.error(section, key, &message(error), None)).ok()
    }

    /// A number within bounds.
    pub(super) fn number(
        &mut self,
        section: &Section<'_>,
        key: &str,
        number: u64,
        min: u64,
        max: u64,
    ) -> Option<usize> {
        if !(min..=max).contains(&number) {
            self.error(section, key, &format!("got {number}, expected {min} to {max}"), None);
            return None;
        }
        usize::try_from(number).ok()
    }
}
