//! Finds the cron, run or webhook that was typed, or suggests what might have been meant.

use std::fmt::Display;
use std::sync::Arc;

use super::Failure;
use crate::config::{CronDefinition, StoreLocation, nearest};
use crate::domain::cron::{Cron, CronSource};
use crate::domain::ids::{CronId, DeliveryId, ID_CHARS_MIN, RunId, may_begin_id};
use crate::store::{Place, Reader};

/// How many matches of an ambiguous prefix are listed.
const MATCHES_LISTED: u32 = 5;

/// Returns the crons of the configuration and, if there is a database yet, those that were created through the API.
///
/// The ids of the configuration's crons are known only once there is a database.
pub(in crate::cli) fn crons_of(
    definitions: &[Arc<CronDefinition>],
    store: &StoreLocation,
) -> Result<Vec<Cron>, Failure> {
    let mut crons: Vec<Cron> = definitions.iter().filter_map(|definition| definition.cron()).collect();
    if let Ok(store) = Place::of(store).and_then(|place| Reader::connect(&place)) {
        for row in store.cron_heads()? {
            match row.source {
                CronSource::Api => crons.extend(store.definition(row.definition_id, &row.name)?),
                CronSource::File => {
                    let cron = crons.iter_mut().find(|cron| cron.name == row.name);
                    cron.into_iter().for_each(|cron| cron.cron_id = row.cron_id);
                }
            }
        }
    }
    Ok(crons)
}

/// Returns the ids of the crons that have, or had, this name or id.
pub(in crate::cli) fn crons_named(name: &str, reader: &Reader) -> Result<Vec<CronId>, Failure> {
    let named = reader.crons_named_or_removed(name)?;
    if !named.is_empty() {
        return Ok(named);
    }
    let known: Vec<String> = reader.cron_heads()?.into_iter().map(|cron| cron.name).collect();
    Err(unknown_cron(name, &known))
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
    let found = may_begin_id(text).then(|| reader.runs_with_prefix(text, MATCHES_LISTED)).transpose()?;
    the_only_one(text, found, "run", "history")
}

/// Returns the webhook with this id, the id of its run, or a unique prefix of either; `msg_` may precede it.
pub(in crate::cli) fn find_webhook(text: &str, reader: &Reader) -> Result<DeliveryId, Failure> {
    let id = text.strip_prefix("msg_").unwrap_or(text);
    let found = may_begin_id(id).then(|| reader.webhooks_with_prefix(id, MATCHES_LISTED)).transpose()?;
    the_only_one(text, found, "webhook", "webhook list")
}

/// Returns the only one that was `found`; `None` is for a text that is no id. `list` is the command that shows them.
fn the_only_one<Id: Copy + Display>(
    text: &str,
    found: Option<Vec<Id>>,
    what: &str,
    list: &str,
) -> Result<Id, Failure> {
    match found.as_deref() {
        None => Err(Failure::Usage(format!(
            "got `{text}`, expected a {what}'s id or at least its first {ID_CHARS_MIN} characters; \
             `agentcron {list}` shows them"
        ))),
        Some([]) => {
            Err(Failure::Failed(format!("there is no {what} `{text}`; `agentcron {list}` lists all")))
        }
        Some([id]) => Ok(*id),
        Some(several) => {
            let matches = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Failure::Usage(format!("`{text}` matches several {what}s: {matches}; type more characters")))
        }
    }
}
