//! Parsing of what requests name: words of closed sets, ids and instants, with one error text each.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::config::nearest;
use crate::domain::bounds::{ASKED_EARLIEST, ASKED_LATEST, NOTE_CHARS_MAX};
use crate::domain::ids::{ID_CHARS_MIN, may_begin_id};
use crate::present::times::asked;
use crate::store::{Reader, StoreError};

/// Parses `error,timeout`: words separated by commas, each of which must be known.
pub(super) fn word_list<Word: FromStr>(name: &str, text: Option<&str>) -> Result<Vec<Word>, ErrorResponse>
where
    Word::Err: Display,
{
    text.into_iter().flat_map(|text| text.split(',')).map(|text| word(name, text)).collect()
}

pub(super) fn word<Word: FromStr>(name: &str, text: &str) -> Result<Word, ErrorResponse>
where
    Word::Err: Display,
{
    text.parse().map_err(|error| ErrorResponse::invalid(format!("{name}: {error}")))
}

/// Parses a UUID; `kind` says of what, such as `run`.
pub(super) fn id<Id: FromStr>(kind: &str, text: &str) -> Result<Id, ErrorResponse> {
    text.parse().map_err(|_| ErrorResponse::invalid(format!("got `{text}`, expected a {kind} id (a UUID)")))
}

/// Returns the one id that is `text` or begins with it. `search` reads those that do.
pub(in crate::api) async fn find<Id: Copy + Send + 'static>(
    api: &Api,
    kind: &str,
    text: &str,
    search: fn(&Reader, &str, u32) -> Result<Vec<Id>, StoreError>,
) -> Result<Id, ErrorResponse> {
    if !may_begin_id(text) {
        let expected = format!("a {kind} id, or at least its first {ID_CHARS_MIN} characters");
        return Err(ErrorResponse::invalid(format!("got `{text}`, expected {expected}")));
    }
    let prefix = text.to_owned();
    match api.store.read(move |reader| search(reader, &prefix, 2)).await?.as_slice() {
        [id] => Ok(*id),
        [] => Err(ErrorResponse::not_found(format!("there is no {kind} {text}"))),
        _ => Err(ErrorResponse::not_found(format!(
            "`{text}` begins several ids of {kind}s; type more characters"
        ))),
    }
}

/// Parses the time of an act, which is a mistake if it is far from every calendar.
pub(super) fn instant(name: &str, text: &str) -> Result<Timestamp, ErrorResponse> {
    let at = parsed(name, text)?;
    asked(at, text).map_err(|message| ErrorResponse::invalid(format!("{name}: {message}")))
}

fn parsed(name: &str, text: &str) -> Result<Timestamp, ErrorResponse> {
    text.parse().map_err(|_| {
        ErrorResponse::invalid(format!("{name}: got `{text}`, expected a time such as 2026-03-02T09:00:00Z"))
    })
}

/// Returns the input that a request gives a run instead of the cron's own, if it gives one.
pub(super) fn own_input(input: Value) -> Result<Option<Value>, ErrorResponse> {
    if input.to_string().contains("${{") {
        let why = "placeholders are filled in the cron's own input only";
        return Err(ErrorResponse::invalid(format!("input: got `${{{{`, expected plain values: {why}")));
    }
    Ok(Some(input).filter(|input| !input.is_null()))
}

/// Parses the instant at which a pause is to end by itself.
pub(super) fn pause_end(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, ErrorResponse> {
    let until = text.map(|text| instant("until", text)).transpose()?;
    match until.filter(|until| *until <= now) {
        Some(past) => Err(ErrorResponse::invalid(format!("until: {past} has passed"))),
        None => Ok(until),
    }
}

/// Parses an instant in a query. There `+` means a space, and a time zone's `+` that was not written as `%2B` can still
/// mean only one thing.
pub(super) fn query_instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, ErrorResponse> {
    let at = text.map(|text| parsed(name, &text.replace(' ', "+"))).transpose()?;
    Ok(at.map(|at| at.clamp(ASKED_EARLIEST, ASKED_LATEST)))
}

/// Returns the note without surrounding blanks, or `None` if nothing is left of it; a note that is too long is an error.
pub(super) fn note(note: Option<String>) -> Result<Option<String>, ErrorResponse> {
    if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        return Err(ErrorResponse::invalid(format!("note: longer than {NOTE_CHARS_MAX} characters")));
    }
    Ok(note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty()))
}

/// Returns the error for a cron that does not exist; it suggests the nearest name.
pub(in crate::api) async fn unknown_cron(api: &Api, name: &str) -> ErrorResponse {
    let names = match api.store.cron_names().await {
        Ok(names) => names,
        Err(error) => return error.into(),
    };
    ErrorResponse::not_found(match nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => format!("there is no cron `{name}`; did you mean `{nearest}`?"),
        None => format!("there is no cron `{name}`; `agentcron list` shows all"),
    })
}
