//! How long the history of a cron is kept.

use super::mistakes::{Mistakes, plain_text};
use crate::config::duration::{KeepNothing, parse_keep};
use crate::config::fields::CronFields;
use crate::config::redact::pointers;
use crate::domain::retention::{Keep, OwnRetention};

pub(super) fn retention(fields: &CronFields, mistakes: &mut Mistakes) -> OwnRetention {
    let mut keep = |field: &'static str, text: &Option<String>, nothing| -> Option<Keep> {
        let text = plain_text(mistakes, field, text)?;
        parse_keep(text, nothing).map_err(|message| mistakes.add(field, message)).ok()
    };
    let own = OwnRetention {
        keep: keep("keep", &fields.keep, KeepNothing::Refused),
        keep_failures: keep("keep_failures", &fields.keep_failures, KeepNothing::Refused),
        keep_values: keep("keep_values", &fields.keep_values, KeepNothing::Allowed),
        keep_runs_max: fields.keep_runs_max,
        redact: Vec::new(),
    };
    if fields.keep_runs_max == Some(0) {
        mistakes.add("keep_runs_max", "got 0, expected 1 or more");
    }
    let written = fields.redact.as_deref().unwrap_or_default();
    let redact = pointers(written, |pointer, complaint| mistakes.add_complaint("redact", pointer, complaint));
    OwnRetention { redact, ..own }
}
