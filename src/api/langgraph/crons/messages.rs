//! Error messages about crons: the server's own, word for word, as far as they make sense; ours follow where they say
//! more.

use crate::api::error_response::ErrorResponse;
use crate::api::viewer::Viewer;
use crate::backend::CallError;
use crate::domain::calendar::CalendarError;
use crate::domain::ids::ThreadId;

/// How much of a client's own text an error message repeats.
const ECHO_CHARS_MAX: usize = 200;

/// Returns the text, shortened for an error message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn not_found() -> ErrorResponse {
    ErrorResponse::not_found("Not Found")
}

/// `kind` is `cron`, `thread` or `assistant`.
pub(super) fn invalid_id(kind: &str) -> ErrorResponse {
    ErrorResponse::invalid(format!("Invalid {kind} ID: must be a UUID"))
}

pub(super) fn thread_not_found(thread_id: ThreadId) -> ErrorResponse {
    ErrorResponse::not_found(format!(
        "Thread with ID '{thread_id}' not found. Please verify the ID is correct and the thread hasn't been deleted \
         or expired."
    ))
}

/// Returns the error for a change of a cron that is defined in a file: it can be changed only there, by those who may
/// write the file.
pub(super) fn defined_in_file(name: &str, location: Option<&str>, viewer: Viewer) -> ErrorResponse {
    let location = location.filter(|_| viewer == Viewer::OfEverything).unwrap_or("a file");
    ErrorResponse::conflict(format!(
        "cron {name} is defined in {location}: change it there; agentcron reloads the file by itself"
    ))
}

/// Returns the error for a question that the agent server did not respond to; nothing was stored.
pub(super) fn server_unclear(question: &str, error: &CallError) -> ErrorResponse {
    ErrorResponse::bad_gateway(format!(
        "the agent server did not say {question}, so nothing was done: {error}"
    ))
}

pub(super) fn invalid_calendar(error: &CalendarError, schedule: &str, timezone: &str) -> ErrorResponse {
    let (schedule, timezone) = (shortened(schedule), shortened(timezone));
    match error {
        CalendarError::UnknownTimezone { .. } => ErrorResponse::invalid(format!(
            "Invalid timezone: '{timezone}'. Use IANA timezone format (e.g. 'America/New_York')."
        )),
        CalendarError::Expression(error) => ErrorResponse::invalid(format!(
            "Invalid cron schedule: '{schedule}'. Reason: Invalid cron schedule. Ensure the schedule uses the \
             standard cron format (minute hour day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 \
             minutes. ({error})"
        )),
        CalendarError::NeverMatches => {
            ErrorResponse::bad_request(format!("failed to find next date ('{schedule}': {error})"))
        }
    }
}
