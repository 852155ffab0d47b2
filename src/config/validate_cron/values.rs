//! Whether the placeholders of a cron have values in the environment of this process.

use super::mistakes::{FieldError, FieldErrorKind};
use super::webhook::check_url;
use crate::config::environment::Environment;
use crate::config::errors::Complaint;
use crate::config::fields::CronFields;
use crate::config::placeholders::{missing, no_value};
use crate::domain::template;

/// Returns an error for every `env.…` and `credential.…` of a cron that has no value, and for a webhook that is not a
/// URL once its placeholders are filled.
pub(in crate::config) fn check_values(fields: &CronFields, environment: &Environment) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    let mut check = |field: &'static str, pointer: &str, text: &str| {
        for error in missing(text, environment) {
            let kind = FieldErrorKind::NoValue;
            mistakes.push(FieldError {
                kind,
                ..FieldError::invalid(field, pointer, no_value(&error, environment))
            });
        }
    };
    fields.each_payload_text(&mut check);
    let urls = [("webhook", &fields.webhook), ("ping", &fields.ping)];
    for (field, url) in urls.into_iter().filter_map(|(field, url)| Some((field, url.as_ref()?))) {
        check(field, "", url);
    }
    for (field, url) in urls.into_iter().filter_map(|(field, url)| Some((field, url.as_ref()?))) {
        if template::is_template(url)
            && let Ok(filled) = environment.fill(url)
            && let Err(Complaint { message, hint }) = check_url(filled.expose())
        {
            let message = format!("once its placeholders are filled: {message}");
            mistakes.push(FieldError::invalid(field, "", Complaint { message, hint }));
        }
    }
    mistakes
}
