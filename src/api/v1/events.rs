//! One feed of everything that changes, as server-sent events (HTML Standard §9.2). It names what has changed, and shows none
//! of it: whoever listens reads that again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::wire::Changed;
use crate::domain::bounds::{FEED_INTERVAL, FEED_INTERVAL_CROWDED, FEED_KEEP_ALIVE};
use crate::store::{Change, FeedPosition, News, Topic};

/// Follow everything that changes, as server-sent events
///
/// An event `changed` says what has changed: a run, a cron, a webhook (`delivery`), an outage, the configuration or the daemon,
/// with the name of the cron and the id of the run if it is about one. The first one, about the daemon, says that the feed has
/// begun: read the state after that. An event `lagged` says that more has changed than is named: read everything again. Several
/// changes of one thing may be one event. Nothing that happened before the feed began is sent.
#[utoipa::path(
    get, path = "/v1/events", tag = "daemon",
    responses(
        (status = 200, description = "The events", body = Changed, content_type = "text/event-stream"),
        ErrorResponse
    )
)]
pub(in crate::api) async fn events(
    State(api): State<Api>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ErrorResponse> {
    let Some(place) = api.feeds.enter() else {
        let message = "too many feeds are open; close one, or try again later".to_owned();
        return Err(ErrorResponse::unavailable(message));
    };
    let commits = api.store.commits();
    let (position, _) = api.store.read(|reader| reader.news(None)).await?;
    let begun = Changed::of(&Change { topic: Topic::Daemon, cron: None, run_id: None });
    let feed = Feed {
        api,
        commits,
        position: Some(position),
        waiting: VecDeque::from([event_of(&begun)]),
        interval: FEED_INTERVAL,
        _place: place,
    };
    // What a slow reader has not taken is not read yet, and is one look when it has.
    let events = futures_util::stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(FEED_KEEP_ALIVE)))
}

/// A feed that somebody follows.
struct Feed {
    api: Api,
    commits: watch::Receiver<()>,
    /// `None` only while a look has it.
    position: Option<FeedPosition>,
    waiting: VecDeque<Event>,
    /// How long it waits between two looks.
    interval: Duration,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// Returns the next event, or `None` once the feed has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let (feeds, interval) = (self.api.feeds.clone(), self.interval);
            let is_due = async {
                let committed = self.commits.changed().await;
                tokio::time::sleep(interval).await;
                committed.is_ok()
            };
            tokio::select! {
                biased;
                () = feeds.stopped() => return None,
                is_due = is_due => is_due.then_some(())?,
            }
            self.commits.borrow_and_update();
            self.look().await?;
        }
    }

    /// Reads what has changed; `None` if that fails, which ends the feed: whoever follows it asks for another.
    async fn look(&mut self) -> Option<()> {
        let position = self.position.take();
        let (position, news) = self.api.store.read(|reader| reader.news(position)).await.ok()?;
        self.position = Some(position);
        match news {
            News::Changes(changes) => {
                self.interval = FEED_INTERVAL;
                self.waiting.extend(changes.iter().map(|change| event_of(&Changed::of(change))));
            }
            News::TooMuch => {
                self.interval = FEED_INTERVAL_CROWDED;
                self.waiting.push_back(Event::default().event("lagged").data("{}"));
            }
        }
        Some(())
    }
}

fn event_of(changed: &Changed) -> Event {
    // An object of three texts can always be written.
    Event::default().event("changed").json_data(changed).unwrap_or_default()
}
