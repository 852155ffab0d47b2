//! What the server says when it refuses, word for word as far as it says something sensible; ours follow where they
//! say more.

use crate::api::error_response::ErrorResponse;
use crate::backend::CallError;
use crate::domain::calendar::CalendarError;
use crate::domain::ids::ThreadId;

/// Of what a client wrote, this much is told back.
const ECHO_CHARS_MAX: usize = 200;

/// The beginning of a text.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn not_found() -> ErrorResponse {
    ErrorResponse::NotFound("Not Found".to_owned())
}

/// `what` is `cron`, `thread` or `assistant`.
pub(super) fn no_id(what: &str) -> ErrorResponse {
    ErrorResponse::Invalid(format!("Invalid {what} ID: must be a UUID"))
}

pub(super) fn no_thread(thread_id: ThreadId) -> ErrorResponse {
    ErrorResponse::NotFound(format!(
        "Thread with ID '{thread_id}' not found. Please verify the ID is correct and the thread hasn't been deleted \
         or expired."
    ))
}

/// A cron from a file belongs to whoever may write the file.
pub(super) fn of_file(name: &str, location: Option<&str>) -> ErrorResponse {
    let location = location.unwrap_or("a file");
    ErrorResponse::Conflict(format!(
        "cron {name} is defined in {location}: change it there; agentcron takes the change up by itself"
    ))
}

/// The agent server has no answer for us. Nothing was stored.
pub(super) fn not_told(what: &str, error: &CallError) -> ErrorResponse {
    ErrorResponse::BadGateway(format!("the agent server did not say {what}, so nothing was done: {error}"))
}

pub(super) fn bad_calendar(error: &CalendarError, schedule: &str, timezone: &str) -> ErrorResponse {
    let (schedule, timezone) = (cut(schedule), cut(timezone));
    match error {
        CalendarError::UnknownTimezone { .. } => ErrorResponse::Invalid(format!(
            "Invalid timezone: '{timezone}'. Use IANA timezone format (e.g. 'America/New_York')."
        )),
        CalendarError::Expression(error) => ErrorResponse::Invalid(format!(
            "Invalid cron schedule: '{schedule}'. Reason: Invalid cron schedule. Ensure the schedule uses the \
             standard cron format (minute hour day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 \
             minutes. ({error})"
        )),
        CalendarError::NeverMatches => {
            ErrorResponse::BadRequest(format!("failed to find next date ('{schedule}': {error})"))
        }
    }
}
