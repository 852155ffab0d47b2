//! Links by which the operator comes into the web page.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};

use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::JsonBody;
use crate::api::wire::{PageLink, PageLinkRequest};
use crate::domain::access::{Caller, PageAccess};
use crate::domain::bounds::{LINK_LASTS, LINK_LASTS_MAX};

/// Make a link to the web page
///
/// It works once, within a minute unless more is asked for, and whoever uses it is logged in as the user at the Unix socket. Only over that socket.
#[utoipa::path(
    post, path = "/v1/page/links", tag = "daemon",
    request_body = Option<PageLinkRequest>,
    responses((status = 200, description = "The link", body = PageLink), ErrorResponse)
)]
pub(super) async fn make(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    JsonBody(PageLinkRequest { lasts_seconds }): JsonBody<PageLinkRequest>,
) -> Result<Json<PageLink>, ErrorResponse> {
    let Caller::Socket { uid } = caller else {
        return Err(ErrorResponse::forbidden("links are made at the Unix socket only: `agentcron open`"));
    };
    if api.access.now().page == PageAccess::Off {
        return Err(ErrorResponse::conflict("the web page is off (http.page)"));
    }
    let lasts = lasts_seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let lasts = lasts.unwrap_or(LINK_LASTS);
    if !(Duration::from_secs(1)..=LINK_LASTS_MAX).contains(&lasts) {
        let most = LINK_LASTS_MAX.as_secs();
        return Err(ErrorResponse::invalid(format!("lasts_seconds: expected a number from 1 to {most}")));
    }
    let code = api.sessions.new_link(uid, lasts)?;
    let listen = api.sessions.address();
    Ok(Json(PageLink {
        url: listen.map(|address| format!("http://{}/agentcron/login#{code}", reachable(address))),
        listen: listen.map(|address| address.to_string()),
        code,
        lasts_seconds: lasts.as_secs(),
    }))
}

/// Returns an address by which a browser on this machine gets there.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
