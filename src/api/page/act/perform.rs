//! What each act calls, and what is said of it afterwards.

use axum::extract::State;
use futures_util::future::join_all;
use jiff::tz::TimeZone;

use super::PageAct;
use super::fields::Fields;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter};
use crate::api::page::visit::Visit;
use crate::api::v1::{cron_actions, pauses, runs, webhooks};
use crate::api::wire::{
    BackfillRequest, CronStateChanged, EmptyRequest, HoldRequest, PauseRequest, ReleaseRequest, ReplayRequest,
    ResumeRequest, RunRequest,
};
use crate::domain::bounds::PAGE_ITEMS_MAX;
use crate::present::counted;

/// Does it, and returns what was done.
pub(super) async fn perform(visit: &Visit, act: PageAct, fields: &Fields) -> Result<String, ErrorResponse> {
    let (state, by) = (|| State(visit.api.clone()), visit.actor());
    match act {
        PageAct::Trigger => {
            let (cron, input) = (fields.demand("cron")?, fields.json("input")?);
            let body = JsonBody(RunRequest { input });
            let run = cron_actions::trigger(state(), by, named(cron), body).await?.0;
            Ok(match run.waits_for {
                Some(_) => format!("run {} of {cron} waits for the one in progress", short(&run.run_id)),
                None => format!("run {} of {cron} started", short(&run.run_id)),
            })
        }
        PageAct::Pause => {
            let changed = each_cron(fields, async |cron| {
                let body = pause_request(visit, fields)?;
                cron_actions::pause(state(), by.clone(), named(cron), JsonBody(body)).await
            });
            said_of_crons(changed.await?, "paused")
        }
        PageAct::Resume => {
            let changed = each_cron(fields, async |cron| {
                cron_actions::resume(state(), by.clone(), named(cron), JsonBody(EmptyRequest {})).await
            });
            said_of_crons(changed.await?, "resumed")
        }
        PageAct::SkipNext => {
            let changed = each_cron(fields, async |cron| {
                cron_actions::skip_next(state(), by.clone(), named(cron), JsonBody(EmptyRequest {})).await
            });
            said_of_crons(changed.await?, "set to skip the next occurrence")
        }
        PageAct::Backfill => {
            let cron = fields.demand("cron")?;
            let body = JsonBody(backfill_request(visit, fields, false)?);
            let done = cron_actions::backfill(state(), by, named(cron), body).await?.0;
            Ok(format!("{} of {cron} will run", counted(done.runs as u64, "occurrence")))
        }
        PageAct::PauseAll => {
            let body = JsonBody(pause_request(visit, fields)?);
            pauses::pause(state(), by, body).await?;
            Ok("all crons are paused".to_owned())
        }
        PageAct::ResumeAll => {
            pauses::resume(state(), by, JsonBody(EmptyRequest {})).await?;
            Ok("all crons are resumed, but for those that are paused by themselves".to_owned())
        }
        PageAct::Cancel => {
            let run = PathParameter(fields.demand("run")?.to_owned());
            let cancelled = runs::cancel(state(), by, run, JsonBody(EmptyRequest {})).await?.0;
            Ok(format!("run {}: {}", short(&cancelled.run_id), cancelled.detail))
        }
        PageAct::Retry => {
            let run = PathParameter(fields.demand("run")?.to_owned());
            let body = JsonBody(RunRequest { input: fields.json("input")? });
            let run = runs::retry(state(), by, run, body).await?.0;
            Ok(format!("the occurrence runs again, as {}", short(&run.run_id)))
        }
        PageAct::Hold => {
            let body = JsonBody(HoldRequest { note: fields.owned("note") });
            webhooks::hold(state(), by, body).await?;
            Ok("webhooks are held".to_owned())
        }
        PageAct::Release => {
            let per_second = fields.number("per_second")?;
            let hours: Option<u64> = fields.number("discard_older_than_hours")?;
            let discard_older_than_seconds = hours.map(|hours| hours.saturating_mul(3600));
            let body = JsonBody(ReleaseRequest { per_second, discard_older_than_seconds });
            webhooks::release(state(), by, body).await?;
            Ok("webhooks are released".to_owned())
        }
        PageAct::Replay => {
            let body = JsonBody(replay_request(fields, false)?);
            let replayed = webhooks::replay(state(), by, body).await?.0.replayed as u64;
            Ok(format!("{} will be sent again", counted(replayed, "webhook")))
        }
        PageAct::ResumeUrl => {
            let body = JsonBody(ResumeRequest { url: fields.demand("url")?.to_owned() });
            let resumed = webhooks::resume(state(), by, body).await?.0.resumed;
            Ok(format!("{} gets webhooks again", resumed.join(", ")))
        }
    }
}

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

fn pause_request(visit: &Visit, fields: &Fields) -> Result<PauseRequest, ErrorResponse> {
    let zone = visit.clock.zone();
    let until = fields.get("until").map(|text| local_time("until", text, &zone)).transpose()?;
    Ok(PauseRequest { note: fields.owned("note"), until })
}

/// Returns the instant of a field such as `2026-11-26T09:00`, as a browser sends local times.
fn local_time(name: &str, text: &str, zone: &TimeZone) -> Result<String, ErrorResponse> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(instant.to_string());
    }
    let local = text.parse::<jiff::civil::DateTime>().ok().and_then(|local| local.to_zoned(zone.clone()).ok());
    let expected = || ErrorResponse::invalid(format!("{name}: expected a time such as 2026-11-26T09:00"));
    local.map(|local| local.timestamp().to_string()).ok_or_else(expected)
}

fn named(cron: &str) -> PathParameter {
    PathParameter(cron.to_owned())
}

fn short(run_id: &str) -> &str {
    run_id.get(..crate::present::ID_CHARS_SHOWN).unwrap_or(run_id)
}

/// Changes all crons in the form at once. Each change is one of its own: one that fails keeps no other from being made.
async fn each_cron(
    fields: &Fields,
    change: impl AsyncFn(&str) -> Result<axum::Json<CronStateChanged>, ErrorResponse>,
) -> Result<Vec<Result<CronStateChanged, ErrorResponse>>, ErrorResponse> {
    let crons: Vec<&str> = fields.all("cron").collect();
    if crons.is_empty() {
        return Err(ErrorResponse::invalid("no cron is selected"));
    }
    if crons.len() > PAGE_ITEMS_MAX as usize {
        return Err(ErrorResponse::invalid(format!("more than {PAGE_ITEMS_MAX} crons at once")));
    }
    let changed = join_all(crons.iter().map(|cron| change(cron))).await;
    Ok(changed.into_iter().map(|changed| changed.map(|changed| changed.0)).collect())
}

fn said_of_crons(
    changed: Vec<Result<CronStateChanged, ErrorResponse>>,
    how: &str,
) -> Result<String, ErrorResponse> {
    let (done, failed): (Vec<_>, Vec<_>) = changed.into_iter().partition(Result::is_ok);
    let names: Vec<_> = done.into_iter().flatten().map(|changed| changed.cron_name).collect();
    let first_error = failed.into_iter().find_map(Result::err);
    let text = match names.as_slice() {
        [] => return Err(first_error.unwrap_or_else(|| ErrorResponse::invalid("no cron is selected"))),
        [name] => format!("{name} is {how}"),
        names => format!("{} are {how}", counted(names.len() as u64, "cron")),
    };
    Ok(match first_error {
        Some(error) => format!("{text}; but: {}", error.detail),
        None => text,
    })
}
