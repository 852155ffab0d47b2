//! Every `[cron.NAME]` of every file, with `[defaults]` merged in: settled, or told what is wrong and where.

use std::collections::BTreeMap;

use super::document::Document;
use super::environment::Environment;
use super::errors::{ConfigError, Report, escaped, quoted};
use super::fields::CronFields;
use super::placeholders::{check_text, check_values, missing};
use super::section::Section;
use super::validate_cron::{FieldError, check_webhook_policy, validate_cron};
use super::validated::{CronDefinition, SourceLocation};
use crate::domain::cron::Cron;
use crate::domain::template;
use crate::domain::url_policy::UrlPolicy;

/// A cron's table, or `[defaults]`, as far as it could be read.
struct Raw<'d> {
    section: Section<'d>,
    fields: CronFields,
    /// Fields whose text came from the environment: a message must not quote them.
    filled: Vec<&'static str>,
}

/// Settles them all; sorted by name.
pub(super) fn validate_crons(
    main: &Document<'_>,
    included: &[Document<'_>],
    policy: Option<&UrlPolicy>,
    environment: &Environment,
    report: &mut Report,
) -> Vec<CronDefinition> {
    let defaults = Section::root(main).child("defaults", "defaults", report);
    let defaults = Raw::read(defaults, environment, report);
    defaults.check_alone(environment, report);

    let mut definitions = Vec::new();
    // By lower-case name: two names that differ only by case are too easily taken for one another.
    let mut seen: BTreeMap<String, (String, SourceLocation)> = BTreeMap::new();
    for document in std::iter::once(main).chain(included) {
        let crons = Section::root(document).child("cron", "cron.NAME", report);
        for (key, _) in crons.entries() {
            let name: &str = key.get_ref();
            let position = document.source.position(key.span().start);
            let location = SourceLocation {
                file: document.source.file.clone(),
                line: position.line,
                column: position.column,
            };
            if let Some((first, first_place)) = seen.get(&name.to_lowercase()) {
                let message = duplicate_message(name, first, first_place);
                report.error(document.source.error(
                    key.span().start,
                    message,
                    Some("rename one of them".to_owned()),
                ));
            } else {
                seen.insert(name.to_lowercase(), (name.to_owned(), location.clone()));
            }
            let full_name = format!("cron.{name}");
            let section = crons.child(name, &full_name, report);
            if !section.is_present() {
                continue;
            }
            let raw = Raw::read(section, environment, report);
            if let Some((cron, fields)) = raw.validate(name, &defaults, policy, environment, report) {
                definitions.push(CronDefinition { cron, fields, location });
            }
        }
    }
    if seen.is_empty() {
        report.file_warning(
            &main.source.file,
            "no cron is defined: nothing will fire but what clients of the API make",
        );
    }
    definitions.sort_by(|a, b| a.cron.name.cmp(&b.cron.name));
    definitions
}

fn duplicate_message(name: &str, first: &str, first_place: &SourceLocation) -> String {
    if name == first {
        format!("cron {} is defined in {first_place} already", quoted(name))
    } else {
        format!("cron {} differs only by case from {} in {first_place}", quoted(name), quoted(first))
    }
}

impl<'d> Raw<'d> {
    fn read(section: Section<'d>, environment: &Environment, report: &mut Report) -> Self {
        let mut fields: CronFields = section.read(&[], advice, report);
        let mut filled = Vec::new();
        for (name, text) in fields.plain_texts_mut() {
            if let Some(written) = text.as_ref().filter(|text| template::is_template(text)) {
                let complaints = complaints_of_plain(written, environment);
                *text = environment.fill(written).ok().map(|filled| filled.expose().to_owned());
                filled.push(name);
                for (message, hint) in complaints {
                    report.error(section.error(name, "", &message, hint));
                }
            }
        }
        Self { section, fields, filled }
    }

    /// Judges `[defaults]` once, as the only fields of crons that are good otherwise: a thread cron for the one field
    /// that only thread crons have, a stateless one for all the others.
    fn check_alone(&self, environment: &Environment, report: &mut Report) {
        let good = CronFields {
            schedule: Some("0 0 * * *".to_owned()),
            assistant_id: Some("agent".to_owned()),
            ..CronFields::default()
        };
        let on_thread = CronFields {
            thread: Some("any".to_owned()),
            multitask_strategy: self.fields.multitask_strategy.clone(),
            ..good.clone()
        };
        let mut others = self.fields.clone();
        others.multitask_strategy = None;
        let others = others.with_defaults(&good);
        let validated = [validate_cron("defaults", &others), validate_cron("defaults", &on_thread)];
        let mistakes = validated.into_iter().filter_map(Result::err).flatten();
        for mistake in mistakes.chain(check_values(&self.fields, environment)) {
            if self.section.has(mistake.field) {
                report.error(self.locate(&mistake, None));
            }
        }
    }

    fn validate(
        self,
        name: &str,
        defaults: &Raw<'_>,
        policy: Option<&UrlPolicy>,
        environment: &Environment,
        report: &mut Report,
    ) -> Option<(Cron, CronFields)> {
        let values = check_values(&self.fields, environment);
        let fields = self.fields.clone().with_defaults(&defaults.fields);
        let validated = validate_cron(name, &fields);
        let mut mistakes = validated.as_ref().err().cloned().unwrap_or_default();
        // What is no URL is not refused as well.
        if !values.iter().chain(&mistakes).any(|mistake| mistake.field == "webhook") {
            mistakes.extend(policy.and_then(|policy| check_webhook_policy(&fields, policy, environment)));
        }
        for mistake in values.iter().chain(&mistakes) {
            // A field that could not even be read is not missing as well.
            let unread = mistake.is_missing()
                && (self.section.has(mistake.field) || defaults.section.has(mistake.field));
            if !unread {
                report.error(self.locate(mistake, Some(defaults)));
            }
        }
        validated.ok().map(|cron| (cron, fields))
    }

    /// The mistake at the place where the field stands: here, in `[defaults]`, or nowhere.
    fn locate(&self, mistake: &FieldError, defaults: Option<&Raw<'_>>) -> ConfigError {
        let field = mistake.field;
        let from_defaults =
            defaults.filter(|defaults| !self.section.has(field) && defaults.section.has(field));
        let holder = from_defaults.unwrap_or(self);
        if mistake.is_missing() {
            let message = format!("[{}] has no {field}", escaped(self.section.name));
            let source = self.section.document.source;
            return source.error(self.section.offset, message, mistake.hint.clone());
        }
        // The calendar may quote the schedule and the zone together.
        const CALENDAR: [&str; 2] = ["schedule", "timezone"];
        let tells = |filled: &&'static str| {
            *filled == field || (CALENDAR.contains(filled) && CALENDAR.contains(&field))
        };
        if holder.filled.iter().any(tells) {
            return holder.section.error(field, "", "not valid once its placeholders are filled", None);
        }
        let excerpt = mistake.excerpt.clone();
        let hint = mistake.hint.clone();
        ConfigError { excerpt, ..holder.section.error(field, &mistake.pointer, &mistake.message, hint) }
    }
}

/// A field that is settled right now takes variables, but no secrets: it will be shown and stored.
fn complaints_of_plain(text: &str, environment: &Environment) -> Vec<(String, Option<String>)> {
    let mut complaints = check_text(text, false);
    complaints.extend(missing(text, environment).into_iter().map(|error| (error.to_string(), None)));
    let found = template::placeholders(text).unwrap_or_default();
    if found
        .iter()
        .any(|placeholder| matches!(placeholder.source(), Ok(template::PlaceholderSource::Credential(_))))
    {
        let hint = "a credential can stand in webhook, input, config, context and metadata".to_owned();
        complaints.push(("a credential would be shown and stored here".to_owned(), Some(hint)));
    }
    complaints
}

fn advice(key: &str) -> Option<&'static str> {
    match key {
        "retry" => Some("retry is not supported yet: a failed run is recorded and the next occurrence fires"),
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
