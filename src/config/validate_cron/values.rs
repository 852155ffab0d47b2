//! Whether the placeholders of a cron have values in the environment of this process.

use super::mistakes::FieldError;
use super::webhook::check_url;
use crate::config::environment::Environment;
use crate::config::errors::Complaint;
use crate::config::fields::CronFields;
use crate::config::placeholders::missing;
use crate::domain::template;

/// Returns an error for every `env.…` and `credential.…` of a cron that has no value, and for a webhook that is not a
/// URL once its placeholders are filled.
pub(in crate::config) fn check_values(fields: &CronFields, environment: &Environment) -> Vec<FieldError> {
    let mut mistakes = Vec::new();
    let mut check = |field: &'static str, pointer: &str, text: &str| {
        for error in missing(text, environment) {
            mistakes.push(FieldError::invalid(field, pointer, Complaint::new(error.to_string())));
        }
    };
    fields.each_payload_text(&mut check);
    if let Some(webhook) = &fields.webhook {
        check("webhook", "", webhook);
        if template::is_template(webhook)
            && let Ok(filled) = environment.fill(webhook)
            && let Err(Complaint { message, hint }) = check_url(filled.expose())
        {
            let message = format!("once its placeholders are filled: {message}");
            mistakes.push(FieldError::invalid("webhook", "", Complaint { message, hint }));
        }
    }
    mistakes
}
