//! Reads `[http]` and `[http.keys.NAME]`: where the daemon listens, who may call, and which web pages.

use std::net::SocketAddr;

use serde::Deserialize;

use super::errors::{Complaint, escaped, quoted};
use super::langgraph_json::ServerSettings;
use super::limits::{API_KEY_CHARS_MIN, API_KEYS_MAX, ORIGINS_MAX};
use super::reference;
use super::secret::Secret;
use super::section::{NO_ADVICE, Section};
use super::section_reader::{Reported, SectionReader};
use super::settings::{ApiKey, HttpConfig};
use super::validate_cron::is_cron_name;
use crate::domain::access::{Access, ClientCrons};
use crate::domain::origin::OriginPattern;

/// One port above the agent server's own, so that clients change nothing but the number.
const LISTEN_DEFAULT: &str = "127.0.0.1:2025";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    listen: Option<String>,
    api_keys: Option<Vec<String>>,
    allow_origins: Option<Vec<String>>,
    client_crons: Option<String>,
    socket: Option<String>,
    disable_webhooks: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKey {
    key: Option<String>,
    access: Option<String>,
}

/// Reads `[http]`, together with the settings of the agent server's own file.
pub(super) fn http(
    root: &Section<'_>,
    server: &ServerSettings,
    reader: &mut SectionReader<'_>,
) -> Result<HttpConfig, Reported> {
    let section = root.child("http", "http", reader.report);
    let raw: RawHttp = section.read(&reference::HTTP, NO_ADVICE, reader.report);
    let written_keys = raw.api_keys.unwrap_or_default();
    let keys = keys(&section, &written_keys, reader);
    let has_keys = section.has("api_keys") || section.has("keys");
    let listen = listen(&section, raw.listen.as_deref(), reader);
    match listen {
        Ok(ListenSetting::On(address)) if !address.ip().is_loopback() && !has_keys => {
            let message =
                format!("{address} can be reached from other machines, and anybody there could use it");
            let hint = "set http.api_keys = [\"${{ credential.NAME }}\"], or listen on 127.0.0.1";
            reader.report(&section, "listen", Complaint::with_hint(message, hint));
        }
        Ok(ListenSetting::Off) => {
            for key in ["api_keys", "keys"].into_iter().filter(|key| section.has(key)) {
                let complaint =
                    Complaint::new("has no effect while listen is off: the Unix socket needs no key");
                reader.report.warning(section.error(key, "", complaint));
            }
        }
        Ok(ListenSetting::On(_)) | Err(Reported) => {}
    }
    let allow_origins = allow_origins(&section, &raw.allow_origins.unwrap_or_default(), reader);
    let client_crons = reader.word(&section, "client_crons", raw.client_crons.as_deref())?;
    if client_crons == Some(ClientCrons::Service) && !has_keys && section.has("client_crons") {
        let hint = "set http.api_keys, or [http.keys.NAME]";
        let complaint =
            Complaint::with_hint("without keys, no client may act under backend's credentials", hint);
        reader.report.warning(section.error("client_crons", "", complaint));
    }
    let socket = reader.optional_path(&section, "socket", raw.socket.as_deref());
    let is_disabled_by_environment = is_disabled_by_environment(&section, reader);
    Ok(HttpConfig {
        listen: listen?.address(),
        keys: keys?,
        allow_origins: allow_origins?,
        client_crons: client_crons.unwrap_or(ClientCrons::Open),
        socket: socket?,
        disable_webhooks: raw.disable_webhooks.unwrap_or(false)
            || server.disable_webhooks
            || is_disabled_by_environment,
    })
}

/// The value of `listen`.
#[derive(Clone, Copy)]
enum ListenSetting {
    Off,
    On(SocketAddr),
}

impl ListenSetting {
    fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::On(address) => Some(address),
        }
    }
}

fn listen(
    section: &Section<'_>,
    text: Option<&str>,
    reader: &mut SectionReader<'_>,
) -> Result<ListenSetting, Reported> {
    let text = text.unwrap_or(LISTEN_DEFAULT);
    let filled = reader.text(section, "listen", text)?;
    if filled == "off" {
        return Ok(ListenSetting::Off);
    }
    let expected = "expected an address with a port such as 127.0.0.1:2025 or [::1]:2025, or off";
    filled.parse().map(ListenSetting::On).map_err(|_| {
        reader.report(section, "listen", Complaint::new(format!("got {}, {expected}", quoted(text))))
    })
}

