//! What others than the administrator wrote: its placeholders stand for nothing that the daemon alone knows.

use super::{CronFields, Mistakes};
use crate::config::placeholders::{each_text, each_text_of_map};
use crate::domain::template::{self, PlaceholderSource};

/// Refuses what would be filled from the environment. Names that stand for nothing are told by others.
pub(super) fn check_placeholders(fields: &CronFields, mistakes: &mut Mistakes) {
    let mut check = |field: &'static str, pointer: &str, text: &str| {
        let found = template::placeholders(text).unwrap_or_default();
        let reaches_out = |meaning| match meaning {
            Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_)) => true,
            Ok(PlaceholderSource::Firing(_)) | Err(_) => false,
        };
        if found.iter().any(|placeholder| reaches_out(placeholder.source())) {
            let message =
                "a placeholder of the environment cannot stand in a cron that is made through the API";
            let hint =
                "only cron.*, run.* and previous.* are filled here; define the cron in a file".to_owned();
            mistakes.add_at(field, pointer.to_owned(), message, Some(hint));
        }
    };
    if let Some(input) = &fields.input {
        each_text(input, &mut |pointer, text| check("input", pointer, text));
    }
    for (field, map) in
        [("config", &fields.config), ("context", &fields.context), ("metadata", &fields.metadata)]
    {
        if let Some(map) = map {
            each_text_of_map(map, &mut |pointer, text| check(field, pointer, text));
        }
    }
    // A name that is not known here is refused anyway.
    if let Some(webhook) = &fields.webhook {
        check("webhook", "", webhook);
    }
}
