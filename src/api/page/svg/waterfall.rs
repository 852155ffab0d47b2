//! A waterfall: what took how long, one below the other, on one scale.

use jiff::Timestamp;
use maud::{Markup, html};

use super::scale::{Scale, percent};

/// What is drawn.
pub(in crate::api::page) struct Waterfall {
    pub(in crate::api::page) scale: Scale,
    pub(in crate::api::page) bars: Vec<Bar>,
    /// Times in which something was away; they go through all bars.
    pub(in crate::api::page) bands: Vec<(Timestamp, Timestamp)>,
}

/// One bar, with what it shows in words.
pub(in crate::api::page) struct Bar {
    pub(in crate::api::page) label: String,
    pub(in crate::api::page) since: Timestamp,
    pub(in crate::api::page) until: Timestamp,
    pub(in crate::api::page) class: &'static str,
    pub(in crate::api::page) said: String,
    /// Until when it would last if it took as long as usual.
    pub(in crate::api::page) usual: Option<Timestamp>,
}

pub(in crate::api::page) fn waterfall(drawn: &Waterfall) -> Markup {
    html! {
        div.waterfall {
            ul { @for bar in &drawn.bars { li {
                span.label { (bar.label) }
                (drawing(drawn, bar))
                span.took { (bar.said) }
            } } }
            div.below { (drawn.scale.axis()) }
        }
    }
}

fn drawing(drawn: &Waterfall, bar: &Bar) -> Markup {
    let scale = drawn.scale;
    let (x, width) = scale.span(bar.since, bar.until);
    html! {
        svg width="100%" height="18" aria-hidden="true" {
            @for (since, until) in &drawn.bands {
                @let (x, width) = scale.span(*since, *until);
                rect.band x=(x) y="0" width=(width) height="18" {}
            }
            @for (at, _) in scale.marks() {
                @let place = percent(scale.place(at));
                line.line x1=(place) x2=(place) y1="0" y2="18" {}
            }
            @if let Some(usual) = bar.usual {
                @let (x, width) = scale.span(bar.since, usual);
                rect.usual x=(x) y="1" width=(width) height="16" {}
            }
            rect class=(bar.class) x=(x) y="4" width=(width) height="10" rx="1.5" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_is_drawn_where_it_is_and_said_in_words() {
        let at = |millisecond| Timestamp::from_millisecond(millisecond).unwrap();
        let bar = Bar {
            label: "<runs>".to_owned(),
            since: at(100),
            until: at(600),
            class: "good",
            said: "500 ms".to_owned(),
            usual: Some(at(900)),
        };
        let drawn = Waterfall {
            scale: Scale { from: at(0), until: at(1000) },
            bars: vec![bar],
            bands: vec![(at(-5), at(50))],
        };
        let html = waterfall(&drawn).into_string();
        assert!(html.contains(r#"<rect class="good" x="10.00%" y="4" width="50.00%""#), "{html}");
        assert!(html.contains(r#"<rect class="usual" x="10.00%" y="1" width="80.00%""#), "{html}");
        assert!(html.contains(r#"<rect class="band" x="0.00%" y="0" width="5.00%""#), "{html}");
        assert!(
            html.contains("&lt;runs&gt;") && html.contains("500 ms") && !html.contains("style="),
            "{html}"
        );
    }
}
