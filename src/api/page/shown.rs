//! The small parts of which pages are made: times, outcomes, links, tables. Text from outside is escaped, and what is invisible in
//! it is shown.

use jiff::SignedDuration;
use maud::{Markup, html};

use super::visit::Visit;
use crate::api::wire::{Run, RunWebhook};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::printable::{is_unprintable, on_one_line};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status};
use crate::present::{ID_CHARS_SHOWN, Tone, runs, times, webhooks};

/// Returns text from outside on one line.
pub(super) fn text(text: &str) -> Markup {
    html! { (on_one_line(text)) }
}

/// Returns a sentence of our own, in which commands and keys stand between backticks.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (on_one_line(part)) } } @else { (on_one_line(part)) }
        }
    }
}

/// Returns the beginning of an id, with the whole of it on a closer look.
pub(super) fn id(id: &str) -> Markup {
    html! { code title=(id) { (id.get(..ID_CHARS_SHOWN).unwrap_or(id)) } }
}

/// Returns a duration in milliseconds.
pub(super) fn took(milliseconds: i64) -> String {
    times::took(SignedDuration::from_millis(milliseconds))
}

/// Returns how a run ended, or how far it is: a mark, a word and a colour.
pub(super) fn status(word: &str) -> Markup {
    let (mark, class) = mark_of(word);
    html! { span class={ "state " (class) } { span.mark aria-hidden="true" { (mark) } (word) } }
}

/// Returns a reason in words.
pub(super) fn reason_words(code: ReasonCode) -> String {
    code.as_str().replace('_', " ").replace("backend", "agent server")
}

/// Returns the mark and the class of a status or phase of a run.
pub(super) fn mark_of(word: &str) -> (&'static str, &'static str) {
    if let Ok(status) = word.parse::<Status>() {
        let mark = match status {
            Status::Success => "✓",
            Status::Error => "✕",
            Status::Timeout => "◷",
            Status::Interrupted => "‖",
            Status::Cancelled => "⊘",
            Status::Skipped => "–",
            Status::Missed => "○",
        };
        return (mark, tone_class(runs::status_tone(status)));
    }
    match word.parse::<Phase>() {
        Ok(Phase::Unconfirmed) => ("?", "attention"),
        Ok(Phase::Running) => ("▶", "active"),
        _ => ("◌", "active"),
    }
}

/// Returns the class that gives a text the colour of this tone.
pub(super) fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Attention => "attention",
        Tone::Active => "active",
    }
}

/// Returns the state of a webhook.
pub(super) fn delivery_status(status: DeliveryStatus) -> Markup {
    let mark = match status {
        DeliveryStatus::Delivered => "✓",
        DeliveryStatus::Failed | DeliveryStatus::Gone | DeliveryStatus::Blocked => "✕",
        DeliveryStatus::Aborted | DeliveryStatus::Suppressed => "–",
        DeliveryStatus::Pending => "◌",
        DeliveryStatus::Sending => "▶",
    };
    html! {
        span class={ "state " (tone_class(webhooks::tone(status))) } {
            span.mark aria-hidden="true" { (mark) } (status)
        }
    }
}

impl Visit {
    /// Returns a link to a cron by its name.
    pub(super) fn cron_link(&self, name: &str) -> Markup {
        html! { a href={ (self.up) "crons/" (segment(name)) } { (text(name)) } }
    }

    /// Returns a link to a run, by whom it belongs to.
    pub(super) fn run_link(&self, run_id: &str) -> Markup {
        html! { a href={ (self.up) "runs/" (run_id) } { (id(run_id)) } }
    }

    /// Returns the state of the webhook of a run, as a link to it.
    pub(super) fn webhook_of_run(&self, webhook: Option<&RunWebhook>) -> Markup {
        html! {
            @if let Some(webhook) = webhook {
                a href={ (self.up) "webhooks/" (webhook.delivery_id) } {
                    (delivery_status(webhook.status.0))
                    @if webhook.attempts > 1 { " ×" (webhook.attempts) }
                }
            }
        }
    }

    /// Returns the rows of runs, the newest first. `of_cron` is their cron's zone if they are of one cron.
    pub(super) fn run_rows(&self, runs: &[Run], of_cron: Option<&str>) -> Markup {
        self.rows_of_runs(runs, of_cron, true)
    }

    /// Returns the same for a second list on a page, whose rows have no names of their own and do not change.
    pub(super) fn more_run_rows(&self, runs: &[Run], of_cron: Option<&str>) -> Markup {
        self.rows_of_runs(runs, of_cron, false)
    }

