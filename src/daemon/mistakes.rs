//! Makes mistakes of the configuration known: in the store, from which everything else has them, and in the log.

use jiff::Timestamp;

use crate::config::{Config, KeptCron, Loss};
use crate::domain::generation::Adoption;
use crate::store::{NewNotice, NoticeKind, Store, StoreError};

/// Returns what is said of files with mistakes.
pub(super) fn message(adoption: Adoption) -> &'static str {
    match adoption.is_in_force() {
        true => "configuration has mistakes; what is understood is in force",
        false => "configuration has mistakes; the generation in force goes on",
    }
}

/// Returns what is wrong with the files and what becomes of it, or `None` if nothing is. `started_with` is the
/// configuration that was in force when the daemon started.
pub(super) fn describe(config: &Config, started_with: &Config, kept: &[KeptCron]) -> Option<NewNotice> {
    if !config.mistakes.is_empty() {
        return Some(NewNotice { detail: config.describe_mistakes(kept), count: config.mistakes.len() });
    }
    started_with.unknown.contains(&Loss::Backend).then(|| {
        let message = "[backend] is understood again, but no run is sent until the daemon is restarted";
        NewNotice::single(message.to_owned())
    })
}

/// Records the notice and logs it under this message.
pub(super) async fn report(
    store: &Store,
    now: Timestamp,
    message: &str,
    notice: Option<NewNotice>,
) -> Result<(), StoreError> {
    if let Some(NewNotice { detail, .. }) = &notice {
        tracing::error!("{message}:\n{detail}");
    }
    store.notice(now, NoticeKind::Configuration, notice).await
}
