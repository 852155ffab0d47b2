//! Fields as written -> a [`Cron`] with nothing left to doubt, or every mistake in them. Pure: the same function
//! judges a file, a stored definition and a request.

mod foreign;
mod payload;
mod schedule;
mod target;
mod times;
mod webhook;

use std::str::FromStr;

use super::errors::quoted;
use super::fields::CronFields;
use super::limits::CRON_NAME_CHARS_MAX;
use super::nearest::nearest;
use crate::domain::calendar::Calendar;
use crate::domain::cron::{Catchup, Cron, CronSource, Mode, Overlap, Policy, Request, UnknownWord};
use crate::domain::ids::{CronId, InstallationId};
use crate::domain::template;

pub use webhook::check_policy as check_webhook_policy;
pub(super) use webhook::check_url as check_webhook_url;

/// One mistake in the fields of a cron. Like [`super::ConfigError`], it never quotes what could be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, or `name`.
    pub field: &'static str,
    /// What in the field's value: a JSON pointer (RFC 6901), empty for all of it.
    pub pointer: String,
    /// What was got and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The value with a caret under the part at fault, in two lines.
    pub excerpt: Option<String>,
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl FieldError {
    /// Whether a field is missing that every cron has.
    pub fn is_missing(&self) -> bool {
        self.message == MISSING
    }
}

const MISSING: &str = "missing";

/// Collects mistakes while a cron is settled.
#[derive(Default)]
struct Mistakes(Vec<FieldError>);

impl Mistakes {
    /// A mistake with the faulty text and a caret under it.
    fn add_excerpt(&mut self, field: &'static str, message: String, excerpt: String) {
        self.0.push(FieldError {
            field,
            pointer: String::new(),
            message,
            hint: None,
            excerpt: Some(excerpt),
        });
    }

    fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.add_at(field, String::new(), message, None);
    }

    fn add_with_hint(&mut self, field: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.add_at(field, String::new(), message, Some(hint.into()));
    }

    fn add_at(
        &mut self,
        field: &'static str,
        pointer: String,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.0.push(FieldError { field, pointer, message: message.into(), hint, excerpt: None });
    }
}

/// Validates a cron from a file, without asking which store it will be in: its ids are those of no installation until
/// [`CronDefinition::in_installation`](super::CronDefinition::in_installation) gives it the ones it runs by.
pub fn validate_cron(name: &str, fields: &CronFields) -> Result<Cron, Vec<FieldError>> {
    let installation = InstallationId::default();
    let cron_id = CronId::of_name(installation, name);
    validate_cron_as(CronIdentity { installation, cron_id, name, source: CronSource::File }, fields)
}

/// Who a cron is, if that is not derived from its name alone.
#[derive(Clone, Copy, Debug)]
pub struct CronIdentity<'n> {
    /// The store that it is in: named threads derive from it.
    pub installation: InstallationId,
    /// Given out once, by whoever made it.
    pub cron_id: CronId,
    /// For people.
    pub name: &'n str,
    /// Whose words its fields are.
    pub source: CronSource,
}

/// Settles a cron from anywhere. What a client of the HTTP API wrote may name no variable and no credential: else it
/// could have the daemon's secrets sent to a webhook of its own.
pub fn validate_cron_as(identity: CronIdentity<'_>, fields: &CronFields) -> Result<Cron, Vec<FieldError>> {
    let mut mistakes = Mistakes::default();
    match identity.source {
        CronSource::File => {}
        CronSource::Api => foreign::check_placeholders(fields, &mut mistakes),
    }
    let cron = validate(identity, fields, &mut mistakes);
    match cron {
        Some(cron) if mistakes.0.is_empty() => Ok(cron),
        Some(_) | None => Err(mistakes.0),
    }
}

fn validate(identity: CronIdentity<'_>, fields: &CronFields, mistakes: &mut Mistakes) -> Option<Cron> {
    let CronIdentity { installation, cron_id, name, source } = identity;
    check_name(name, mistakes);
    let calendar = schedule::calendar(name, fields, mistakes);
    let (start_time, end_time) = times::window(fields, mistakes);
    let assistant_id = target::assistant_id(fields, mistakes);
    let target = target::target(installation, fields, mistakes);
    let multitask_strategy = target::multitask_strategy(fields, mistakes);
    let mode = word(mistakes, "mode", &fields.mode, Mode::Background);
    let payload = payload::payload(fields, mistakes);
    let metadata = payload::metadata(fields, mistakes);
    let webhook = webhook::webhook(fields, mistakes);
    let policy = policy(source, fields, mistakes);
    let request =
        Request { assistant_id: assistant_id?, target: target?, mode, payload, metadata, multitask_strategy };
    Some(Cron {
        cron_id,
        name: name.to_owned(),
        source,
        calendar: calendar?,
        enabled: fields.enabled.unwrap_or(true),
        start_time,
        end_time,
        request,
        webhook,
        policy,
    })
}

/// Whether a cron may be called this.
pub fn is_cron_name(name: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    !name.is_empty() && name.len() <= CRON_NAME_CHARS_MAX && name.chars().all(allowed)
}

fn check_name(name: &str, mistakes: &mut Mistakes) {
    if !is_cron_name(name) {
        let expected = format!("expected 1 to {CRON_NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`");
        mistakes.add("name", format!("got {}, {expected}", quoted(name)));
    }
}

fn policy(source: CronSource, fields: &CronFields, mistakes: &mut Mistakes) -> Policy {
    let duration = times::optional_duration;
    let overlap = match source {
        CronSource::File => Overlap::Skip,
        // As the agent server's own crons, which know no overlap.
        CronSource::Api => Overlap::Allow,
    };
    if fields.pause_after_failures == Some(0) {
        mistakes.add_with_hint(
            "pause_after_failures",
            "got 0, expected 1 or more",
            "leave it out to never pause",
        );
    }
    Policy {
        overlap: word(mistakes, "overlap", &fields.overlap, overlap),
        catchup: word(mistakes, "catchup", &fields.catchup, Catchup::Latest),
        catchup_window: duration(mistakes, "catchup_window", &fields.catchup_window)
            .unwrap_or(times::CATCHUP_WINDOW_DEFAULT),
        start_deadline: duration(mistakes, "start_deadline", &fields.start_deadline),
        timeout: duration(mistakes, "timeout", &fields.timeout),
        jitter: times::jitter(fields, mistakes),
        exclude: times::exclude(fields, mistakes),
        pause_after_failures: fields.pause_after_failures,
    }
}

/// One word of a closed set.
fn word<T: FromStr<Err = UnknownWord> + Copy>(
    mistakes: &mut Mistakes,
    field: &'static str,
    text: &Option<String>,
    default: T,
) -> T {
    let Some(text) = plain(mistakes, field, text) else {
        return default;
    };
    text.parse().unwrap_or_else(|error: UnknownWord| {
        let message = format!("got {}, expected one of {}", quoted(text), error.allowed);
        let hint = nearest(text, error.allowed.split(", ")).map(|word| format!("did you mean `{word}`?"));
        mistakes.add_at(field, String::new(), message, hint);
        default
    })
}

/// A text that is settled here and now, so that a placeholder would stay what it is.
fn plain<'f>(mistakes: &mut Mistakes, field: &'static str, text: &'f Option<String>) -> Option<&'f str> {
    let text = text.as_deref()?;
    if template::is_template(text) {
        let hint = "placeholders are filled in webhook, input, config, context and metadata";
        mistakes.add_with_hint(field, "got a placeholder, expected a plain text", hint);
        return None;
    }
    Some(text)
}
