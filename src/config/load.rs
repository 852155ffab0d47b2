//! Loads a configuration: reads all files first and then validates them, so that one run shows every mistake of every
//! file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clean_files::CleanFiles;
use super::cron_definition::{CronDefinition, SourceLocation};
use super::crons::{CronParser, CronReader};
use super::document::TomlDocument;
use super::draft::Draft;
use super::environment::Environment;
use super::errors::{Complaint, ConfigError, ConfigErrors, Lost, Report};
use super::fields::OneOrMany;
use super::in_order::in_order;
use super::include;
use super::langgraph_json;
use super::last_good::{LastGood, Settings, saved};
use super::limits::{FILES_MAX, STACK_BYTES};
use super::loss::Loss;
use super::places::{named, named_store};
use super::section::Section;
use super::section_reader::SectionReader;
use super::settings::{Config, SavedSection, Sources};
use super::source_file::SourceFile;
use super::store_location::StoreLocation;
use super::top_level::top_level;

/// What the files say, as far as it is understood, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The main file, as it was given.
    pub path: PathBuf,
    /// The files that were read: after a mistake, a change of any of them may mend it.
    pub sources: Sources,
    /// Every mistake of every file, sorted by place.
    pub mistakes: Vec<ConfigError>,
    pub warnings: Vec<ConfigError>,
    pub(super) settings: Settings,
    /// The sections with mistakes, as far as they could be read.
    pub(super) partial: Settings,
    pub(super) saved: Vec<SavedSection>,
    pub(super) crons: Vec<Arc<CronDefinition>>,
    pub(super) without_values: Vec<Arc<CronDefinition>>,
    pub(super) clean_files: Arc<CleanFiles>,
    /// The database and the socket that a main file with mistakes names.
    pub(super) named_store: Option<StoreLocation>,
    pub(super) named_socket: Option<PathBuf>,
}

/// Returns the settings of the main file and all that it includes, or every mistake in them.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigErrors> {
    load_unless(path, environment, |_| true)
}

/// Returns them for what depends on the main file only: mistakes in others are in the result.
pub fn load_main(path: &Path, environment: &Environment) -> Result<Config, ConfigErrors> {
    load_unless(path, environment, |mistake| *mistake.file == *path)
}

fn load_unless(
    path: &Path,
    environment: &Environment,
    is_fatal: impl Fn(&ConfigError) -> bool,
) -> Result<Config, ConfigErrors> {
    let loaded = load_partly(path, environment);
    if loaded.mistakes.iter().any(is_fatal) {
        return Err(ConfigErrors(loaded.mistakes));
    }
    // Unreachable: code that returns no settings has reported a mistake.
    let error = || ConfigErrors(vec![ConfigError::of_file(path, "not a configuration")]);
    // What only the daemon may have a value for is as it is by default.
    let base = path.parent().unwrap_or(Path::new(""));
    loaded.in_force(LastGood::of_saved(&[], base, environment)).ok_or_else(error)
}

/// Returns what is understood of the main file and all that it includes.
pub fn load_partly(path: &Path, environment: &Environment) -> Loaded {
    load_again(path, environment, &CleanFiles::default())
}

/// Does the same, but parses no file that is known to be clean and has not changed.
pub fn load_again(path: &Path, environment: &Environment, known: &CleanFiles) -> Loaded {
    load_with(path, environment, known, None)
}

/// Returns what is understood once this draft is written.
pub fn load_draft(path: &Path, environment: &Environment, draft: &Draft) -> Loaded {
    load_with(path, environment, &CleanFiles::default(), Some(draft))
}

fn load_with(path: &Path, environment: &Environment, known: &CleanFiles, draft: Option<&Draft>) -> Loaded {
    let sources = Sources { files: vec![path.to_owned()], patterns: Vec::new() };
    let mut loaded = Loaded { path: path.to_owned(), sources, ..Loaded::default() };
    let report = std::thread::scope(|scope| {
        let read = || {
            let mut report = Report::default();
            if read_all(&mut loaded, environment, known, draft, &mut report).is_none()
                || report.has_mistakes()
            {
                loaded.named_store = named_store(path, environment);
                loaded.named_socket = named(path, "http", "socket", environment);
            }
            report
        };
        let reader = std::thread::Builder::new().name("config".to_owned()).stack_size(STACK_BYTES);
        match reader.spawn_scoped(scope, read) {
            Ok(reading) => reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let mut report = Report::default();
                report.about(Loss::of_main_file());
                report.file_error(&path.into(), format!("cannot start a thread to read it: {error}"));
                report
            }
        }
    });
    (loaded.mistakes, loaded.warnings) = report.finish();
    loaded
}

