//! What graphs were given and returned, and what was sent about it: on request, as text, and for those who may see it only.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::Value;

use super::shown::segment;
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::viewer::Viewer;
use crate::domain::bounds::{PAGE_INDENTED_BYTES_MAX, PAGE_VALUES_BYTES_MAX};
use crate::domain::printable::on_lines;

impl Visit {
    /// Returns whether this visitor may see what graphs were given, asked and returned.
    pub(super) fn may_see_values(&self) -> bool {
        self.viewer == Viewer::OfEverything
    }

    /// Refuses those who may not.
    pub(super) fn demand_values(&self) -> Result<(), ErrorResponse> {
        match self.may_see_values() {
            true => Ok(()),
            false => Err(ErrorResponse::forbidden(
                "values are shown to those who are logged in: run `agentcron open`",
            )),
        }
    }

    /// Says who may see it.
    pub(super) fn values_hidden(&self, what: &str) -> Markup {
        let login = format!("{}login?next={}", self.up, segment(&self.here()));
        html! { p.dim { (what) " is shown to those who are logged in. " a href=(login) { "Log in" } } }
    }
}

/// Returns a text from outside as it is shown: up to a size, with a link to the whole of it.
pub(super) fn shown(whole: &str, raw: &str) -> Markup {
    let (text, is_cut) = beginning(whole);
    html! {
        p.dim {
            @if is_cut { "The first " (size(text.len())) " of " (size(whole.len())) ". " } @else { (size(whole.len())) ". " }
            a href=(raw) download { "raw" }
        }
        pre.values tabindex="0" { (on_lines(text)) }
    }
}

/// Returns the part of a text that is shown, and whether that is not all.
fn beginning(text: &str) -> (&str, bool) {
    if text.len() <= PAGE_VALUES_BYTES_MAX {
        return (text, false);
    }
    let mut end = PAGE_VALUES_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], true)
}

/// Returns JSON indented for reading, unless it is large.
pub(super) fn indented(json: String) -> String {
    if json.len() > PAGE_INDENTED_BYTES_MAX {
        return json;
    }
    match serde_json::from_str::<Value>(&json) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or(json),
        Err(_) => json,
    }
}

/// Returns a value as a person writes it: a text without quotes.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_else(|_| other.to_string()),
    }
}

/// Returns a file for a browser to keep and not to show.
pub(super) fn file(name: &str, content: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers =
        [(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)];
    (headers, content).into_response()
}

/// Returns `812 bytes`, `12 KB`.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        ..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MB", bytes >> 20, (bytes % (1 << 20)) * 10 / (1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_cut_between_characters_and_never_markup() {
        let long = "ü".repeat(PAGE_VALUES_BYTES_MAX);
        let html = shown(&long, "raw").into_string();
        assert!(html.contains("The first 64 KB of 128 KB") && html.len() < PAGE_VALUES_BYTES_MAX + 300);
        let html = shown("<script>\u{202e}\u{1b}[2J</script>\nx", "output").into_string();
        assert!(html.contains("&lt;script&gt;\\u{202e}\\u{1b}[2J&lt;/script&gt;\nx"), "{html}");
        assert!(html.contains("href=\"output\"") && !html.contains("first"), "{html}");
    }

    #[test]
    fn json_is_indented_and_what_is_none_stays() {
        assert_eq!(indented(r#"{"a":[1]}"#.to_owned()), "{\n  \"a\": [\n    1\n  ]\n}");
        assert_eq!(indented("not json".to_owned()), "not json");
        assert_eq!(as_text(&Value::String("go on?".to_owned())), "go on?");
        assert_eq!(
            [size(0), size(1023), size(1025), size(3 << 19)],
            ["0 bytes", "1023 bytes", "2 KB", "1.5 MB"]
        );
    }
}
