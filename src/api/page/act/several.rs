//! What can be done to one cron or to several at once: those that are selected, or those that a filter lists.

use axum::extract::State;
use futures_util::future::join_all;
use jiff::Timestamp;
use maud::{Markup, html};

use super::fields::Fields;
use super::question::{NAMED, Question, kept, note, until};
use super::requests::{named, pause_request, short};
use crate::api::error_response::ErrorResponse;
use crate::api::extract::JsonBody;
use crate::api::page::shown::{quoted, text};
use crate::api::page::visit::Visit;
use crate::api::v1::{cron_actions, crons};
use crate::api::wire::{EmptyRequest, RunRequest, Time};
use crate::domain::act::PageAct;
use crate::domain::bounds::PAGE_ITEMS_MAX;
use crate::domain::cron_state::{CronStatus, Pause};
use crate::present::counted;
use crate::store::CronHead;

/// Above this many, the number has to be typed.
const WITHOUT_TYPING: usize = 20;
/// Commands that are shown of those for each cron.
const COMMANDS: usize = 3;

/// What becomes of a cron.
struct Fate {
    name: String,
    /// Whether anything changes, or why nothing does.
    said: Result<Markup, String>,
}

/// Returns what is asked before it is done.
pub(super) async fn question(
    visit: &Visit,
    act: PageAct,
    fields: &Fields,
) -> Result<Question, ErrorResponse> {
    let names = names(visit, fields).await?;
    let fates = fates(visit, act, &names).await?;
    let changed = fates.iter().filter(|fate| fate.said.is_ok()).count();
    let what = match names.as_slice() {
        [name] => name.clone(),
        names => counted(names.len() as u64, "cron"),
    };
    let (verb, button) = match act {
        PageAct::Pause => ("Pause", "Pause"),
        PageAct::Resume => ("Resume", "Resume"),
        PageAct::SkipNext => ("Skip the next occurrence of", "Skip it"),
        _ => ("Run", "Run now"),
    };
    let now = if act == PageAct::Trigger { " now" } else { "" };
    Ok(Question {
        title: format!("{verb} {what}{now}"),
        consequence: html! {
            @for name in &names { (kept("cron", name)) }
            p { (consequence(act)) }
            @if names.len() > 1 && changed < names.len() {
                p { b { (changed) } " of " (names.len()) " change; the others are as they would be already." }
            }
            ul.named {
                @for fate in fates.iter().take(NAMED) {
                    li {
                        @if names.len() > 1 { b { (text(&fate.name)) } " " }
                        @match &fate.said { Ok(said) => (said), Err(why) => span.dim { (text(why)) } }
                    }
                }
            }
            @if fates.len() > NAMED { p.dim { "and " (fates.len() - NAMED) " more" } }
        },
        more: more(act, names.len()),
        command: commands(act, &names),
        button,
        is_possible: changed > 0,
    })
}

fn consequence(act: PageAct) -> &'static str {
    match act {
        PageAct::Pause => {
            "Occurrences are recorded as skipped until somebody resumes; runs in progress go on, and runs can be started by hand."
        }
        PageAct::Resume => {
            "Occurrences start runs again. What was skipped meanwhile stays skipped; a backfill runs it."
        }
        PageAct::SkipNext => "Only the next occurrence is skipped, and recorded so.",
        _ => {
            "A run starts now, beside the schedule, even if the cron is paused. Its webhook is sent when it ends."
        }
    }
}

fn more(act: PageAct, count: usize) -> Markup {
    html! {
        @if act == PageAct::Pause { (note()) (until()) }
        @if act == PageAct::Trigger && count == 1 {
            label { "Another input, as JSON (empty: that of the cron)" textarea name="input" rows="3" spellcheck="false" {} }
        }
        @if count > WITHOUT_TYPING {
            label { span { "Type " b { (count) } " to go on" }
                input name="count" required pattern=(count) inputmode="numeric" autocomplete="off"; }
        }
    }
}

/// Returns the command for the first crons; there is one for each.
fn commands(act: PageAct, names: &[String]) -> String {
    let first = names.iter().take(COMMANDS).map(|name| format!("agentcron {act} {}", quoted(name)));
    let more = names.len().saturating_sub(COMMANDS);
    let more = if more > 0 { format!("  # and {more} more") } else { String::new() };
    format!("{}{more}", first.collect::<Vec<_>>().join(" && "))
}

