//! Tells the service manager in one line what the daemon does and what is wrong, whenever that changes.

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::bounds::STATUS_LINE_EVERY;
use crate::engine::Health;
use crate::present::status_line;
use crate::store::{Store, StoreError};

pub(super) struct StatusLine {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) show: fn(&str),
}

/// Shows the line until it is stopped. Everything in it changes with a commit.
pub(super) async fn run(line: StatusLine, stop: CancellationToken) -> Result<(), StoreError> {
    let mut shown = String::new();
    let updates = async {
        loop {
            let text = line.text().await?;
            if text != shown {
                (line.show)(&text);
                shown = text;
            }
            line.store.next_commit().await;
            tokio::time::sleep(STATUS_LINE_EVERY).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        failed = updates => failed,
    }
}

impl StatusLine {
    async fn text(&self) -> Result<String, StoreError> {
        let glance = self.store.crons_at_a_glance().await?;
        let next = self.health.next_wake.next_cron();
        let next = next.as_ref().map(|(at, cron)| (*at, cron.name.as_str()));
        let away = self.health.backend_breaker.trouble().is_some();
        Ok(status_line(&glance, next, away, self.clock.now(), &TimeZone::system()))
    }
}
