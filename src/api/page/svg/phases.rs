//! The phases of an attempt at a webhook: where its time went.

use jiff::Timestamp;
use maud::{Markup, html};

use super::scale::Scale;

/// A part of an attempt: its class, and from when until when, in milliseconds since its beginning.
pub(in crate::api::page) struct Part {
    pub(in crate::api::page) class: &'static str,
    pub(in crate::api::page) since: i64,
    pub(in crate::api::page) until: i64,
}

/// Draws the parts on a scale of so many milliseconds.
pub(in crate::api::page) fn phases(parts: &[Part], all: i64) -> Markup {
    let at = |millisecond: i64| Timestamp::from_millisecond(millisecond).unwrap_or_default();
    let scale = Scale { from: at(0), until: at(all) };
    html! {
        svg.phases width="100%" height="14" aria-hidden="true" {
            @for part in parts {
                @let (x, width) = scale.span(at(part.since), at(part.until));
                rect class=(part.class) x=(x) y="1" width=(width) height="12" {}
            }
        }
    }
}
