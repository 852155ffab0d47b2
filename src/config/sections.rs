//! Reads `[backend]`, `[store]` and `[log]` into settings.

use std::time::Duration;

use url::Url;

use super::credentials::{Credentials, X_API_KEY};
use super::duration::KeepNothing;
use super::errors::Complaint;
use super::headers;
use super::placeholders::is_of_daemon;
use super::redact::pointers;
use super::reference;
use super::section_reader::{Reported, SectionReader};
use super::server_url;
use super::settings::{BackendConfig, BackupConfig, StoreConfig};
use super::store_location::{ServerLocation, StoreLocation};
use super::unit_places::default_store;
use crate::domain::calendar::Calendar;
use crate::domain::log::LoggedRuns;
use crate::domain::retention::Retention;
use crate::domain::template;

pub(super) fn backend(root: &mut SectionReader<'_, '_>) -> Result<BackendConfig, Reported> {
    let mut section = root.table("backend", "backend", &reference::BACKEND);
    let url = section.text("url");
    let url = url.and_then(|url| backend_url(&url).map_err(|complaint| section.report("url", complaint)));
    let api_key = section.value::<Option<String>>("api_key");
    let api_key = api_key.map(|text| self::api_key(&text, &mut section)).transpose();
    let headers = backend_headers(&mut section);
    let timeout = section.duration("request_timeout");
    if timeout == Ok(Duration::ZERO) {
        let complaint = Complaint::new("got a duration of zero, expected a longer one");
        section.report("request_timeout", complaint);
    }
    let ca_file = section.path("ca_file");
    Ok(BackendConfig {
        max_concurrent_runs: section.value("max_concurrent_runs"),
        url: url?,
        api_key: api_key?.unwrap_or_default(),
        headers,
        request_timeout: timeout?,
        ca_file: ca_file?,
    })
}

fn api_key(text: &str, section: &mut SectionReader<'_, '_>) -> Result<Credentials, Reported> {
    let key = section.secret("api_key", "", text)?;
    let value = headers::value(key.expose());
    value.map(Credentials::of_api_key).map_err(|complaint| section.report("api_key", complaint))
}

/// Reads the headers under which agentcron acts. All of their values are secrets.
fn backend_headers(backend: &mut SectionReader<'_, '_>) -> Credentials {
    let has_key = backend.has("api_key");
    let mut section = backend.child("headers", "backend.headers");
    let written = headers::read(&mut section, |name, text| {
        if name == X_API_KEY && has_key {
            let hint = "write only one of the two";
            return Some(Complaint::with_hint("backend.api_key is sent in this header", hint));
        }
        headers::backend_complaint(name, text)
    });
    let mut credentials = Credentials::default();
    for header in written {
        credentials.add(header.name, header.value);
        for placeholder in template::placeholders(header.text).unwrap_or_default() {
            let value = section.environment.lookup(placeholder.name);
            value.into_iter().for_each(|value| credentials.add_secret(value.expose()));
        }
    }
    credentials
}

pub(super) fn store(root: &mut SectionReader<'_, '_>) -> Result<StoreConfig, Reported> {
    let mut section = root.table("store", "store", &reference::STORE);
    let location = location(&mut section)?;
    let backup = match section.has("backup") {
        true => Some(backup(&mut section)),
        false => None,
    };
    let backup = backup.transpose();
    let retention = retention(&mut section)?;
    Ok(StoreConfig {
        location,
        values_bytes_max: section.value("values_bytes_max"),
        retention,
        backup: backup?,
    })
}

fn location(section: &mut SectionReader<'_, '_>) -> Result<StoreLocation, Reported> {
    if section.has("url") {
        return server(section).map(|server| StoreLocation::Server(Box::new(server)));
    }
    for key in ["password", "listen_url", "ca_file"] {
        if section.has(key) {
            let hint = "it is for a store on a PostgreSQL server";
            return Err(section.report(key, Complaint::with_hint("got this without store.url", hint)));
        }
    }
    let path = section.path("path")?;
    Ok(StoreLocation::File(path.unwrap_or_else(|| default_store(section.environment))))
}

