//! What the lists of crons, runs and webhooks have in common: how their address filters them.

use axum::response::Response;
use maud::{Markup, html};
use serde::de::DeserializeOwned;

use super::frame::{Content, Tab};
use super::shown::prose;
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::StrictQuery;
use crate::domain::bounds::{PAGE_ROWS, PAGE_ROWS_MAX};

impl Visit {
    /// Returns the filters that somebody often wants: a label and a path for each.
    pub(super) fn saved<'a>(&self, filters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
        let here = self.here();
        html! {
            nav.saved aria-label="Filters" {
                @for (label, path) in filters {
                    a href={ (self.up) (path) } aria-current=[(here == path).then_some("true")] { (label) }
                }
            }
        }
    }

    /// Returns the query of a list as a handler of `/v1` takes it.
    pub(super) fn query_of_list<T: DeserializeOwned>(&self) -> Result<StrictQuery<T>, ErrorResponse> {
        let rows = self.rows(PAGE_ROWS, PAGE_ROWS_MAX)?.to_string();
        let times = self.instants(&["since", "until"])?;
        let times = times.iter().map(|(name, at)| (*name, at.as_str()));
        self.query_with(&times.chain([("limit", rows.as_str())]).collect::<Vec<_>>())
    }

    /// Returns what is there instead of a list that cannot be shown. A filter that is mistaken is corrected where it is, in `form`.
    pub(super) async fn no_list(self, tab: Tab, title: &str, form: Markup, error: ErrorResponse) -> Response {
        if !error.status.is_client_error() {
            return self.failed(error);
        }
        let main = html! { h1 { (title) } (form) p.alarm.bad role="alert" { (prose(&error.detail)) } };
        let mut response = self.page(Content::still(tab, title, main)).await;
        *response.status_mut() = error.status;
        response
    }
}
