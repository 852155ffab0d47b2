//! The requests to `/v1` that forms make.

use jiff::tz::TimeZone;

use super::fields::Fields;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::PathParameter;
use crate::api::page::local;
use crate::api::page::visit::Visit;
use crate::api::wire::{BackfillRequest, PauseRequest, ReplayRequest};

/// Returns a request to backfill from and to the times in the form.
pub(super) fn backfill_request(
    visit: &Visit,
    fields: &Fields,
    dry_run: bool,
) -> Result<BackfillRequest, ErrorResponse> {
    let zone = visit.clock.zone();
    let instant = |name| fields.get(name).map(|text| local_time(name, text, &zone)).transpose();
    Ok(BackfillRequest {
        from: instant("from")?,
        to: instant("to")?.unwrap_or_else(|| visit.now.to_string()),
        before_beginning: fields.get("before_beginning").is_some(),
        dry_run,
        limit: fields.number("limit")?,
    })
}

/// Returns what a form to backfill asks for, as it was typed.
pub(super) fn typed_times(fields: &Fields) -> String {
    ["from", "to", "limit"].map(|name| format!("{name}={}", fields.get(name).unwrap_or_default())).join("&")
}

/// Returns whether a form asks for other times than those that somebody was shown.
pub(super) fn asks_for_more_than_shown(fields: &Fields) -> bool {
    fields.get("shown").is_some_and(|shown| shown != typed_times(fields))
}

/// Returns a request to replay the webhooks in the form.
pub(super) fn replay_request(fields: &Fields, dry_run: bool) -> Result<ReplayRequest, ErrorResponse> {
    Ok(ReplayRequest {
        ids: fields.all("id").map(str::to_owned).collect(),
        status: fields.all("status").flat_map(|words| words.split(',')).map(str::to_owned).collect(),
        since: fields.owned("since"),
        until: fields.owned("until"),
        cron: fields.owned("cron"),
        run_id: fields.owned("run"),
        url: fields.owned("url"),
        limit: fields.number("limit")?,
        dry_run,
    })
}

pub(super) fn pause_request(visit: &Visit, fields: &Fields) -> Result<PauseRequest, ErrorResponse> {
    let zone = visit.clock.zone();
    let until = fields.get("until").map(|text| local_time("until", text, &zone)).transpose()?;
    Ok(PauseRequest { note: fields.owned("note"), until })
}

fn local_time(name: &str, text: &str, zone: &TimeZone) -> Result<String, ErrorResponse> {
    local::instant(name, text, zone).map(|instant| instant.to_string())
}

pub(super) fn named(cron: &str) -> PathParameter {
    PathParameter(cron.to_owned())
}

pub(super) fn short(run_id: &str) -> &str {
    run_id.get(..crate::present::ID_CHARS_SHOWN).unwrap_or(run_id)
}
