//! Who looks at what is agentcron's own, and how much of it is shown: what graphs were given, asked and returned is for
//! holders of a key, and for those at the socket.

use std::convert::Infallible;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::wire::HideValues;
use crate::domain::access::Caller;

/// Makes responses for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Viewer {
    OfEverything,
    /// The values are hidden.
    OfStates,
}

impl Viewer {
    pub(super) fn show<T: HideValues>(&self, mut shown: T) -> Json<T> {
        self.hide(&mut shown);
        Json(shown)
    }

    /// Hides what this caller may not see.
    pub(super) fn hide(&self, shown: &mut impl HideValues) {
        match self {
            Viewer::OfEverything => {}
            Viewer::OfStates => shown.hide_values(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let may_see = parts.extensions.get::<Caller>().is_some_and(Caller::may_see_values);
        Ok(if may_see { Viewer::OfEverything } else { Viewer::OfStates })
    }
}
