//! Validates the fields of a cron: the result is a [`Cron`] that later code can rely on, or every mistake in the
//! fields. Pure, so that the same function judges a file, a stored definition and a request.

mod api_placeholders;
mod mistakes;
mod payload;
mod retention;
mod retry;
mod schedule;
mod target;
mod times;
mod values;
mod webhook;

use super::errors::quoted;
use super::fields::CronFields;
use super::limits::CRON_NAME_CHARS_MAX;
use crate::domain::cron::{Catchup, Cron, CronSource, Mode, Overlap, Policy, Request};
use crate::domain::ids::{CronId, InstallationId};
use mistakes::{Mistakes, parse_word};
use times::optional_duration;

pub use mistakes::{FieldError, FieldErrorKind};
pub(super) use values::check_values;
pub(super) use webhook::check_url;
pub use webhook::check_url_policy;

/// Validates a cron from a file, without knowing which store it will be in. Its ids belong to no installation; those with
/// which it runs come from the store.
pub fn validate_cron(name: &str, fields: &CronFields) -> Result<Cron, Vec<FieldError>> {
    let installation = InstallationId::default();
    let cron_id = CronId::of_name(installation, fields.first_name(name));
    validate_cron_as(CronIdentity { installation, cron_id, name, source: CronSource::File }, fields)
}

/// What identifies a cron whose id is not derived from its name.
#[derive(Clone, Copy, Debug)]
pub struct CronIdentity<'n> {
    /// The installation of the store that holds the cron; the ids of named threads are derived from it.
    pub installation: InstallationId,
    pub cron_id: CronId,
    pub name: &'n str,
    /// Who wrote the fields, which decides what their placeholders may name.
    pub source: CronSource,
}

/// Validates a cron from any source. The fields that a client of the HTTP API wrote must name neither variables nor
/// credentials: otherwise the client could have the daemon's secrets sent to a webhook of its own.
pub fn validate_cron_as(identity: CronIdentity<'_>, fields: &CronFields) -> Result<Cron, Vec<FieldError>> {
    let mut mistakes = Mistakes::default();
    match identity.source {
        CronSource::File => {}
        CronSource::Api => api_placeholders::check_api_placeholders(fields, &mut mistakes),
    }
    let cron = validate(identity, fields, &mut mistakes);
    match cron {
        Some(cron) if mistakes.is_empty() => Ok(cron),
        Some(_) | None => Err(mistakes.into_errors()),
    }
}

fn validate(identity: CronIdentity<'_>, fields: &CronFields, mistakes: &mut Mistakes) -> Option<Cron> {
    let CronIdentity { installation, cron_id, name, source } = identity;
    check_names(name, fields, mistakes);
    let calendar = schedule::calendar(fields.first_name(name), fields, mistakes);
    let (start_time, end_time) = times::window(fields, mistakes);
    let assistant_id = target::assistant_id(fields, mistakes);
    let target = target::target(installation, fields, mistakes);
    let multitask_strategy = target::multitask_strategy(fields, mistakes);
    let mode = parse_word(mistakes, "mode", &fields.mode, Mode::Background);
    let payload = payload::payload(fields, mistakes);
    let metadata = payload::metadata(fields, mistakes);
    let webhook = webhook::url("webhook", &fields.webhook, mistakes);
    let ping = webhook::url("ping", &fields.ping, mistakes);
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
        ping,
        policy,
    })
}

/// Returns whether a cron can have this name.
pub fn is_cron_name(name: &str) -> bool {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    // In a path these two mean a folder.
    let is_folder = [".", ".."].contains(&name);
    !name.is_empty() && name.len() <= CRON_NAME_CHARS_MAX && name.chars().all(is_allowed) && !is_folder
}

fn check_names(name: &str, fields: &CronFields, mistakes: &mut Mistakes) {
    let expected = format!("expected 1 to {CRON_NAME_CHARS_MAX} ASCII letters, digits, `-`, `_` or `.`");
    for (field, name) in [("name", Some(name)), ("was", fields.was.as_deref())] {
        if let Some(name) = name.filter(|name| !is_cron_name(name)) {
            mistakes.add(field, format!("got {}, {expected}, but not `.` or `..`", quoted(name)));
        }
    }
}

fn policy(source: CronSource, fields: &CronFields, mistakes: &mut Mistakes) -> Policy {
    let overlap = match source {
        CronSource::File => Overlap::Skip,
        // The agent server's own crons know no overlap policy: every occurrence starts a run.
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
        overlap: parse_word(mistakes, "overlap", &fields.overlap, overlap),
        catchup: parse_word(mistakes, "catchup", &fields.catchup, Catchup::Latest),
        catchup_window: optional_duration(mistakes, "catchup_window", &fields.catchup_window)
            .unwrap_or(times::CATCHUP_WINDOW_DEFAULT),
        start_deadline: optional_duration(mistakes, "start_deadline", &fields.start_deadline),
        timeout: optional_duration(mistakes, "timeout", &fields.timeout),
        jitter: times::jitter(fields, mistakes),
        exclude: times::exclude(fields, mistakes),
        pause_after_failures: fields.pause_after_failures,
        retry: retry::retry(fields, mistakes),
        retention: retention::retention(fields, mistakes),
    }
}
