//! Crons made through the API must not name variables or credentials, which only the daemon's administrator may use.

use super::mistakes::Mistakes;
use crate::config::errors::Complaint;
use crate::config::fields::CronFields;
use crate::domain::template::{self, PlaceholderSource};

/// Refuses placeholders that would be filled from the environment. Unknown names are reported elsewhere.
pub(super) fn check_api_placeholders(fields: &CronFields, mistakes: &mut Mistakes) {
    let mut check = |field: &'static str, pointer: &str, text: &str| {
        let found = template::placeholders(text).unwrap_or_default();
        let is_of_environment = |meaning| match meaning {
            Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_)) => true,
            Ok(PlaceholderSource::Firing(_)) | Err(_) => false,
        };
        if found.iter().any(|placeholder| is_of_environment(placeholder.source())) {
            let message = "a cron made through the API cannot use a placeholder of the environment";
            let hint = "only cron.*, run.* and previous.* are filled here; define the cron in a file";
            mistakes.add_complaint(field, pointer, Complaint::with_hint(message, hint));
        }
    };
    fields.each_payload_text(&mut check);
    if let Some(webhook) = &fields.webhook {
        check("webhook", "", webhook);
    }
}
