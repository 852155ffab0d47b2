//! What is run, and on which thread.

use super::{CronFields, MISSING, Mistakes, plain, quoted, word};
use crate::config::limits::WORD_CHARS_MAX;
use crate::domain::cron::{MultitaskStrategy, OnRunCompleted, Target, UnknownWord};
use crate::domain::ids::{InstallationId, ThreadId};

pub(super) fn assistant_id(fields: &CronFields, mistakes: &mut Mistakes) -> Option<String> {
    if fields.assistant_id.is_none() {
        mistakes.add_with_hint("assistant_id", MISSING, "the id of an assistant, or the name of a graph");
    }
    let text = plain(mistakes, "assistant_id", &fields.assistant_id)?;
    short_word(mistakes, "assistant_id", text).map(str::to_owned)
}

pub(super) fn target(
    installation: InstallationId,
    fields: &CronFields,
    mistakes: &mut Mistakes,
) -> Option<Target> {
    if fields.thread_id.is_some() && fields.thread.is_some() {
        let hint = "`thread` is a name of your own, `thread_id` a UUID; keep one";
        mistakes.add_with_hint("thread", "stands beside thread_id, expected one of them", hint);
    }
    let thread_id = plain(mistakes, "thread_id", &fields.thread_id).map(|text| {
        text.parse::<ThreadId>().map_err(|_| {
            let hint = "for a name of your own write thread = \"…\"";
            mistakes.add_with_hint("thread_id", format!("got {}, expected a UUID", quoted(text)), hint);
        })
    });
    let thread = plain(mistakes, "thread", &fields.thread).map(|text| {
        short_word(mistakes, "thread", text).map(|name| ThreadId::of_name(installation, name)).ok_or(())
    });
    if fields.thread_id.is_none() && fields.thread.is_none() {
        return Some(Target::Stateless(on_run_completed(fields, mistakes)));
    }
    if fields.on_run_completed.is_some() {
        let message = "makes no sense together with a thread: the thread outlives its runs";
        let hint = "on_run_completed is for stateless crons; leave it or the thread out";
        mistakes.add_with_hint("on_run_completed", message, hint);
    }
    thread_id.or(thread)?.ok().map(Target::Thread)
}

/// For a stateless run it is always `reject`: every run has a thread of its own, so nothing can be in its way, and
/// the fence that keeps a run from starting twice needs it.
pub(super) fn multitask_strategy(fields: &CronFields, mistakes: &mut Mistakes) -> Option<MultitaskStrategy> {
    let stateless = fields.thread_id.is_none() && fields.thread.is_none();
    let written = fields.multitask_strategy.as_ref();
    let strategy = written
        .map(|_| word(mistakes, "multitask_strategy", &fields.multitask_strategy, MultitaskStrategy::Reject));
    if !stateless {
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

fn on_run_completed(fields: &CronFields, mistakes: &mut Mistakes) -> OnRunCompleted {
    word(mistakes, "on_run_completed", &fields.on_run_completed, OnRunCompletedWord(OnRunCompleted::Delete)).0
}

/// Its word, as the server writes it.
#[derive(Clone, Copy)]
struct OnRunCompletedWord(OnRunCompleted);

impl std::str::FromStr for OnRunCompletedWord {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "delete" => Ok(Self(OnRunCompleted::Delete)),
            "keep" => Ok(Self(OnRunCompleted::Keep)),
            _ => Err(UnknownWord { got: text.to_owned(), allowed: "delete, keep".to_owned() }),
        }
    }
}

/// Something to go by, and nothing that a table or a log line would choke on.
fn short_word<'t>(mistakes: &mut Mistakes, field: &'static str, text: &'t str) -> Option<&'t str> {
    let valid =
        !text.trim().is_empty() && text.chars().count() <= WORD_CHARS_MAX && !text.contains(char::is_control);
    if !valid {
        let expected = format!("expected 1 to {WORD_CHARS_MAX} characters in one line");
        mistakes.add(field, format!("got {}, {expected}", quoted(text)));
    }
    valid.then_some(text)
}
