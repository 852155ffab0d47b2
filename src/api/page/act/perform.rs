//! What each act calls, and what is said of it afterwards.

use axum::extract::State;
use futures_util::future::join_all;
use jiff::tz::TimeZone;

use super::fields::Fields;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter};
use crate::api::page::local;
use crate::api::page::visit::Visit;
use crate::api::v1::{cron_actions, pauses, runs, webhooks};
use crate::api::wire::{
    BackfillRequest, CronStateChanged, EmptyRequest, HoldRequest, PauseRequest, ReleaseRequest,
    ReplayRequest, ResumeRequest, RunRequest,
};
use crate::domain::act::PageAct;
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
        PageAct::Pause | PageAct::Resume | PageAct::SkipNext => of_crons(visit, act, fields).await,
        PageAct::Backfill => {
            let cron = fields.demand("cron")?;
            let body = JsonBody(backfill_request(visit, fields, false)?);
            let done = cron_actions::backfill(state(), by, named(cron), body).await?.0;
            Ok(format!("{} of {cron} will run", counted(done.runs as u64, "occurrence")))
        }
        PageAct::PauseAll => {
            let body = JsonBody(pause_request(visit, fields)?);
            drop(pauses::pause(state(), by, body).await?);
            Ok("all crons are paused".to_owned())
        }
        PageAct::ResumeAll => {
            drop(pauses::resume(state(), by, JsonBody(EmptyRequest {})).await?);
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
            drop(webhooks::hold(state(), by, body).await?);
            Ok("webhooks are held".to_owned())
        }
        PageAct::Release => {
            let per_second = fields.number("per_second")?;
            let hours: Option<u64> = fields.number("discard_older_than_hours")?;
            let discard_older_than_seconds = hours.map(|hours| hours.saturating_mul(3600));
            let body = JsonBody(ReleaseRequest { per_second, discard_older_than_seconds });
            drop(webhooks::release(state(), by, body).await?);
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

fn local_time(name: &str, text: &str, zone: &TimeZone) -> Result<String, ErrorResponse> {
    local::instant(name, text, zone).map(|instant| instant.to_string())
}

fn named(cron: &str) -> PathParameter {
    PathParameter(cron.to_owned())
}

fn short(run_id: &str) -> &str {
    run_id.get(..crate::present::ID_CHARS_SHOWN).unwrap_or(run_id)
}

/// Changes all crons in the form at once. Each change is one of its own: one that fails keeps no other from being made.
async fn of_crons(visit: &Visit, act: PageAct, fields: &Fields) -> Result<String, ErrorResponse> {
    let crons: Vec<&str> = fields.all("cron").collect();
    if crons.is_empty() {
        return Err(ErrorResponse::invalid("no cron is selected"));
    }
    if crons.len() > PAGE_ITEMS_MAX as usize {
        return Err(ErrorResponse::invalid(format!("more than {PAGE_ITEMS_MAX} crons at once")));
    }
    let changes = crons.into_iter().map(|cron| change(visit, act, cron, fields));
    let changed = join_all(changes.collect::<Vec<_>>()).await;
    let how = match act {
        PageAct::Pause => "paused",
        PageAct::Resume => "resumed",
        _ => "set to skip the next occurrence",
    };
    said_of_crons(changed, how)
}

async fn change(
    visit: &Visit,
    act: PageAct,
    cron: &str,
    fields: &Fields,
) -> Result<CronStateChanged, ErrorResponse> {
    let (state, by, cron) = (State(visit.api.clone()), visit.actor(), named(cron));
    let changed = match act {
        PageAct::Pause => {
            let body = JsonBody(pause_request(visit, fields)?);
            cron_actions::pause(state, by, cron, body).await
        }
        PageAct::Resume => cron_actions::resume(state, by, cron, JsonBody(EmptyRequest {})).await,
        _ => cron_actions::skip_next(state, by, cron, JsonBody(EmptyRequest {})).await,
    };
    changed.map(|changed| changed.0)
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
