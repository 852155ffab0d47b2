//! Explains to a person what is recorded: the timeline of a run, why a cron did or did not fire, times, and sentences
//! about runs and webhooks.
//!
//! Everything here returns data or text. Nothing prints and nothing depends on a terminal, so a web page can use it as
//! well as the command line. A text may quote a server or a receiver: the caller escapes it for its own medium.

pub mod attention;
pub mod daemons;
pub mod explain;
pub mod forgetting;
pub mod occurrences;
pub mod outages;
pub mod pitfalls;
pub mod runs;
pub mod settings;
pub mod timeline;
pub mod times;
mod tone;
pub mod webhooks;

use uuid::Uuid;

pub use tone::Tone;

use crate::domain::bounds::ERROR_CHARS_IN_STATUS;

/// The first characters of an id, which distinguish it in practice; commands accept them.
pub const ID_CHARS_SHOWN: usize = 8;

/// Returns the count with its noun, in the singular or the plural: `1 webhook`, `12 webhooks`.
pub fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Returns the text with each UUID cut to its first characters.
pub fn with_short_ids(text: &str) -> String {
    let is_of_id = |char: char| char.is_ascii_hexdigit() || char == '-';
    let shortened = text.split_inclusive(|char| !is_of_id(char)).map(|word| {
        let id = word.trim_end_matches(|char| !is_of_id(char));
        let is_id = id.len() == uuid::fmt::Hyphenated::LENGTH && Uuid::try_parse(id).is_ok();
        if is_id { format!("{}{}", &id[..ID_CHARS_SHOWN], &word[id.len()..]) } else { word.to_owned() }
    });
    shortened.collect()
}

/// Returns the beginning of a text that came from outside, on one line.
pub fn first_words(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(ERROR_CHARS_IN_STATUS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_cut_and_nothing_else_is() {
        let text = "run c5bb9d73-c182-5072-9ca3-0f1a2acf8921 of a (c5bb9d73-c182-5072-9ca3-0f1a2acf8921), feed-beef é";
        assert_eq!(super::with_short_ids(text), "run c5bb9d73 of a (c5bb9d73), feed-beef é");
    }
}
