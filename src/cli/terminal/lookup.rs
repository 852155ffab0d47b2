//! Finds the cron, run or webhook that was typed, or suggests what might have been meant.

use std::path::Path;

use super::Failure;
use crate::config::{CronDefinition, nearest};
use crate::domain::cron::{Cron, CronSource};
use crate::domain::ids::{DeliveryId, RunId};
use crate::store::Reader;

/// Anything shorter is more likely a typing mistake than the beginning of an id.
const PREFIX_CHARS_MIN: usize = 4;
const ID_CHARS: usize = 36;
/// How many matches of an ambiguous prefix are listed.
const MATCHES_LISTED: u32 = 5;

/// Returns the crons of the configuration and, if there is a database yet, those that were created through the API.
///
/// The ids of the configuration's crons are known only once there is a database.
pub(in crate::cli) fn crons_of(definitions: Vec<CronDefinition>, store: &Path) -> Result<Vec<Cron>, Failure> {
    let mut crons: Vec<Cron> = definitions.into_iter().map(|definition| definition.cron).collect();
    if let Ok(store) = Reader::open(store) {
        for row in store.crons()? {
            match row.source {
                CronSource::Api => crons.extend(row.cron.ok()),
                CronSource::File => {
                    let cron = crons.iter_mut().find(|cron| cron.name == row.name);
                    cron.into_iter().for_each(|cron| cron.cron_id = row.cron_id);
                }
            }
        }
    }
    Ok(crons)
}

/// Returns the cron of this name or id.
pub(in crate::cli) fn cron_named(name: &str, crons: Vec<Cron>) -> Result<Cron, Failure> {
    let names: Vec<String> = crons.iter().map(|cron| cron.name.clone()).collect();
    let by_name = crons.iter().position(|cron| cron.name == name);
    let by_id = || crons.iter().position(|cron| cron.cron_id.to_string() == name);
    let found = by_name.or_else(by_id);
    found.and_then(|index| crons.into_iter().nth(index)).ok_or_else(|| unknown_cron(name, &names))
}

/// Returns the error for a cron that does not exist; it suggests the nearest name.
pub(in crate::cli) fn unknown_cron(name: &str, known: &[String]) -> Failure {
    let meant = nearest(name, known.iter().map(String::as_str));
    Failure::Usage(match meant {
        Some(meant) => format!("there is no cron `{name}`; did you mean `{meant}`?"),
        None if known.is_empty() => format!("there is no cron `{name}`; no cron is configured yet"),
        None => format!("there is no cron `{name}`; `agentcron list` shows all"),
    })
}

/// Returns the run with this id or this unique prefix of one.
pub(in crate::cli) fn find_run(text: &str, reader: &Reader) -> Result<RunId, Failure> {
    if !may_be_id(text) {
        return Err(Failure::Usage(format!(
            "got `{text}`, expected a run id or at least its first {PREFIX_CHARS_MIN} characters; \
             `agentcron history` shows them"
        )));
    }
    match reader.runs_with_prefix(text, MATCHES_LISTED)?.as_slice() {
        [] => Err(Failure::Failed(format!("there is no run `{text}`; `agentcron history` lists the runs"))),
        [run_id] => Ok(*run_id),
        several => Err(ambiguous(text, "runs", several)),
    }
}

/// Returns the webhook with this id, the id of its run, or a unique prefix of either; `msg_` may precede it.
pub(in crate::cli) fn find_webhook(text: &str, reader: &Reader) -> Result<DeliveryId, Failure> {
    let id = text.strip_prefix("msg_").unwrap_or(text);
    if !may_be_id(id) {
        return Err(Failure::Usage(format!(
            "got `{text}`, expected a webhook's id or at least its first {PREFIX_CHARS_MIN} characters; \
             `agentcron webhook list` shows them"
        )));
    }
    match reader.webhooks_with_prefix(id, MATCHES_LISTED)?.as_slice() {
        [] => Err(Failure::Failed(format!(
            "there is no webhook `{text}`; `agentcron webhook list` lists the webhooks"
        ))),
        [delivery_id] => Ok(*delivery_id),
        several => Err(ambiguous(text, "webhooks", several)),
    }
}

/// Whether a text has the form of the id of a run or a webhook, or of the beginning of one.
pub(in crate::cli) fn may_be_id(id: &str) -> bool {
    let is_hexadecimal = id.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
    (PREFIX_CHARS_MIN..=ID_CHARS).contains(&id.len()) && is_hexadecimal
}

fn ambiguous<Id: std::fmt::Display>(text: &str, what: &str, matches: &[Id]) -> Failure {
    let matches: Vec<String> = matches.iter().map(ToString::to_string).collect();
    let matches = matches.join(", ");
    Failure::Usage(format!("`{text}` matches several {what}: {matches}; type more characters"))
}
