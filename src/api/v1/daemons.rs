//! The daemons of the store: a listing.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::wire::{Daemon, Page};
use crate::store::DaemonState;

/// List the daemons of the store, worst first
///
/// Lost ones, which give no sign of life, come first; then those that are about to end; then those that work. There are several
/// if they share the store. What a lost one holds is recovered by the others; after that, it is no longer listed.
#[utoipa::path(
    get, path = "/v1/daemons", tag = "daemon",
    responses((status = 200, description = "The daemons", body = Page<Daemon>), ErrorResponse)
)]
pub(in crate::api) async fn daemons(State(api): State<Api>) -> Result<Json<Page<Daemon>>, ErrorResponse> {
    let (sharing, now) = (api.store.sharing(), api.clock.now());
    let state = DaemonState::Running { pid: Some(std::process::id()) };
    let daemons = api.store.read(move |reader| reader.daemons(sharing, &state, now)).await?;
    Ok(Json(Page { items: daemons.iter().map(Daemon::of).collect(), next_cursor: None }))
}
