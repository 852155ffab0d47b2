//! What a question before an act is made of, and the fields that several of them have.

use maud::{Markup, html};

use crate::domain::bounds::NOTE_CHARS_MAX;

/// Crons, instants and webhooks that are named before something is done to many.
pub(super) const NAMED: usize = 20;

/// What is asked about an act.
pub(super) struct Question {
    pub(super) title: String,
    /// What will happen.
    pub(super) consequence: Markup,
    /// What else somebody may say.
    pub(super) more: Markup,
    /// The command that does the same.
    pub(super) command: String,
    pub(super) button: &'static str,
    /// Whether something is left to do.
    pub(super) is_possible: bool,
}

pub(super) fn kept(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

pub(super) fn note() -> Markup {
    html! {
        label { "Why (others will see it)" input name="note" maxlength=(NOTE_CHARS_MAX) autocomplete="off"; }
    }
}

pub(super) fn until() -> Markup {
    html! { label { "Until (empty: until somebody resumes)" input type="datetime-local" name="until"; } }
}