/// Returns the crons that are selected, or those that a filter lists now. The form keeps their names, so it is these that are changed.
async fn names(visit: &Visit, fields: &Fields) -> Result<Vec<String>, ErrorResponse> {
    let names = match fields.get("matching") {
        Some(_) => {
            let filter = crons::listing(fields.get("source"), fields.get("state"), fields.owned("name"))?;
            let now = visit.now;
            visit.api.store.read(move |reader| reader.listed_names(&filter, PAGE_ITEMS_MAX + 1, now)).await?
        }
        None => selected(fields)?.into_iter().map(str::to_owned).collect(),
    };
    match names.len() {
        0 => Err(ErrorResponse::invalid("no cron matches any more")),
        count if count > PAGE_ITEMS_MAX as usize => Err(ErrorResponse::invalid(format!(
            "more than {PAGE_ITEMS_MAX} crons match: filter them further"
        ))),
        _ => Ok(names),
    }
}

fn selected(fields: &Fields) -> Result<Vec<&str>, ErrorResponse> {
    let crons: Vec<&str> = fields.all("cron").collect();
    match crons.len() {
        0 => Err(ErrorResponse::invalid("no cron is selected")),
        count if count > PAGE_ITEMS_MAX as usize => {
            Err(ErrorResponse::invalid(format!("more than {PAGE_ITEMS_MAX} crons at once")))
        }
        _ => Ok(crons),
    }
}

async fn fates(visit: &Visit, act: PageAct, names: &[String]) -> Result<Vec<Fate>, ErrorResponse> {
    let wanted = names.to_vec();
    let heads = visit
        .api
        .store
        .read(move |reader| wanted.iter().map(|name| reader.cron_head(name)).collect::<Result<Vec<_>, _>>());
    let heads = heads.await?;
    let [name] = names else {
        let fates = names.iter().zip(&heads).map(|(name, head)| fate(visit, act, name, head.as_ref()));
        return Ok(fates.collect());
    };
    match heads.first() {
        Some(Some(head)) if !head.is_removed => Ok(vec![fate(visit, act, name, Some(head))]),
        // Says that there is none, and which name is near.
        _ => crons::cron(visit.viewer, State(visit.api.clone()), named(name)).await.map(|_| Vec::new()),
    }
}

fn fate(visit: &Visit, act: PageAct, name: &str, head: Option<&CronHead>) -> Fate {
    let fate = |said| Fate { name: name.to_owned(), said };
    let Some(head) = head.filter(|head| !head.is_removed) else {
        return fate(Err("there is no such cron".to_owned()));
    };
    let pause = head.state.pause(visit.now);
    let is_disabled = head.status == Ok(CronStatus::Disabled);
    fate(match act {
        PageAct::Pause => Ok(html! {
            @match pause {
                Some(pause) => { (paused(visit, pause)) ": a new note or end takes the place of the old one" },
                None => { (next(visit, head, "will be skipped, and all after it")) },
            }
        }),
        PageAct::Resume => match pause {
            Some(pause) => Ok(html! { (paused(visit, pause)) }),
            None => Err("is not paused by itself".to_owned()),
        },
        PageAct::SkipNext => match (is_disabled, head.state.skip_next) {
            (true, _) => Err("is disabled: nothing is scheduled".to_owned()),
            (false, true) => Err("its next occurrence will be skipped already".to_owned()),
            (false, false) => Ok(next(visit, head, "will be skipped")),
        },
        _ => Ok(html! {
            @match (pause, is_disabled) {
                (Some(pause), _) => (paused(visit, pause)),
                (None, true) => "disabled: its schedule does not start runs",
                (None, false) => { (next(visit, head, "comes by the schedule")) },
            }
        }),
    })
}

fn paused(visit: &Visit, pause: &Pause) -> Markup {
    html! {
        "paused since " (visit.clock.time(Time(pause.since), None))
        @if let Some(note) = &pause.note { " (" (text(note)) ")" }
    }
}

/// Returns when the next occurrence is, and what becomes of it.
fn next(visit: &Visit, head: &CronHead, fate: &str) -> Markup {
    // Zero means that it is to be computed anew.
    let at = head.next_at.filter(|at| *at > Timestamp::UNIX_EPOCH);
    html! {
        @match at {
            Some(at) => { (visit.clock.time_and_relative(Time(at), None)) " " (fate) },
            None => span.dim { "nothing is scheduled" },
        }
    }
}

