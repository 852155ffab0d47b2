//! What is asked of a run: its end.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::refusal::Refusal;
use crate::domain::ids::RunId;
use crate::store::CancelAnswer;

pub(super) async fn cancel(
    State(api): State<Api>,
    Path(run_id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let id: RunId =
        run_id.parse().map_err(|_| Refusal::Invalid(format!("`{run_id}` is no run id (a UUID)")))?;
    let Some((run, answer)) = api.store.cancel_run(api.clock.now(), id).await? else {
        return Err(Refusal::NotFound(format!("there is no run {id}")));
    };
    let detail = answer.words(&run);
    if answer == CancelAnswer::Over {
        return Err(Refusal::Conflict(format!("run {id} of {}: {detail}", run.called())));
    }
    api.wakes.runner.notify_one();
    tracing::info!(cron = run.called(), run_id = %id, detail, "to be cancelled on request");
    Ok(Json(json!({
        "run_id": id.to_string(),
        "cron_name": run.cron_name(),
        "status": run.state.phase().as_str(),
        "detail": detail,
    })))
}
