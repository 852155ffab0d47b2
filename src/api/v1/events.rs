//! One feed of everything that changes, as server-sent events (HTML Standard §9.2). It names what has changed, and shows none
//! of it: whoever listens reads that again.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::feeds::FeedEvent;
use crate::api::wire::Changed;
use crate::domain::bounds::FEED_KEEP_ALIVE;

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
    let Some(feed) = api.feeds.enter(&api.store).await? else {
        let message = "too many feeds are open; close one, or try again later".to_owned();
        return Err(ErrorResponse::unavailable(message));
    };
    let events = futures_util::stream::unfold(feed, |mut feed| async move {
        let event = match feed.next().await? {
            // An object of three texts can always be written.
            FeedEvent::Changed(change) => {
                Event::default().event("changed").json_data(Changed::of(&change)).unwrap_or_default()
            }
            FeedEvent::Lagged => Event::default().event("lagged").data("{}"),
        };
        Some((Ok(event), feed))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(FEED_KEEP_ALIVE)))
}
