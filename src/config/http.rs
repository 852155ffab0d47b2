//! Reads `[http]` and `[http.keys.NAME]`: where the daemon listens, who may call, and which web pages.

use std::net::SocketAddr;

use super::errors::{Complaint, ConfigError, escaped, quoted};
use super::groups::group_id;
use super::langgraph_json::ServerSettings;
use super::limits::{API_KEY_CHARS_MIN, API_KEYS_MAX, ORIGINS_MAX};
use super::loss::Loss;
use super::reference;
use super::secret::Secret;
use super::section_reader::{Reported, SectionReader};
use super::settings::{ApiKey, HttpConfig};
use super::validate_cron::is_cron_name;
use crate::domain::access::{Access, ClientCrons};
use crate::domain::origin::OriginPattern;

/// Reads `[http]`, together with the settings of the agent server's own file.
pub(super) fn http(
    server: &ServerSettings,
    root: &mut SectionReader<'_, '_>,
) -> Result<HttpConfig, Reported> {
    let mut section = root.table("http", "http", &reference::HTTP);
    let keys = keys(&mut section);
    let has_keys = section.has("api_keys") || section.has("keys");
    let listen = listen(&mut section);
    match listen {
        Ok(Some(address)) if !address.ip().is_loopback() && !has_keys => {
            let message =
                format!("{address} can be reached from other machines, and anybody there could use it");
            let hint = "set http.api_keys = [\"${{ credential.NAME }}\"], or listen on 127.0.0.1";
            section.report("listen", Complaint::with_hint(message, hint));
        }
        Ok(None) => {
            let message = "has no effect while listen is off: the Unix socket needs no key";
            for key in ["api_keys", "keys"] {
                if section.has(key) {
                    section.warn(key, Complaint::new(message));
                }
            }
        }
        Ok(Some(_)) | Err(Reported) => {}
    }
    let allow_origins = allow_origins(&mut section);
    let client_crons = section.word("client_crons")?;
    if client_crons == ClientCrons::Service && !has_keys {
        let hint = "set http.api_keys, or [http.keys.NAME]";
        let message = "without keys, no client may act under backend's credentials";
        section.warn("client_crons", Complaint::with_hint(message, hint));
    }
    let socket = section.path("socket");
    let socket_group = socket_group(&mut section);
    let is_disabled_by_environment = is_disabled_by_environment(&mut section);
    let disabled_by_files = section.value("disable_webhooks") || server.disable_webhooks;
    Ok(HttpConfig {
        listen: listen?,
        keys: keys?,
        allow_origins: allow_origins?,
        client_crons,
        page: section.word("page")?,
        open_probes: section.value("open_probes"),
        socket: socket?,
        socket_group: socket_group?,
        disable_webhooks: disabled_by_files || is_disabled_by_environment,
        disabled_by_files,
    })
}

/// Returns the group whose members may use the socket. Whether it exists is known on the machine of the daemon only.
fn socket_group(section: &mut SectionReader<'_, '_>) -> Result<Option<String>, Reported> {
    if !section.has("socket_group") {
        return Ok(None);
    }
    let name = section.text("socket_group")?;
    if name.contains([':', ',', '/']) || name.contains(char::is_whitespace) {
        let complaint = Complaint::new("expected the name of one group, or its number");
        return Err(section.report("socket_group", complaint));
    }
    if let Err(error) = group_id(&name) {
        section.warn("socket_group", Complaint::new(error.to_string()));
    }
    Ok(Some(name))
}

/// Returns the address to listen on, or `None` for `off`.
fn listen(section: &mut SectionReader<'_, '_>) -> Result<Option<SocketAddr>, Reported> {
    let written: String = section.value("listen");
    let filled = section.text("listen")?;
    if filled == "off" {
        return Ok(None);
    }
    let expected = "expected an address with a port such as 127.0.0.1:2025 or [::1]:2025, or off";
    filled.parse().map(Some).map_err(|_| {
        section.report("listen", Complaint::new(format!("got {}, {expected}", quoted(&written))))
    })
}

/// Reads the keys of callers, those with a name and those of the short form.
fn keys(section: &mut SectionReader<'_, '_>) -> Result<Vec<ApiKey>, Reported> {
    let written: Vec<String> = section.value("api_keys");
    if section.has("api_keys") && written.is_empty() {
        let hint = "leave it out if no key is needed, on loopback";
        let complaint = Complaint::with_hint("an empty list would let nobody in", hint);
        return Err(section.report("api_keys", complaint));
    }
    let mut keys: Vec<ApiKey> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let pointer = format!("/{index}");
        let secret = key_secret("api_keys", &pointer, text, section)?;
        let name = format!("api_keys[{index}]");
        if let Some(other) = keys.iter().find(|key| key.secret == secret) {
            section.report_at("api_keys", &pointer, same_key(&other.name));
        }
        keys.push(ApiKey { name, secret, access: Access::Act });
    }
    named_keys(&mut keys, section)?;
    if keys.len() > API_KEYS_MAX {
        let message = format!("more than {API_KEYS_MAX} keys");
        let key = if section.has("keys") { "keys" } else { "api_keys" };
        return Err(section.report(key, Complaint::new(message)));
    }
    Ok(keys)
}