/// Returns `None` if the main file is not understood at all.
fn read_all(
    loaded: &mut Loaded,
    environment: &Environment,
    known: &CleanFiles,
    draft: Option<&Draft>,
    report: &mut Report,
) -> Option<()> {
    report.about(Loss::of_main_file());
    let main = SourceFile::read_or_report(&loaded.path, draft, report)?;
    let main = TomlDocument::parse(&main, report)?;
    let section = Section::root(&main);
    let values = top_level(&section, report);
    let base = loaded.path.parent().unwrap_or(Path::new(""));
    let sources = &mut loaded.sources;
    let mut root = SectionReader { section, values, base, environment, report };

    let included = included(sources, draft, &mut root);
    root.report.about([Loss::Webhooks]);
    let server = langgraph_json::read(sources, &mut root);
    let read = Settings::read(&server, &mut root);
    let report = root.report;
    warn_about_clients(&main, &read, report);
    // The default policy must not judge in place of one that is not understood.
    let webhooks = read.webhooks.as_ref().filter(|_| !report.has_lost(&Loss::Webhooks));
    let policy = webhooks.map(|webhooks| &webhooks.url);
    let parser = CronParser::new(&main, policy, environment, known, draft, report);
    let mut crons = CronReader::begin(&parser, &main, included.len(), report);
    in_order(&included, |path| parser.parse(path), |file| crons.add(file, report));
    let (crons, clean_files) = crons.finish(main.source, report);
    loaded.clean_files = Arc::new(clean_files);
    loaded.saved = saved(&section, &server, &read, report);
    loaded.settings = read.clone().without(|loss| report.has_lost(loss));
    loaded.partial = read;
    let (lost, lost_for_good) =
        (report.lost_crons(Lost::InAnyWay), report.lost_crons(Lost::ForMoreThanAValue));
    (loaded.crons, loaded.without_values) = crons
        .into_iter()
        .filter(|definition| !lost_for_good.has(&definition.name))
        .partition(|definition| !lost.has(&definition.name));
    Some(())
}

fn warn_about_clients(main: &TomlDocument<'_>, settings: &Settings, report: &mut Report) {
    let (Some(http), Some(webhooks)) = (&settings.http, &settings.webhooks) else { return };
    let Some(address) = http.listen.filter(|_| webhooks.url.allowed_domains.is_none()) else { return };
    if !webhooks.headers.is_empty() {
        let message = "webhooks.headers are sent with every webhook, even to a URL that a client of http.listen \
                       chooses: set webhooks.url.allowed_domains, or listen = \"off\"";
        report.file_warning(&main.source.file, message);
    }
    if !address.ip().is_loopback() && !webhooks.url.disable_private_ips {
        let message = "clients of http.listen may name webhooks in private networks, and can see which addresses \
                       answer: set webhooks.url.disable_private_ips = true, or allowed_domains";
        report.file_warning(&main.source.file, message);
    }
}

/// Returns the files that `include` names.
fn included(sources: &mut Sources, draft: Option<&Draft>, root: &mut SectionReader<'_, '_>) -> Vec<PathBuf> {
    let patterns: Option<OneOrMany> = root.value("include");
    let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
    let main = sources.files.first().cloned().unwrap_or_default();
    let base = root.base;
    root.report.about([Loss::Includes]);
    for (index, pattern) in patterns.as_ref().map(OneOrMany::as_slice).unwrap_or_default().iter().enumerate()
    {
        let pointer = format!("/{index}");
        let Ok(pattern) = root.fill("include", &pointer, pattern) else { continue };
        sources.patterns.push(base.join(&pattern));
        match include::expand(base, &pattern) {
            Ok(found) if found.is_empty() && include::has_no_folder(&base.join(&pattern)) => {
                let message =
                    "there is no such folder; the crons that it had go on, until it is there without them";
                root.report.lost(root.section.error("include", &pointer, Complaint::new(message)));
            }
            Ok(found) => paths.extend(found),
            Err(message) => {
                root.report_at("include", &pointer, Complaint::new(message));
            }
        }
    }
    // A file that does not exist yet is found by no pattern.
    paths.extend(
        draft
            .into_iter()
            .flat_map(|draft| sources.patterns.iter().filter_map(|pattern| draft.found_by(pattern))),
    );
    // A pattern may match the main file itself.
    paths.remove(&main);
    if paths.len() > FILES_MAX {
        let message = format!("names {} files, expected at most {FILES_MAX}", paths.len());
        root.report("include", Complaint::new(message));
        return Vec::new();
    }
    sources.files.extend(paths.iter().cloned());
    paths.into_iter().collect()
}

impl Loaded {
    /// Returns every cron that the files define without a mistake.
    pub fn definitions(&self) -> impl Iterator<Item = &CronDefinition> {
        self.crons.iter().chain(&self.without_values).map(|definition| &**definition)
    }

    /// Returns where a cron is, also if there are mistakes in it.
    pub fn place_of(&self, cron: &str) -> Option<SourceLocation> {
        let of_definition = self.definitions().find(|definition| definition.name == cron);
        let of_mistake = || {
            let is_about = |mistake: &&ConfigError| mistake.losses.contains(&Loss::Cron(cron.to_owned()));
            let mistake = self.mistakes.iter().find(is_about)?;
            Some(SourceLocation { file: mistake.file.clone(), position: mistake.position? })
        };
        of_definition.map(|definition| definition.location.clone()).or_else(of_mistake)
    }
}

#[cfg(test)]
mod tests;