    fn rows_of_runs(&self, runs: &[Run], of_cron: Option<&str>, is_list: bool) -> Markup {
        let is_of_one = of_cron.is_some();
        html! {
            table.rows data-list=[is_list.then_some("runs")] {
                thead {
                    tr {
                        th { "Status" } @if !is_of_one { th { "Cron" } } th { "Scheduled for" } th.n { "Late" }
                        th.n { "Took" } th { "Webhook" } th { "Why" }
                    }
                }
                tbody { @for run in runs { (self.run_row(run, of_cron, is_list)) } }
            }
        }
    }

    fn run_row(&self, run: &Run, of_cron: Option<&str>, is_list: bool) -> Markup {
        let late = run.lateness().map(times::took).unwrap_or_default();
        let why = run.why();
        html! {
            tr id=[is_list.then(|| format!("run-{}", run.run_id))] {
                td data-label="Status" { a href={ (self.up) "runs/" (run.run_id) } { (status(&run.status)) } }
                @if of_cron.is_none() {
                    td data-label="Cron" {
                        @match &run.cron_name { Some(name) => (self.cron_link(name)), None => span.dim { "client" } }
                    }
                }
                td data-label="Scheduled for" {
                    (self.clock.time(run.scheduled_for, of_cron))
                    @if run.retry > 0 { " " span.dim { "retry " (run.retry) } }
                    @if run.trigger.0.as_str() != "schedule" { " " span.dim { (run.trigger.0) } }
                    @if let Some(last) = run.last_scheduled_for.filter(|_| run.occurrences > 1) {
                        " " span.dim { "×" (run.occurrences) ", until " } (self.clock.time(last, of_cron))
                    }
                }
                td.n data-label="Late" { (late) }
                td.n data-label="Took" { (run.duration().map(times::took).unwrap_or_default()) }
                td data-label="Webhook" { (self.webhook_of_run(run.webhook.as_ref())) }
                td.why data-label="Why" title=(on_one_line(&why)) { (text(&crate::present::with_short_ids(&why))) }
            }
        }
    }

    /// Returns the link to the next page of a list.
    pub(super) fn older(&self, cursor: Option<&str>, first: &str) -> Markup {
        html! {
            nav.pages aria-label="Pages of the list" {
                @if self.parameter("cursor").is_some() { a href=(self.with_parameter("cursor", None)) { (first) } }
                @if let Some(cursor) = cursor {
                    a rel="next" href={ (self.with_parameter("cursor", None)) "&cursor=" (cursor) } { "More" }
                }
            }
        }
    }
}

/// Returns a name as a segment of a path.
pub(super) fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Returns a link to what an act asks, with these fields.
pub(super) fn act_link(up: &str, act: &str, fields: &[(&str, &str)], label: &str) -> Markup {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("act", act)
        .extend_pairs(fields)
        .finish();
    html! { a.act href={ (up) "act?" (query) } { (label) "…" } }
}

/// Returns a word of a command, quoted for a shell if that is needed.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.,:/@".contains(char);
    if word.contains(is_unprintable) {
        return format!("$'{}'", word.chars().map(in_dollar_quotes).collect::<String>());
    }
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Returns an id in full, which a click copies.
pub(super) fn copyable(id: &str) -> Markup {
    html! { code.copied data-copy=(id) title="A click copies it" { (on_one_line(id)) } }
}

/// Returns a choice among words, in which what was chosen stays even if it is none of them.
pub(super) fn choice(name: &str, label: &str, words: &[&str], chosen: &str) -> Markup {
    html! {
        label { (label) select name=(name) {
            option value="" { "any" }
            @for word in words { option value=(word) selected[chosen == *word] { (word) } }
            @if !chosen.is_empty() && !words.contains(&chosen) { option value=(chosen) selected { (text(&chosen.replace(',', ", "))) } }
        } }
    }
}

/// Returns a character as bash and zsh read it between `$'` and `'`, so that what is copied is what is seen.
fn in_dollar_quotes(char: char) -> String {
    match char {
        '\'' | '\\' => format!("\\{char}"),
        char if is_unprintable(char) => format!("\\U{:08x}", u32::from(char)),
        char => char.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_command_is_quoted_so_that_a_shell_reads_what_is_seen() {
        for (word, expected) in [
            ("daily-digest", "daily-digest"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's; rm -rf /", "'it'\\''s; rm -rf /'"),
            ("a\n\u{202e}'\\", "$'a\\U0000000a\\U0000202e\\'\\\\'"),
        ] {
            assert_eq!(quoted(word), expected, "{word:?}");
        }
    }
}
