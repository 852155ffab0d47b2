//! Validates every `[cron.NAME]` of every file, with `[defaults]` merged in, and reports what is wrong and where.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::clean_files::{CleanFiles, TextDigest, digest};
use super::cron_definition::{CronDefinition, SourceLocation};
use super::document::TomlDocument;
use super::draft::Draft;
use super::environment::Environment;
use super::errors::{Complaint, ConfigError, Report, escaped, quoted};
use super::fields::CronFields;
use super::loss::Loss;
use super::placeholders::{check_filled_text, is_of_daemon};
use super::reference;
use super::section::Section;
use super::source_file::SourceFile;
use super::validate_cron::{FieldError, FieldErrorKind, check_url_policy, check_values, validate_cron};
use crate::domain::cron::{Cron, RetryOn};
use crate::domain::template;
use crate::domain::url_policy::UrlPolicy;

/// The table of a cron, or `[defaults]`, as far as it could be read.
struct CronTable<'d> {
    section: Section<'d>,
    fields: CronFields,
    /// The fields whose placeholders were filled from the environment: a message must not quote their text.
    filled: Vec<&'static str>,
}

/// Parses the crons of a file by themselves, whatever other files have.
pub(super) struct CronParser<'d> {
    defaults: CronTable<'d>,
    policy: Option<&'d UrlPolicy>,
    environment: &'d Environment,
    /// What an earlier reading knew.
    known: Option<&'d CleanFiles>,
    draft: Option<&'d Draft>,
}

/// What one file has.
#[derive(Default)]
pub(super) struct FileCrons {
    /// In the order of the file, those with mistakes included; none for a file that is known.
    claims: Vec<Claim>,
    /// Every valid cron, even if a mistake was found in it.
    definitions: Vec<Arc<CronDefinition>>,
    report: Report,
    /// The file and its text, if they are all that it depends on.
    clean: Option<(Arc<Path>, TextDigest)>,
    is_known: bool,
}

/// The names that a cron takes.
struct Claim {
    name: String,
    location: SourceLocation,
    /// A former name is as unique as a name: only one cron can go on with its history. With what is wrong if it is taken.
    was: Option<(String, ConfigError)>,
}

/// Puts the crons of one file after the other together, and keeps no file.
pub(super) struct CronReader<'p> {
    parser: &'p CronParser<'p>,
    /// By the name in lower case: two names that differ only by case are too easily confused. With the name of the cron where
    /// it is another text.
    first_by_name: BTreeMap<Box<str>, (Option<Box<str>>, SourceLocation)>,
    definitions: Vec<Arc<CronDefinition>>,
    clean: CleanFiles,
}

impl<'d> CronParser<'d> {
    /// Reads `[defaults]`.
    pub(super) fn new(
        main: &'d TomlDocument<'d>,
        policy: Option<&'d UrlPolicy>,
        environment: &'d Environment,
        known: &'d CleanFiles,
        draft: Option<&'d Draft>,
        report: &mut Report,
    ) -> Self {
        report.about([Loss::Crons]);
        let defaults = Section::root(main).child("defaults", "defaults", report);
        let defaults = CronTable::read(defaults, environment, report);
        defaults.check_alone(environment, report);
        let known = Some(known).filter(|known| known.is_like(&CleanFiles::new(0, &defaults.fields, policy)));
        Self { defaults, policy, environment, known, draft }
    }

    /// Returns the crons of an included file, which is not parsed if it is known already.
    pub(super) fn parse(&self, path: &Path) -> FileCrons {
        self.parse_unless(path, self.known)
    }

    fn parse_unless(&self, path: &Path, known: Option<&CleanFiles>) -> FileCrons {
        let mut found = FileCrons::default();
        found.report.about([Loss::File(path.into())]);
        let Some(source) = SourceFile::read_or_report(path, self.draft, &mut found.report) else {
            return found;
        };
        let digest = digest(&source);
        if let Some(crons) = known.and_then(|known| known.crons(path, digest)) {
            (found.definitions, found.is_known) = (crons.to_vec(), true);
            found.clean = Some((source.file, digest));
            return found;
        }
        let Some(document) = TomlDocument::parse(&source, &mut found.report) else { return found };
        let (reference, advice) = (&reference::INCLUDED_FILE, included_file_advice);
        Section::root(&document).read::<Map<String, Value>>(reference, advice, &mut found.report);
        let is_filled = self.read(&document, &mut found);
        let is_clean = found.report.is_empty() && !is_filled;
        found.clean = is_clean.then(|| (source.file.clone(), digest));
        found
    }

