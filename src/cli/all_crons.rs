//! What `pause --all` and `resume --all` share: they go through the daemon or, while none is running, write the database
//! themselves.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::terminal::{Failure, Session, ask};
use crate::api::wire::AllPausedChanged;
use crate::domain::act::Actor;
use crate::store::{DaemonState, PauseOfAllChange, StoreError, change_pause_of_all_alone, daemon_state};

/// Makes a change and returns the response of the API.
pub(super) fn change(change: &PauseOfAllChange, session: &mut Session) -> Result<Value, Failure> {
    let place = session.place();
    if let Ok(place) = &place
        && daemon_state(place, session.now()) == DaemonState::Stopped
    {
        let by = Actor::uid(Some(rustix::process::getuid().as_raw()));
        match change_pause_of_all_alone(place, session.now(), &by, change) {
            // One has just been started.
            Err(StoreError::Taken { .. }) => {}
            changed => {
                session.output.warn("the daemon is not running: it finds this when it is started")?;
                return Ok(json!(AllPausedChanged::of(&changed?)));
            }
        }
    }
    match change {
        PauseOfAllChange::Pause { note, until } => {
            ask(session, &["pause"], &json!({ "note": note, "until": until.map(|until| until.to_string()) }))
        }
        PauseOfAllChange::Resume => ask(session, &["resume"], &json!({})),
    }
}

/// Returns the time in a response, as it is shown.
pub(super) fn shown_time(value: &Value, session: &Session) -> Option<String> {
    let at: Timestamp = value.as_str()?.parse().ok()?;
    Some(crate::present::times::local_with_day(at, &session.zone))
}