/// Reads the keys of callers, those with a name and those of the short form.
fn keys(
    section: &Section<'_>,
    written: &[String],
    reader: &mut SectionReader<'_>,
) -> Result<Vec<ApiKey>, Reported> {
    if section.has("api_keys") && written.is_empty() {
        let hint = "leave it out if no key is needed, on loopback";
        let complaint = Complaint::with_hint("an empty list would let nobody in", hint);
        return Err(reader.report(section, "api_keys", complaint));
    }
    let mut keys: Vec<ApiKey> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let pointer = format!("/{index}");
        let secret = key_secret(section, "api_keys", &pointer, text, reader)?;
        let name = format!("api_keys[{index}]");
        if let Some(other) = keys.iter().find(|key| key.secret == secret) {
            reader.report_at(section, "api_keys", &pointer, same_key(&other.name));
        }
        keys.push(ApiKey { name, secret, access: Access::Act });
    }
    named_keys(section, &mut keys, reader)?;
    if keys.len() > API_KEYS_MAX {
        let message = format!("more than {API_KEYS_MAX} keys");
        let key = if section.has("keys") { "keys" } else { "api_keys" };
        return Err(reader.report(section, key, Complaint::new(message)));
    }
    Ok(keys)
}

/// Reads the tables `[http.keys.NAME]`.
fn named_keys(
    http: &Section<'_>,
    keys: &mut Vec<ApiKey>,
    reader: &mut SectionReader<'_>,
) -> Result<(), Reported> {
    let tables = http.child("keys", "http.keys.NAME", reader.report);
    if http.has("keys") && tables.is_present() && tables.entries().next().is_none() {
        let complaint = Complaint::with_hint("no key in it would let nobody in", "write [http.keys.NAME]");
        return Err(reader.report(http, "keys", complaint));
    }
    let mut result = Ok(());
    for (name, _) in tables.entries() {
        let name: &str = name.get_ref();
        let full_name = format!("http.keys.{name}");
        let section = tables.child(name, &full_name, reader.report);
        let read = named_key(&section, name, reader);
        if let Ok(key) = &read
            && let Some(other) = keys.iter().find(|other| other.secret == key.secret)
        {
            reader.report(&section, "key", same_key(&other.name));
        }
        match read {
            Ok(key) => keys.push(key),
            Err(reported) => result = Err(reported),
        }
    }
    result
}

fn named_key(section: &Section<'_>, name: &str, reader: &mut SectionReader<'_>) -> Result<ApiKey, Reported> {
    if !section.is_present() {
        return Err(Reported);
    }
    if !is_cron_name(name) {
        let message = format!("[{}]: {} is not a name for a key", escaped(section.name), quoted(name));
        let hint = "letters, digits, and -_. between them, at most 100 characters";
        reader.report.error(section.document.source.error(section.offset, message, Some(hint.to_owned())));
        return Err(Reported);
    }
    let raw: RawKey = section.read(&reference::HTTP_KEY, NO_ADVICE, reader.report);
    let mut required = |key: &str, value: Option<String>| {
        value.ok_or_else(|| {
            if !section.has(key) {
                reader.report.error(section.missing(key));
            }
            Reported
        })
    };
    let (key, access) = (required("key", raw.key), required("access", raw.access));
    let secret = key_secret(section, "key", "", &key?, reader)?;
    let access = reader.word(section, "access", Some(&access?))?.ok_or(Reported)?;
    Ok(ApiKey { name: name.to_owned(), secret, access })
}

/// Reads a key, which must be hard to guess because the port may be open to a network.
fn key_secret(
    section: &Section<'_>,
    key: &str,
    pointer: &str,
    text: &str,
    reader: &mut SectionReader<'_>,
) -> Result<Secret, Reported> {
    let secret = reader.secret(section, key, pointer, text)?;
    let is_sendable = secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if secret.expose().len() < API_KEY_CHARS_MIN || !is_sendable {
        let message = format!("expected at least {API_KEY_CHARS_MIN} visible ASCII characters");
        let complaint = Complaint::with_hint(message, "such as `openssl rand -hex 32`");
        reader.report_at(section, key, pointer, complaint);
    }
    Ok(secret)
}

fn same_key(other: &str) -> Complaint {
    Complaint::new(format!("the same key as {}: nobody could tell who acted", quoted(other)))
}

fn allow_origins(
    section: &Section<'_>,
    written: &[String],
    reader: &mut SectionReader<'_>,
) -> Result<Vec<OriginPattern>, Reported> {
    if written.len() > ORIGINS_MAX {
        let complaint = Complaint::new(format!("more than {ORIGINS_MAX} origins"));
        return Err(reader.report(section, "allow_origins", complaint));
    }
    let mut origins = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let pointer = format!("/{index}");
        let filled = reader.fill(section, "allow_origins", &pointer, text)?;
        match OriginPattern::parse(&filled) {
            Ok(origin) => origins.push(origin),
            Err(mistake) => {
                let complaint = Complaint::with_hint(format!("got {}", quoted(text)), mistake.to_string());
                return Err(reader.report_at(section, "allow_origins", &pointer, complaint));
            }
        }
    }
    Ok(origins)
}

/// Returns whether the environment switches webhooks off, for the moment when editing a file is too slow or impossible.
fn is_disabled_by_environment(section: &Section<'_>, reader: &mut SectionReader<'_>) -> bool {
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