/// Reads the tables `[http.keys.NAME]`.
fn named_keys(keys: &mut Vec<ApiKey>, http: &mut SectionReader<'_, '_>) -> Result<(), Reported> {
    let mut tables = http.child("keys", "http.keys.NAME");
    let section = tables.section;
    if section.is_present() && section.entries().next().is_none() {
        let complaint = Complaint::with_hint("no key in it would let nobody in", "write [http.keys.NAME]");
        return Err(http.report("keys", complaint));
    }
    let mut result = Ok(());
    for (name, _) in section.entries() {
        let name: &str = name.get_ref();
        let full_name = format!("http.keys.{name}");
        let mut section = tables.table(name, &full_name, &reference::HTTP_KEY);
        let Ok(key) = named_key(name, &mut section) else {
            result = Err(Reported);
            continue;
        };
        if let Some(other) = keys.iter().find(|other| other.secret == key.secret) {
            section.report("key", same_key(&other.name));
        }
        keys.push(key);
    }
    result
}

fn named_key(name: &str, section: &mut SectionReader<'_, '_>) -> Result<ApiKey, Reported> {
    let table = section.section;
    if !table.is_present() {
        return Err(Reported);
    }
    if !is_cron_name(name) {
        let message = format!("[{}]: {} is not a name for a key", escaped(table.name), quoted(name));
        let hint = "letters, digits, and -_. between them, at most 100 characters";
        section.report.error(table.document.source.error(table.offset, message, Some(hint.to_owned())));
        return Err(Reported);
    }
    for key in ["key", "access"] {
        if !table.has(key) {
            section.report.error(table.missing(key));
        }
    }
    let key = section.value::<Option<String>>("key").ok_or(Reported)?;
    section.value::<Option<String>>("access").ok_or(Reported)?;
    let secret = key_secret("key", "", &key, section)?;
    let access = section.word("access")?;
    Ok(ApiKey { name: name.to_owned(), secret, access })
}

/// Reads a key, which must be hard to guess because the port may be open to a network.
fn key_secret(
    key: &str,
    pointer: &str,
    text: &str,
    section: &mut SectionReader<'_, '_>,
) -> Result<Secret, Reported> {
    let secret = section.secret(key, pointer, text)?;
    let is_sendable = secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if secret.expose().len() < API_KEY_CHARS_MIN || !is_sendable {
        let message = format!("expected at least {API_KEY_CHARS_MIN} visible ASCII characters");
        let complaint = Complaint::with_hint(message, "such as `openssl rand -hex 32`");
        section.report_at(key, pointer, complaint);
    }
    Ok(secret)
}

fn same_key(other: &str) -> Complaint {
    Complaint::new(format!("the same key as {}: nobody could tell who acted", quoted(other)))
}

fn allow_origins(section: &mut SectionReader<'_, '_>) -> Result<Vec<OriginPattern>, Reported> {
    let written: Vec<String> = section.value("allow_origins");
    if written.len() > ORIGINS_MAX {
        let complaint = Complaint::new(format!("more than {ORIGINS_MAX} origins"));
        return Err(section.report("allow_origins", complaint));
    }
    let mut origins = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let pointer = format!("/{index}");
        let filled = section.fill("allow_origins", &pointer, text)?;
        match OriginPattern::parse(&filled) {
            Ok(origin) => origins.push(origin),
            Err(mistake) => {
                let complaint = Complaint::with_hint(format!("got {}", quoted(text)), mistake.to_string());
                return Err(section.report_at("allow_origins", &pointer, complaint));
            }
        }
    }
    Ok(origins)
}

/// Returns whether the environment switches webhooks off, for the moment when editing a file is too slow or impossible.
fn is_disabled_by_environment(section: &mut SectionReader<'_, '_>) -> bool {
    const VARIABLE: &str = "env.AGENTCRON_DISABLE_WEBHOOKS";
    let Ok(value) = section.environment.lookup(VARIABLE) else { return false };
    match value.expose() {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => {
            let message = "$AGENTCRON_DISABLE_WEBHOOKS: expected true or false";
            let error = ConfigError::of_file(section.section.document.source.file.clone(), message);
            section.report.error(ConfigError { losses: vec![Loss::Webhooks], ..error });
            true
        }
    }
}