fn server(section: &mut SectionReader<'_, '_>) -> Result<ServerLocation, Reported> {
    let of_file = [
        ("path", "leave one of the two out"),
        ("backup", "see `agentcron backup` for how a server is backed up"),
    ];
    for (key, hint) in of_file {
        if section.has(key) {
            let complaint = Complaint::with_hint("is for a file of SQLite, and store.url is a server", hint);
            return Err(section.report(key, complaint));
        }
    }
    let password = section.value::<Option<String>>("password");
    let has_password = password.as_deref().is_none_or(|text| !is_of_daemon(text, section.environment));
    let password = password.map(|text| section.secret("password", "", &text)).transpose()?;
    let mut session = |key: &str| {
        let Some(written) = section.value::<Option<String>>(key) else { return Ok(None) };
        let filled = section.fill_secret(key, "", &written)?;
        if !has_password || is_of_daemon(&written, section.environment) {
            return Ok(None);
        }
        let session = server_url::session(&filled, password.as_ref(), section.environment);
        session.map(Some).map_err(|complaint| section.report(key, complaint))
    };
    let (url, listen) = (session("url")?, session("listen_url")?);
    let (ca_file, beside) = (section.path("ca_file")?, default_store(section.environment));
    Ok(ServerLocation { session: url, listen, ca_file, beside })
}

fn backup(store: &mut SectionReader<'_, '_>) -> Result<BackupConfig, Reported> {
    let mut section = store.table("backup", "store.backup", &reference::STORE_BACKUP);
    let table = section.section;
    if !table.is_present() {
        return Err(Reported);
    }
    for key in ["schedule", "dir"] {
        if !table.has(key) {
            section.report.error(table.missing(key));
        }
    }
    let calendar = section.value::<Option<String>>("schedule").ok_or(Reported).and_then(|schedule| {
        let calendar = Calendar::parse(&schedule, "UTC", "store.backup");
        calendar.map_err(|error| {
            let hint = "five fields, such as \"30 3 * * *\", in UTC";
            section.report("schedule", Complaint::with_hint(error.to_string(), hint))
        })
    });
    let folder = section.path("dir")?.ok_or(Reported);
    let keep = section.value("keep");
    Ok(BackupConfig { calendar: calendar?, folder: folder?, keep })
}

fn retention(section: &mut SectionReader<'_, '_>) -> Result<Retention, Reported> {
    let keep = section.keep("keep", KeepNothing::Refused);
    let keep_failures = section.keep("keep_failures", KeepNothing::Refused);
    let keep_values = section.keep("keep_values", KeepNothing::Allowed);
    let keep_runs_max = section.value("keep_runs_max");
    let mut is_good = Ok(());
    let written: Vec<String> = section.value("redact");
    let redact = pointers(&written, |pointer, complaint| {
        is_good = Err(section.report_at("redact", pointer, complaint));
    });
    is_good?;
    Ok(Retention {
        keep: keep?,
        keep_failures: keep_failures?,
        keep_values: keep_values?,
        keep_runs_max,
        redact,
    })
}

pub(super) fn logged_runs(root: &mut SectionReader<'_, '_>) -> Result<LoggedRuns, Reported> {
    root.table("log", "log", &reference::LOG).word("runs")
}

/// Parses the agent server's URL. No message quotes it, because it may hold a password.
fn backend_url(text: &str) -> Result<Url, Complaint> {
    const EXAMPLE: &str = "such as http://127.0.0.1:2024";
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            Complaint::with_hint("not a URL: there is no scheme", EXAMPLE)
        }
        error => Complaint::with_hint("not a URL", error.to_string()),
    })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(Complaint::with_hint("expected a URL with http or https and a host", EXAMPLE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "write api_key = \"…\" instead";
        return Err(Complaint::with_hint("got a URL with a user or password in it", hint));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Complaint::with_hint("got a URL with a query or fragment", "end it with the path"));
    }
    if url.port() == Some(0) {
        return Err(Complaint::new("got port 0, expected 1 to 65535"));
    }
    Ok(url)
}
