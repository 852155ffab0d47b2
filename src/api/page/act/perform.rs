//! What each act calls, and what is said of it afterwards.

use axum::extract::State;
use jiff::tz::TimeZone;

use super::fields::Fields;
use super::several;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter};
use crate::api::page::local;
use crate::api::page::visit::Visit;
use crate::api::v1::{cron_actions, pauses, runs, webhooks};
use crate::api::wire::{
    BackfillRequest, EmptyRequest, HoldRequest, PauseRequest, ReleaseRequest, ReplayRequest, ResumeRequest,
    RunRequest,
};
use crate::domain::act::PageAct;
use crate::present::counted;

/// Does it, and returns what was done.
pub(super) async fn perform(visit: &Visit, act: PageAct, fields: &Fields) -> Result<String, ErrorResponse> {
    let (state, by) = (|| State(visit.api.clone()), visit.actor());
    match act {
        PageAct::Trigger | PageAct::Pause | PageAct::Resume | PageAct::SkipNext => {
            several::perform(visit, act, fields).await
        }
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
