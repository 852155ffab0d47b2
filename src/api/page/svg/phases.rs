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
            rect.track x="0" y="1" width="100%" height="12" {}
            @for part in parts {
                @let (x, width) = scale.span(at(part.since), at(part.until));
                rect class=(part.class) x=(x) y="1" width=(width) height="12" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_drawn_to_scale_and_seen_however_short() {
        let parts =
            [Part { class: "dns", since: 0, until: 50 }, Part { class: "none", since: 200, until: 200 }];
        let html = phases(&parts, 200).into_string();
        assert!(html.contains(r#"<rect class="dns" x="0.00%" y="1" width="25.00%""#), "{html}");
        assert!(html.contains(r#"<rect class="none" x="99.60%" y="1" width="0.40%""#), "{html}");
    }
}
