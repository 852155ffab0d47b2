//! The last lines of the log, for a bug report.

use axum::Json;

use crate::api::viewer::Viewer;
use crate::api::wire::LogTail;
use crate::log_tail;

/// Get the last lines of the daemon's log
///
/// At most 500 since its start, without what graphs reported. Callers that may not see values get none.
#[utoipa::path(
    get, path = "/v1/log", tag = "daemon",
    responses((status = 200, description = "The lines, the oldest first", body = LogTail))
)]
pub(in crate::api) async fn log(viewer: Viewer) -> Json<LogTail> {
    viewer.show(LogTail { lines: log_tail::lines() })
}
