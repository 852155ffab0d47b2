//! Acts: each is asked about on a page of its own first, which says what exactly will happen and which command does the same. Then
//! the handler of `/v1` does it, in the name of whoever is logged in.

mod ask;
mod fields;
mod perform;
mod question;
mod requests;
mod several;

use axum::body::Bytes;
use axum::http::Uri;
use axum::response::Response;

use super::frame::{Content, Tab};
use super::visit::{Visit, said};
use crate::api::error_response::ErrorResponse;
use crate::domain::act::PageAct;
use fields::Fields;
use requests::asks_for_more_than_shown;

/// Shows what an act would do, and asks whether it is to be done.
pub(super) async fn confirm(visit: Visit) -> Response {
    let fields = Fields::parse(visit.uri.query().unwrap_or_default().as_bytes());
    show_question(visit, &fields).await
}

async fn show_question(visit: Visit, fields: &Fields) -> Response {
    match question(&visit, fields).await {
        Ok((title, main)) => visit.page(Content::still(Tab::Other, title, main)).await,
        Err(error) => visit.failed(error),
    }
}

async fn question(visit: &Visit, fields: &Fields) -> Result<(String, maud::Markup), ErrorResponse> {
    if !visit.may_act {
        let advice = "the page acts only for those who are logged in and may act: run `agentcron open`";
        return Err(ErrorResponse::forbidden(advice));
    }
    ask::question(visit, fields.act()?, fields).await
}

/// Does it, and leads back to where somebody came from.
pub(super) async fn act(visit: Visit, uri: Uri, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let performed = match fields.act() {
        Ok(PageAct::Backfill) if asks_for_more_than_shown(&fields) => {
            return show_question(visit, &fields).await;
        }
        // Whether somebody may act was judged when the request came in (`api/admission/`).
        Ok(act) => perform::perform(&visit, act, &fields).await,
        Err(error) => Err(error),
    };
    match performed {
        Ok(text) => said(&uri, fields.get("next").unwrap_or_default(), &text),
        Err(error) => visit.failed(error),
    }
}
