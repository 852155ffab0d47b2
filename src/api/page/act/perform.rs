//! What each act calls, and what is said of it afterwards.

use axum::extract::State;

use super::fields::Fields;
use super::requests::{backfill_request, named, pause_request, replay_request, short};
use super::several;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter};
use crate::api::page::visit::Visit;
use crate::api::v1::{cron_actions, pauses, runs, webhooks};
use crate::api::wire::{EmptyRequest, HoldRequest, ReleaseRequest, ResumeRequest, RunRequest};
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