    /// Reads the crons of a document, and returns whether one of them was filled from the environment.
    fn read(&self, document: &TomlDocument<'_>, found: &mut FileCrons) -> bool {
        let mut is_filled = false;
        let FileCrons { claims, definitions, report, .. } = found;
        report.about([Loss::File(document.source.file.clone())]);
        let crons = Section::root(document).child("cron", "cron.NAME", report);
        for (key, _) in crons.entries() {
            let name: &str = key.get_ref();
            report.about([Loss::Cron(name.to_owned())]);
            let position = document.source.position(key.span().start);
            let location = SourceLocation { file: document.source.file.clone(), position };
            let full_name = format!("cron.{name}");
            let section = crons.child(name, &full_name, report);
            let was = section.entries().find(|(key, _)| key.get_ref() == "was");
            let was = was.and_then(|(_, was)| was.get_ref().as_str()).map(|was| {
                // With a mistake in the new one, the cron goes on under its old name.
                report.about([name, was].map(|name| Loss::Cron(name.to_owned())));
                (was.to_owned(), section.error("was", "", Complaint::new("")))
            });
            claims.push(Claim { name: name.to_owned(), location: location.clone(), was });
            if !section.is_present() {
                continue;
            }
            let table = CronTable::read(section, self.environment, report);
            is_filled |= !table.filled.is_empty();
            let validated = table.validate(name, &self.defaults, self.policy, self.environment, report);
            let Some((cron, fields)) = validated else { continue };
            let Ok(mut body) = serde_json::to_string(&fields) else { continue };
            body.shrink_to_fit();
            let (name, was, enabled) = (cron.name, fields.was, cron.enabled);
            definitions.push(Arc::new(CronDefinition { name, was, enabled, body, location }));
        }
        is_filled
    }
}

impl<'p> CronReader<'p> {
    /// Reads the crons of the main file, which includes so many others.
    pub(super) fn begin(
        parser: &'p CronParser<'p>,
        main: &TomlDocument<'_>,
        files: usize,
        report: &mut Report,
    ) -> Self {
        let clean = CleanFiles::new(files, &parser.defaults.fields, parser.policy);
        let mut reader = Self { parser, first_by_name: BTreeMap::new(), definitions: Vec::new(), clean };
        let mut found = FileCrons::default();
        parser.read(main, &mut found);
        reader.add(found, report);
        reader
    }

    /// Adds the crons of a file, and reports names that are taken already.
    pub(super) fn add(&mut self, mut found: FileCrons, report: &mut Report) {
        if found.is_known && !self.are_unclaimed(&found.definitions) {
            // What is wrong with it is reported where it is.
            let file = found.clean.map(|(file, _)| file).unwrap_or_else(|| Path::new("").into());
            found = self.parser.parse_unless(&file, None);
        }
        let FileCrons { claims, definitions, report: of_file, clean, is_known } = found;
        report.append(of_file);
        let mut are_free = true;
        for claim in claims {
            are_free &= self.claim(claim, report);
        }
        for cron in definitions.iter().filter(|_| is_known) {
            for name in [Some(&cron.name), cron.was.as_ref()].into_iter().flatten() {
                self.take(name, &cron.name, &cron.location);
            }
        }
        // What is kept was allocated by the thread that parsed the file. If this one added to it while it notes the names, their
        // memory could not be given back.
        self.definitions.extend_from_slice(&definitions);
        if let Some((file, digest)) = clean.filter(|_| are_free) {
            self.clean.insert(file, digest, definitions);
        }
    }

    /// Takes the names of a cron, and returns whether they were free.
    fn claim(&mut self, claim: Claim, report: &mut Report) -> bool {
        let Claim { name, location, was } = claim;
        let mut are_free = true;
        report.about([Loss::Cron(name.clone())]);
        if let Some((first, first_location)) = self.take(&name, &name, &location) {
            are_free = false;
            let error = ConfigError {
                position: Some(location.position),
                hint: Some("rename one of them".to_owned()),
                ..ConfigError::of_file(&*location.file, duplicate_message(&name, &first, &first_location))
            };
            report.error_about(Some(Loss::Cron(first.clone())), error);
            // Whoever takes it next collides with the first one as well.
            self.take(&name, &first, &first_location);
        }
        let Some((was, mut error)) = was else { return are_free };
        report.about([&name, &was].map(|name| Loss::Cron(name.clone())));
        if let Some((first, first_location)) = self.take(&was, &name, &location) {
            are_free = false;
            error.message += &duplicate_message(&was, &first, &first_location);
            report.error_about(Some(Loss::Cron(first)), error);
        }
        are_free
    }