/// Changes all crons in the form at once. Each change is one of its own: one that fails keeps no other from being made.
pub(super) async fn perform(visit: &Visit, act: PageAct, fields: &Fields) -> Result<String, ErrorResponse> {
    let crons = selected(fields)?;
    if crons.len() > WITHOUT_TYPING && fields.number("count")? != Some(crons.len()) {
        return Err(ErrorResponse::invalid(format!("count: expected {}, the number of crons", crons.len())));
    }
    let changes: Vec<_> = crons.into_iter().map(|cron| change(visit, act, cron, fields)).collect();
    summed_up(act, join_all(changes).await)
}

/// Returns the name of the cron, and what became of it beside what the act says.
async fn change<'f>(
    visit: &Visit,
    act: PageAct,
    name: &'f str,
    fields: &Fields,
) -> Result<(&'f str, Option<String>), ErrorResponse> {
    let (state, by, cron) = (State(visit.api.clone()), visit.actor(), named(name));
    match act {
        PageAct::Pause => {
            let body = JsonBody(pause_request(visit, fields)?);
            drop(cron_actions::pause(state, by, cron, body).await?);
        }
        PageAct::Resume => drop(cron_actions::resume(state, by, cron, JsonBody(EmptyRequest {})).await?),
        PageAct::SkipNext => drop(cron_actions::skip_next(state, by, cron, JsonBody(EmptyRequest {})).await?),
        _ => {
            let body = JsonBody(RunRequest { input: fields.json("input")? });
            let run = cron_actions::trigger(state, by, cron, body).await?.0;
            let waits = run.waits_for.map_or("started", |_| "waits for the one in progress");
            return Ok((name, Some(format!("run {} of {name} {waits}", short(&run.run_id)))));
        }
    }
    Ok((name, None))
}

fn summed_up(
    act: PageAct,
    changed: Vec<Result<(&str, Option<String>), ErrorResponse>>,
) -> Result<String, ErrorResponse> {
    let how = match act {
        PageAct::Pause => "paused",
        PageAct::Resume => "resumed",
        PageAct::SkipNext => "set to skip the next occurrence",
        _ => "started",
    };
    let (done, failed): (Vec<_>, Vec<_>) = changed.into_iter().partition(Result::is_ok);
    let done: Vec<_> = done.into_iter().flatten().collect();
    let first_error = failed.into_iter().find_map(Result::err);
    let text = match done.as_slice() {
        [] => return Err(first_error.unwrap_or_else(|| ErrorResponse::invalid("no cron is selected"))),
        [(_, Some(said))] => said.clone(),
        [(name, None)] => format!("{name} is {how}"),
        several => format!("{} are {how}", counted(several.len() as u64, "cron")),
    };
    Ok(match first_error {
        Some(error) => format!("{text}; but: {}", error.detail),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_to_several_is_summed_up_with_the_first_mistake() {
        let error = || Err(ErrorResponse::not_found("there is no cron `x`"));
        let run = || Ok(("a", Some("run 1 of a started".to_owned())));
        for (act, changed, expected) in [
            (PageAct::Pause, vec![Ok(("a", None))], "a is paused"),
            (PageAct::Resume, vec![Ok(("a", None)), Ok(("b", None))], "2 crons are resumed"),
            (PageAct::Trigger, vec![run()], "run 1 of a started"),
            (PageAct::Trigger, vec![run(), run()], "2 crons are started"),
            (
                PageAct::Pause,
                vec![Ok(("a", None)), error(), error()],
                "a is paused; but: there is no cron `x`",
            ),
        ] {
            assert_eq!(summed_up(act, changed).unwrap(), expected);
        }
        assert_eq!(summed_up(PageAct::Pause, vec![error()]).unwrap_err().detail, "there is no cron `x`");
    }

    #[test]
    fn of_many_commands_the_first_are_shown() {
        let names = |count: usize| (0..count).map(|number| format!("c {number}")).collect::<Vec<_>>();
        assert_eq!(commands(PageAct::SkipNext, &names(1)), "agentcron skip-next 'c 0'");
        let many = commands(PageAct::Pause, &names(5));
        assert_eq!(
            many,
            "agentcron pause 'c 0' && agentcron pause 'c 1' && agentcron pause 'c 2'  # and 2 more"
        );
    }
}
