//! Files -> [`Config`]: reads them all, then settles them all, so that one look shows every mistake of every file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::crons::validate_crons;
use super::document::Document;
use super::environment::Environment;
use super::errors::{ConfigErrors, Report};
use super::fields::OneOrMany;
use super::include;
use super::langgraph_json;
use super::limits::FILES_MAX;
use super::section::Section;
use super::sections::{self, SectionReader};
use super::source::Source;
use super::validated::{Config, Sources};
use super::webhooks;

/// The tables of the main file.
const TABLES: &[&str] = &["backend", "store", "http", "webhooks", "defaults", "cron"];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTop {
    include: Option<OneOrMany>,
    langgraph_json: Option<String>,
    shutdown_grace: Option<String>,
}

/// Included files hold crons and nothing else.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIncluded {}

/// Tables may be nested some thousand levels deep by dotted keys before the TOML reader objects, and they are dropped
/// level by level; 64 MiB is ten times what the deepest one needs. Only what is used of it becomes memory.
const STACK_BYTES: usize = 64 << 20;

/// Reads the main file and all that it includes.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigErrors> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("config".to_owned()).stack_size(STACK_BYTES);
        match reader.spawn_scoped(scope, || load_here(path, environment)) {
            Ok(loading) => loading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(ConfigErrors::of_file(path, format!("no thread to read it: {error}"))),
        }
    })
}

fn load_here(path: &Path, environment: &Environment) -> Result<Config, ConfigErrors> {
    let mut report = Report::default();
    let validated = read_all(path, environment, &mut report);
    let warnings = report.finish()?;
    match validated {
        Some(config) => Ok(Config { warnings, ..config }),
        // Nothing is missing without a mistake that says so; if it were, this is the place to know.
        None => Err(ConfigErrors::of_file(path, "not a configuration".to_owned())),
    }
}

fn read_all(path: &Path, environment: &Environment, report: &mut Report) -> Option<Config> {
    let main = read(path, report)?;
    let main = Document::parse(&main, report)?;
    let root = Section::root(&main);
    let top: RawTop = root.read(TABLES, top_advice, report);
    let base = path.parent().unwrap_or(Path::new(""));

    let mut sources = Sources { files: vec![path.to_owned()], folders: Vec::new() };
    let included = read_included(&root, top.include.as_ref(), &mut sources, environment, report);
    let included: Vec<Document<'_>> =
        included.iter().filter_map(|source| Document::parse(source, report)).collect();
    for document in &included {
        Section::root(document).read::<RawIncluded>(&["cron"], included_advice, report);
    }

    let mut reader = SectionReader { base, environment, report };
    let langgraph = langgraph_json::read(&root, top.langgraph_json, &mut sources, &mut reader);
    let backend = sections::backend(&root, &mut reader);
    let store = sections::store(&root, &mut reader);
    let http = sections::http(&root, langgraph.disable_webhooks, &mut reader);
    let webhooks = webhooks::webhooks(&root, langgraph.webhooks, &mut reader);
    let shutdown_grace = sections::shutdown_grace(&root, top.shutdown_grace, &mut reader);
    if let (Some(http), Some(webhooks)) = (&http, &webhooks)
        && http.listen.is_some()
        && !webhooks.headers.is_empty()
        && webhooks.url.allowed_domains.is_none()
    {
        let words = "webhooks.headers are sent to every webhook, also to one that a client of http.listen names: set \
                     webhooks.url.allowed_domains, or listen = \"off\"";
        report.file_warning(&main.source.file, words);
    }
    let policy = webhooks.as_ref().map(|webhooks| &webhooks.url);
    let crons = validate_crons(&main, &included, policy, environment, report);
    Some(Config {
        path: path.to_owned(),
        backend: backend?,
        store: store?,
        http: http?,
        webhooks: webhooks?,
        shutdown_grace: shutdown_grace?,
        crons,
        warnings: Vec::new(),
        sources,
    })
}

fn read(path: &Path, report: &mut Report) -> Option<Source> {
    Source::read(path).map_err(|message| report.file_error(&path.into(), message)).ok()
}

fn read_included(
    root: &Section<'_>,
    patterns: Option<&OneOrMany>,
    sources: &mut Sources,
    environment: &Environment,
    report: &mut Report,
) -> Vec<Source> {
    let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
    let main = sources.files.first().cloned().unwrap_or_default();
    let base = main.parent().unwrap_or(Path::new(""));
    for (index, pattern) in patterns.map(OneOrMany::as_slice).unwrap_or_default().iter().enumerate() {
        let pointer = format!("/{index}");
        let mut reader = SectionReader { base, environment, report };
        let Some(pattern) = reader.fill(root, "include", &pointer, pattern) else { continue };
        sources.folders.extend(base.join(&pattern).parent().map(Path::to_owned));
        match include::expand(base, &pattern) {
            Ok(found) => paths.extend(found),
            Err(message) => report.error(root.error("include", &pointer, &message, None)),
        }
    }
    // A pattern may well match the main file itself.
    paths.remove(&main);
    if paths.len() > FILES_MAX {
        let message = format!("names {} files, expected at most {FILES_MAX}", paths.len());
        report.error(root.error("include", "", &message, None));
        return Vec::new();
    }
    sources.files.extend(paths.iter().cloned());
    paths.iter().filter_map(|path| read(path, report)).collect()
}

fn top_advice(key: &str) -> Option<&'static str> {
    match key {
        "crons" => Some("write [cron.NAME]"),
        "url" | "api_key" => Some("it belongs under [backend]"),
        "schedule" | "assistant_id" | "timezone" => Some("it belongs under [cron.NAME] or [defaults]"),
        _ => None,
    }
}

fn included_advice(key: &str) -> Option<&'static str> {
    match key {
        "defaults" => Some("[defaults] may stand in the main file only, and holds for included files too"),
        "backend" | "store" | "http" | "webhooks" | "include" | "langgraph_json" | "shutdown_grace" => {
            Some("it belongs into the main file; included files hold [cron.NAME] tables")
        }
        _ => Some("included files hold [cron.NAME] tables"),
    }
}

#[cfg(test)]
mod tests;
