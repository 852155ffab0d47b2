//! Which assistant a cron runs, and on which thread.

use super::mistakes::{Mistakes, parse_word, plain_text};
use crate::config::errors::quoted;
use crate::config::fields::CronFields;
use crate::config::limits::NAME_CHARS_MAX;
use crate::domain::cron::{MultitaskStrategy, OnRunCompleted, Target};
use crate::domain::ids::{InstallationId, ThreadId};

pub(super) fn assistant_id(fields: &CronFields, mistakes: &mut Mistakes) -> Option<String> {
    if fields.assistant_id.is_none() {
        mistakes.add_missing("assistant_id", "the id of an assistant, or the name of a graph");
    }
    let text = plain_text(mistakes, "assistant_id", &fields.assistant_id)?;
    short_name(mistakes, "assistant_id", text).map(str::to_owned)
}

pub(super) fn target(
    installation: InstallationId,
    fields: &CronFields,
    mistakes: &mut Mistakes,
) -> Option<Target> {
    if fields.thread_id.is_some() && fields.thread.is_some() {
        let hint = "`thread` is a name of your own, `thread_id` a UUID; keep one";
        mistakes.add_with_hint("thread", "given together with thread_id, expected one of them", hint);
    }
    let thread_id = plain_text(mistakes, "thread_id", &fields.thread_id).map(|text| {
        text.parse::<ThreadId>().map_err(|_| {
            let hint = "for a name of your own, write thread = \"…\"";
            mistakes.add_with_hint("thread_id", format!("got {}, expected a UUID", quoted(text)), hint);
        })
    });
    let thread = plain_text(mistakes, "thread", &fields.thread).map(|text| {
        let name = short_name(mistakes, "thread", text);
        name.map(|name| ThreadId::of_name(installation, name)).ok_or(())
    });
    if fields.thread_id.is_none() && fields.thread.is_none() {
        let default = OnRunCompleted::Delete;
        let chosen = parse_word(mistakes, "on_run_completed", &fields.on_run_completed, default);
        return Some(Target::Stateless(chosen));
    }
    if fields.on_run_completed.is_some() {
        let message = "makes no sense together with a thread: the thread outlives its runs";
        let hint = "on_run_completed is for stateless crons; remove it or the thread";
        mistakes.add_with_hint("on_run_completed", message, hint);
    }
    thread_id.or(thread)?.ok().map(Target::Thread)
}

/// Returns the strategy for a busy thread. For a stateless run it is always `reject`: every run has a thread of its
/// own, so nothing can be in its way, and the fence that keeps a run from starting twice needs it.
pub(super) fn multitask_strategy(fields: &CronFields, mistakes: &mut Mistakes) -> Option<MultitaskStrategy> {
    let is_stateless = fields.thread_id.is_none() && fields.thread.is_none();
    let written = fields.multitask_strategy.as_ref();
    let strategy = written.map(|_| {
        let default = MultitaskStrategy::Reject;
        parse_word(mistakes, "multitask_strategy", &fields.multitask_strategy, default)
    });
    if !is_stateless {
        return strategy;
    }
    if let Some(strategy) = strategy.filter(|strategy| *strategy != MultitaskStrategy::Reject) {
        let message = format!("got `{strategy}`, expected `reject` for a stateless cron");
        let hint =
            "each of its runs has a thread of its own, so none is ever busy; see `overlap`, or name a thread";
        mistakes.add_with_hint("multitask_strategy", message, hint);
    }
    Some(MultitaskStrategy::Reject)
}

/// Returns the text if it can be a name in tables and log lines: neither empty nor long, and on one line.
fn short_name<'t>(mistakes: &mut Mistakes, field: &'static str, text: &'t str) -> Option<&'t str> {
    let is_valid =
        !text.trim().is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.contains(char::is_control);
    if !is_valid {
        let expected = format!("expected 1 to {NAME_CHARS_MAX} characters on one line");
        mistakes.add(field, format!("got {}, {expected}", quoted(text)));
    }
    is_valid.then_some(text)
}
