//! Loads a configuration: reads all files first and then validates them, so that one run shows every mistake of every
//! file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::crons::validate_crons;
use super::document::TomlDocument;
use super::environment::Environment;
use super::errors::{Complaint, ConfigErrors, Report};
use super::fields::OneOrMany;
use super::http;
use super::include;
use super::langgraph_json;
use super::limits::FILES_MAX;
use super::reference;
use super::section::Section;
use super::section_reader::SectionReader;
use super::sections;
use super::settings::{Config, Sources};
use super::source_file::SourceFile;
use super::webhooks;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTopLevel {
    include: Option<OneOrMany>,
    langgraph_json: Option<String>,
    shutdown_grace: Option<String>,
}

/// Included files hold crons and nothing else.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIncluded {}

/// Dotted keys can nest tables some thousand levels deep before the TOML parser objects, and tables are dropped
/// recursively; 64 MiB is ten times what the deepest one needs. Only the part that is used takes memory.
const STACK_BYTES: usize = 64 << 20;

/// Returns the settings of the main file and all that it includes, or every mistake in them.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigErrors> {
    load_from(path, environment).1
}

/// Returns also which files were read: after a mistake, a change of any of them may mend it.
pub fn load_from(path: &Path, environment: &Environment) -> (Sources, Result<Config, ConfigErrors>) {
    let main_only = || Sources { files: vec![path.to_owned()], patterns: Vec::new() };
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("config".to_owned()).stack_size(STACK_BYTES);
        match reader.spawn_scoped(scope, || load_here(path, main_only(), environment)) {
            Ok(loading) => loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let message = format!("cannot start a thread to read it: {error}");
                (main_only(), Err(ConfigErrors::of_file(path, message)))
            }
        }
    })
}

fn load_here(
    path: &Path,
    mut sources: Sources,
    environment: &Environment,
) -> (Sources, Result<Config, ConfigErrors>) {
    let mut report = Report::default();
    let validated = read_all(path, &mut sources, environment, &mut report);
    let config = match (report.finish(), validated) {
        (Err(mistakes), _) => Err(mistakes),
        (Ok(warnings), Some(config)) => Ok(Config { warnings, sources: sources.clone(), ..config }),
        // Unreachable: code that returns no settings has reported a mistake.
        (Ok(_), None) => Err(ConfigErrors::of_file(path, "not a configuration".to_owned())),
    };
    (sources, config)
}

fn read_all(
    path: &Path,
    sources: &mut Sources,
    environment: &Environment,
    report: &mut Report,
) -> Option<Config> {
    let main = read(path, report)?;
    let main = TomlDocument::parse(&main, report)?;
    let root = Section::root(&main);
    let top: RawTopLevel = root.read(&reference::TOP_LEVEL, top_level_advice, report);
    let base = path.parent().unwrap_or(Path::new(""));

    let included = read_included(&root, top.include.as_ref(), sources, environment, report);
    let included: Vec<TomlDocument<'_>> =
        included.iter().filter_map(|source| TomlDocument::parse(source, report)).collect();
    for document in &included {
        Section::root(document).read::<RawIncluded>(&reference::INCLUDED_FILE, included_file_advice, report);
    }

    let mut reader = SectionReader { base, environment, report };
    let server = langgraph_json::read(&root, top.langgraph_json, sources, &mut reader);
    let backend = sections::backend(&root, &mut reader);
    let store = sections::store(&root, &mut reader);
    let logged_runs = sections::logged_runs(&root, &mut reader);
    let http = http::http(&root, &server, &mut reader);
    let webhooks = webhooks::webhooks(&root, server.webhooks, &mut reader);
    let shutdown_grace = sections::shutdown_grace(&root, top.shutdown_grace, &mut reader);
    if let (Ok(http), Ok(webhooks)) = (&http, &webhooks)
        && http.listen.is_some()
        && !webhooks.headers.is_empty()
        && webhooks.url.allowed_domains.is_none()
    {
        let message = "webhooks.headers are sent with every webhook, even to a URL that a client of http.listen \
                       chooses: set webhooks.url.allowed_domains, or listen = \"off\"";
        report.file_warning(&main.source.file, message);
    }
    if let (Ok(http), Ok(webhooks)) = (&http, &webhooks)
        && http.listen.is_some_and(|address| !address.ip().is_loopback())
        && !webhooks.url.disable_private_ips
        && webhooks.url.allowed_domains.is_none()
    {
        let message = "clients of http.listen may name webhooks in private networks, and can see which addresses \
                       answer: set webhooks.url.disable_private_ips = true, or allowed_domains";
        report.file_warning(&main.source.file, message);
    }
    let policy = webhooks.as_ref().ok().map(|webhooks| &webhooks.url);
    let crons = validate_crons(&main, &included, policy, environment, report);
    Some(Config {
        path: path.to_owned(),
        backend: backend.ok()?,
        store: store.ok()?,
        logged_runs: logged_runs.ok()?,
        http: http.ok()?,
        webhooks: webhooks.ok()?,
        shutdown_grace: shutdown_grace.ok()?,
        crons,
        warnings: Vec::new(),
        sources: Sources::default(),
    })
}

fn read(path: &Path, report: &mut Report) -> Option<SourceFile> {
    SourceFile::read(path).map_err(|message| report.file_error(&path.into(), message)).ok()
}

fn read_included(
    root: &Section<'_>,
    patterns: Option<&OneOrMany>,
    sources: &mut Sources,
    environment: &Environment,
    report: &mut Report,
) -> Vec<SourceFile> {
    let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
    let main = sources.files.first().cloned().unwrap_or_default();
    let base = main.parent().unwrap_or(Path::new(""));
    for (index, pattern) in patterns.map(OneOrMany::as_slice).unwrap_or_default().iter().enumerate() {
        let pointer = format!("/{index}");
        let mut reader = SectionReader { base, environment, report };
        let Ok(pattern) = reader.fill(root, "include", &pointer, pattern) else { continue };
        sources.patterns.push(base.join(&pattern));
        match include::expand(base, &pattern) {
            Ok(found) => paths.extend(found),
            Err(message) => report.error(root.error("include", &pointer, Complaint::new(message))),
        }
    }
    // A pattern may match the main file itself.
    paths.remove(&main);
    if paths.len() > FILES_MAX {
        let message = format!("names {} files, expected at most {FILES_MAX}", paths.len());
        report.error(root.error("include", "", Complaint::new(message)));
        return Vec::new();
    }
    sources.files.extend(paths.iter().cloned());
    paths.iter().filter_map(|path| read(path, report)).collect()
}

fn top_level_advice(key: &str) -> Option<&'static str> {
    match key {
        "crons" => Some("write [cron.NAME]"),
        "url" | "api_key" => Some("it belongs under [backend]"),
        "schedule" | "assistant_id" | "timezone" => Some("it belongs under [cron.NAME] or [defaults]"),
        _ => None,
    }
}

fn included_file_advice(key: &str) -> Option<&'static str> {
    match key {
        "defaults" => Some("write [defaults] in the main file; it applies to included files too"),
        "backend" | "store" | "log" | "http" | "webhooks" | "include" | "langgraph_json"
        | "shutdown_grace" => Some("it belongs in the main file; included files hold [cron.NAME] tables"),
        _ => Some("included files hold [cron.NAME] tables"),
    }
}

#[cfg(test)]
mod tests;
