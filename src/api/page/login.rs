//! The login: a form for a key, or for the code of a link that `agentcron open` printed.

use axum::Extension;
use axum::Form;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame;
use super::shown::text;
use super::visit::{Visit, to_page};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::peer::Peer;
use crate::api::sessions::LoginError;
use crate::domain::access::Caller;

#[derive(Deserialize)]
pub(super) struct LoginForm {
    secret: String,
    #[serde(default)]
    next: String,
}

/// Shows the form.
pub(super) async fn form(visit: Visit) -> Response {
    let next = visit.parameter("next").unwrap_or_default();
    page(StatusCode::OK, &next, visit.caller == Caller::Local, None)
}

/// Logs somebody in who shows a key or a code, and leads to the page that they wanted.
pub(super) async fn log_in(
    State(api): State<Api>,
    peer: Option<Extension<Peer>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    Form(LoginForm { secret, next }): Form<LoginForm>,
) -> Response {
    let address = peer.and_then(|Extension(peer)| peer.address);
    match api.sessions.open(secret.trim(), address).await {
        Ok(cookie) => ([(SET_COOKIE, cookie)], to_page(&uri, &next)).into_response(),
        Err(error) => {
            let status = match error {
                LoginError::Wrong => StatusCode::UNAUTHORIZED,
                LoginError::NotForThePage => StatusCode::FORBIDDEN,
                LoginError::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
                LoginError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            page(status, &next, caller == Caller::Local, Some(&error.to_string()))
        }
    }
}

/// Logs somebody out.
pub(super) async fn log_out(State(api): State<Api>, headers: HeaderMap, uri: Uri) -> Response {
    match api.sessions.end(&headers).await {
        Ok(cookie) => ([(SET_COOKIE, cookie)], to_page(&uri, "")).into_response(),
        Err(error) => super::refused(ErrorResponse::from(error), uri.path()),
    }
}

fn page(status: StatusCode, next: &str, is_open: bool, problem: Option<&str>) -> Response {
    frame::alone(status, "", "Log in", form_of(next, is_open, problem))
}

fn form_of(next: &str, is_open: bool, problem: Option<&str>) -> Markup {
    html! {
        @if let Some(problem) = problem { p.alarm.bad role="alert" { (text(problem)) } }
        p {
            "On the machine of the daemon, run " code { "agentcron open" }
            ": it prints a link that works once, within a minute."
        }
        form #login method="post" action="login" {
            input type="hidden" name="next" value=(next);
            // Whoever keeps passwords wants a name to keep it under.
            input type="text" name="user" value="agentcron" autocomplete="username" hidden;
            label for="secret" { span { "Or enter a key of " code { "[http]" } ", or the code at the end of that link" } }
            input #secret type="password" name="secret" required autocomplete="current-password" autofocus;
            button type="submit" { "Log in" }
        }
        @if is_open { p.dim { a href="./" { "Look without logging in" } ": states only, and no acts." } }
    }
}
