//! The web page, below `/agentcron/`: the answers of `/v1`, drawn.
//!
//! A page calls the handlers of `/v1` and draws what they return, and a form acts by calling them. So who may see and do what, and
//! how it is called, is decided once. Links are relative to the depth of the page, so it works behind any path prefix.
//! Everything can be read and done without JavaScript; that makes it live.

mod act;
mod assets;
mod clock;
mod cron;
mod crons;
mod frame;
mod kept;
mod listing;
mod local;
mod login;
mod overview;
mod run;
mod runs;
mod shown;
mod status;
mod svg;
mod try_it;
mod values;
mod visit;
mod webhook;
mod webhooks;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};

use super::Api;
use super::error_response::ErrorResponse;
use super::page_paths::{ROOT, below, way_up};
use super::v1;
use crate::domain::bounds::FORM_BYTES_MAX;

pub use kept::Kept;

/// Nothing is loaded from elsewhere, nothing inline is run or applied, and no other page may show this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types agentcron";
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // With `no-referrer`, a browser would not say where our own forms come from (the Fetch standard, §3.2.1).
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];
/// Returns the response that leads somebody who has not shown who they are to the login, and back from there.
pub(super) fn to_login(uri: &Uri) -> Response {
    let wanted = below(uri.path()).unwrap_or_default().trim_start_matches('/');
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let next: String = url::form_urlencoded::byte_serialize(format!("{wanted}{query}").as_bytes()).collect();
    let next = if next.is_empty() { String::new() } else { format!("?next={next}") };
    with_headers(Redirect::to(&format!("{}login{next}", way_up(uri.path()))).into_response())
}

/// Returns an error as a page. `path` is that of the request.
pub(super) fn refused(error: ErrorResponse, path: &str) -> Response {
    let title = frame::called(error.status);
    let said = maud::html! { p { (shown::prose(&error.detail)) } };
    with_headers(frame::alone(error.status, &way_up(path), title, said))
}

/// Returns the response with the headers of every page.
fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Returns the routes.
pub(super) fn router() -> Router<Api> {
    let nowhere = async |visit: visit::Visit| visit.failed(ErrorResponse::not_found("there is no such page"));
    Router::new()
        .route(ROOT, get(async || Redirect::to("agentcron/")))
        .route("/agentcron/", get(overview::overview))
        .route("/agentcron/crons", get(crons::crons))
        .route("/agentcron/crons/{name}", get(cron::cron))
        .route("/agentcron/runs", get(runs::runs))
        .route("/agentcron/runs/{run_id}", get(run::run))
        .route("/agentcron/runs/{run_id}/{what}", get(run::raw))
        .route("/agentcron/webhooks", get(webhooks::webhooks))
        .route("/agentcron/webhooks/{delivery_id}", get(webhook::webhook))
        .route("/agentcron/webhooks/{delivery_id}/{what}", get(webhook::raw))
        .route("/agentcron/find", get(runs::find))
        .route("/agentcron/try", get(try_it::try_it))
        .route("/agentcron/status", get(status::status))
        .route("/agentcron/act", get(act::confirm).post(act::act))
        .route("/agentcron/events", get(v1::events::events))
        .route("/agentcron/login", get(login::form).post(login::log_in))
        .route("/agentcron/logout", post(login::log_out))
        .route("/agentcron/view", post(visit::change_view))
        .route("/agentcron/static/{file}", get(assets::asset))
        .route("/agentcron/{*rest}", any(nowhere))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(map_response(async |response| with_headers(response)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_leads_back() {
        let cases = [
            ("/agentcron", "agentcron/login"),
            ("/agentcron/", "login"),
            ("/agentcron/crons?q=a%26b", "login?next=crons%3Fq%3Da%2526b"),
            ("/agentcron/crons/x", "../login?next=crons%2Fx"),
        ];
        for (path, login) in cases {
            let uri: Uri = path.parse().unwrap();
            assert_eq!(to_login(&uri).headers()["location"], login, "{path}");
        }
    }
}