    /// Takes a name for this cron, and returns the cron that had it.
    fn take(
        &mut self,
        name: &str,
        cron: &str,
        location: &SourceLocation,
    ) -> Option<(String, SourceLocation)> {
        let key = name.to_lowercase().into_boxed_str();
        let differs = (*key != *cron).then(|| cron.into());
        let (first, first_location) = self.first_by_name.insert(key.clone(), (differs, location.clone()))?;
        Some((first.unwrap_or(key).into(), first_location))
    }

    /// Returns every valid cron, sorted by name, and the files without a mistake.
    pub(super) fn finish(
        mut self,
        main: &SourceFile,
        report: &mut Report,
    ) -> (Vec<Arc<CronDefinition>>, CleanFiles) {
        if self.first_by_name.is_empty() {
            report.file_warning(
                &main.file,
                "no cron is defined: only crons that clients make through the API will fire",
            );
        }
        self.definitions.sort_by(|a, b| a.name.cmp(&b.name));
        // What stays moves to where the names were, so that the memory behind it can be given back.
        self.first_by_name.clear();
        (self.definitions.clone(), self.clean)
    }

    /// Returns whether no other cron has one of their names, which would have to be reported.
    fn are_unclaimed(&self, crons: &[Arc<CronDefinition>]) -> bool {
        let mut names = crons.iter().flat_map(|cron| [Some(&cron.name), cron.was.as_ref()]).flatten();
        names.all(|name| !self.first_by_name.contains_key(name.to_lowercase().as_str()))
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

fn duplicate_message(name: &str, first: &str, first_location: &SourceLocation) -> String {
    if name != first && name.to_lowercase() == first.to_lowercase() {
        format!("cron {} differs only by case from {} in {first_location}", quoted(name), quoted(first))
    } else {
        format!("the name {} is already taken in {first_location}", quoted(name))
    }
}

impl<'d> CronTable<'d> {
    fn read(section: Section<'d>, environment: &Environment, report: &mut Report) -> Self {
        let mut fields: CronFields = section.read(&reference::CRON, advice, report);
        let mut filled = Vec::new();
        for (name, text) in fields.plain_texts_mut() {
            if let Some(written) = text.as_ref().filter(|text| template::is_template(text)) {
                let complaints = complaints_of_plain(written, environment);
                let is_of_daemon = is_of_daemon(written, environment)
                    && complaints.len() == check_filled_text(written, environment).len();
                *text = environment.fill(written).ok().map(|filled| filled.expose().to_owned());
                filled.push(name);
                for complaint in complaints {
                    report.unfilled(section.error(name, "", complaint), is_of_daemon);
                }
            }
        }
        Self { section, fields, filled }
    }

    /// Checks `[defaults]` by itself, as the fields of crons that are valid otherwise: a thread cron for the one
    /// field that only thread crons have, and a stateless cron for all the others.
    fn check_alone(&self, environment: &Environment, report: &mut Report) {
        let valid = CronFields {
            schedule: Some("0 0 * * *".to_owned()),
            assistant_id: Some("agent".to_owned()),
            ..CronFields::default()
        };
        let on_thread = CronFields {
            thread: Some("any".to_owned()),
            multitask_strategy: self.fields.multitask_strategy.clone(),
            ..valid.clone()
        };
        let mut others = self.fields.clone();
        others.multitask_strategy = None;
        let others = others.with_defaults(&valid);
        let validated = [validate_cron("defaults", &others), validate_cron("defaults", &on_thread)];
        let mistakes = validated.into_iter().filter_map(Result::err).flatten();
        for mistake in mistakes.chain(check_values(&self.fields, environment)) {
            if self.section.has(mistake.field) {
                add(&mistake, None, self.locate(&mistake, None), environment, report);
            }
        }
    }

    fn validate(
        mut self,
        name: &str,
        defaults: &CronTable<'_>,
        policy: Option<&UrlPolicy>,
        environment: &Environment,
        report: &mut Report,
    ) -> Option<(Cron, CronFields)> {
        let values = check_values(&self.fields, environment);
        let fields = std::mem::take(&mut self.fields).with_defaults(&defaults.fields);
        let validated = validate_cron(name, &fields);
        let mut mistakes = validated.as_ref().err().cloned().unwrap_or_default();
        for (field, url) in [("webhook", &fields.webhook), ("ping", &fields.ping)] {
            // What is not a URL is reported once, and not as refused by the policy as well.
            let is_reported = values.iter().chain(&mistakes).any(|mistake| mistake.field == field);
            let (Some(policy), Some(url), false) = (policy, url, is_reported) else { continue };
            mistakes.extend(check_url_policy((field, url), policy, environment));
        }
        for mistake in values.iter().chain(&mistakes) {
            // A field whose value could not be read has been reported, and is not missing as well.
            let is_unread = mistake.kind == FieldErrorKind::Missing
                && (self.section.has(mistake.field) || defaults.section.has(mistake.field));
            if !is_unread {
                add(mistake, Some(name), self.locate(mistake, Some(defaults)), environment, report);
            }
        }
        let cron = validated.ok()?;
        self.warn(&cron, &fields, report);
        Some((cron, fields))
    }

    /// Warns of retries that cannot happen: the cron's `timeout` counts the occurrence and not each of its runs.
    fn warn(&self, cron: &Cron, fields: &CronFields, report: &mut Report) {
        let names_ends = fields.retry.as_ref().is_some_and(|written| written.contains_key("on"));
        let Some(retry) = cron.policy.retry.as_ref().filter(|_| names_ends && self.section.has("retry"))
        else {
            return;
        };
        if retry.on.contains(&RetryOn::Timeout)
            && retry.timeout_each.is_none()
            && cron.policy.timeout.is_some()
        {
            let message = "on has \"timeout\", but `timeout` limits the runs of an occurrence together, so none is left";
            let complaint = Complaint::with_hint(message, "set retry.timeout_each to limit each of them");
            report.warning(self.section.error("retry", "/on", complaint));
        }
    }

    /// Returns the mistake at the place of the field: in this table, in `[defaults]`, or at the header if it is in
    /// neither.
    fn locate(&self, mistake: &FieldError, defaults: Option<&CronTable<'_>>) -> ConfigError {
        let field = mistake.field;
        let from_defaults =
            defaults.filter(|defaults| !self.section.has(field) && defaults.section.has(field));
        let table = from_defaults.unwrap_or(self);
        match mistake.kind {
            FieldErrorKind::Missing => {
                let message = format!("[{}] has no {field}", escaped(self.section.name));
                let source = self.section.document.source;
                return source.error(self.section.offset, message, mistake.hint.clone());
            }
            FieldErrorKind::Invalid | FieldErrorKind::NoValue => {}
        }
        // The calendar's messages may quote the schedule and the zone together.
        const CALENDAR: [&str; 2] = ["schedule", "timezone"];
        let is_quoted = |filled: &&'static str| {
            *filled == field || (CALENDAR.contains(filled) && CALENDAR.contains(&field))
        };
        if table.filled.iter().any(is_quoted) {
            let hint = "`agentcron next --schedule VALUE --timezone ZONE` says what is wrong with them";
            let hint = CALENDAR.contains(&field).then(|| hint.to_owned());
            let message = "not valid once its placeholders are filled".to_owned();
            let complaint = Complaint { message, hint };
            return table.section.error(field, "", complaint);
        }
        let complaint = Complaint { message: mistake.message.clone(), hint: mistake.hint.clone() };
        let excerpt = mistake.excerpt.clone();
        ConfigError { excerpt, ..table.section.error(field, &mistake.pointer, complaint) }
    }
}

/// Adds a mistake of the cron of that name, or of `[defaults]`. For want of a value only its webhook has to wait.
fn add(
    mistake: &FieldError,
    cron: Option<&str>,
    mut error: ConfigError,
    environment: &Environment,
    report: &mut Report,
) {
    if mistake.kind == FieldErrorKind::NoValue && matches!(mistake.field, "webhook" | "ping") {
        error.losses = vec![Loss::WebhookOf(cron.map(str::to_owned))];
    }
    match mistake.kind {
        FieldErrorKind::NoValue => {
            error.wants_value = true;
            report.without_value(error, environment);
        }
        FieldErrorKind::Missing | FieldErrorKind::Invalid => report.error(error),
    }
}

/// Returns what is wrong with the placeholders of a field that is validated when the file is read. It may name
/// variables, but no credentials, because its text is shown and stored.
fn complaints_of_plain(text: &str, environment: &Environment) -> Vec<Complaint> {
    let mut complaints = check_filled_text(text, environment);
    let found = template::placeholders(text).unwrap_or_default();
    if found
        .iter()
        .any(|placeholder| matches!(placeholder.source(), Ok(template::PlaceholderSource::Credential(_))))
    {
        let hint = "a credential can be used in webhook, input, config, context and metadata";
        complaints.push(Complaint::with_hint("a credential would be shown and stored here", hint));
    }
    complaints
}

fn advice(key: &str) -> Option<&'static str> {
    match key {
        "name" | "cron_name" => Some("the name is the word after [cron."),
        "cron_id" => Some("the id is derived from the name"),
        "on_completion" => Some("did you mean `on_run_completed`?"),
        "cron" | "expression" => Some("did you mean `schedule`?"),
        "tz" => Some("did you mean `timezone`?"),
        "graph" | "graph_id" | "agent" => Some("did you mean `assistant_id`?"),
        "if_not_exists" | "after_seconds" => Some("agentcron sets it itself"),
        _ => None,
    }
}
