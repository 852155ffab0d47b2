//! The question before an act: what exactly will happen, what else somebody may say, and the command that does the same.

mod flow;

use axum::extract::State;
use maud::{Markup, html};

use super::fields::Fields;
use super::question::{NAMED, Question, kept, note, until};
use super::requests::{asks_for_more_than_shown, backfill_request, replay_request, typed_times};
use super::several;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::{JsonBody, PathParameter};
use crate::api::page::shown::{delivery_status, quoted, status, text};
use crate::api::page::visit::{Visit, within};
use crate::api::v1::{cron_actions, crons, runs, webhooks};
use crate::api::wire::{CronDetails, Time};
use crate::domain::act::PageAct;
use crate::present::{counted, times};

/// Returns the title and the form.
pub(super) async fn question(
    visit: &Visit,
    act: PageAct,
    fields: &Fields,
) -> Result<(String, Markup), ErrorResponse> {
    let question = match act {
        PageAct::Trigger | PageAct::Pause | PageAct::Resume | PageAct::SkipNext => {
            several::question(visit, act, fields).await?
        }
        PageAct::Backfill => backfill(visit, fields).await?,
        PageAct::PauseAll | PageAct::ResumeAll => of_all(act),
        PageAct::Cancel | PageAct::Retry => of_run(visit, act, fields).await?,
        PageAct::Hold => flow::hold(visit, fields).await?,
        PageAct::Release => flow::release(visit, fields).await?,
        PageAct::ResumeUrl => resume_url(fields)?,
        PageAct::Replay => replay(visit, fields).await?,
    };
    let form = form(visit, act, fields, &question);
    Ok((question.title, form))
}

fn form(visit: &Visit, act: PageAct, fields: &Fields, question: &Question) -> Markup {
    let next = fields.get("next").unwrap_or_default();
    html! {
        section.ask {
            h1 { (text(&question.title)) }
            form method="post" action={ (visit.up) "act" } {
                input type="hidden" name="act" value=(act);
                input type="hidden" name="next" value=(next);
                (question.consequence)
                (question.more)
                p.buttons {
                    @if question.is_possible { button.main type="submit" { (question.button) } }
                    " " a.cancel href={ "./" (visit.up) (within(next)) } { "Back" }
                }
                p.same { "The same: " (visit.command(&question.command)) }
            }
        }
    }
}

async fn cron(visit: &Visit, name: &str) -> Result<CronDetails, ErrorResponse> {
    let state = State(visit.api.clone());
    crons::cron(visit.viewer, state, PathParameter(name.to_owned())).await.map(|cron| cron.0)
}

async fn backfill(visit: &Visit, fields: &Fields) -> Result<Question, ErrorResponse> {
    let name = fields.demand("cron")?;
    let value = |name: &str| fields.get(name).unwrap_or_default();
    let request = backfill_request(visit, fields, true)?;
    let to = fields.get("to").map(|_| format!(" --to {}", request.to)).unwrap_or_default();
    let limit = fields.get("limit").map(|limit| format!(" --limit {}", quoted(limit))).unwrap_or_default();
    let zone = times::zone_name(&visit.clock.zone());
    let dry = cron_actions::backfill(
        State(visit.api.clone()),
        visit.actor(),
        PathParameter(name.to_owned()),
        JsonBody(request),
    );
    let dry = dry.await?.0;
    let will_run: Vec<_> = dry.instants.iter().filter(|instant| instant.fate == "run").collect();
    let took = cron(visit, name).await?.cron.recent.p50_ms;
    Ok(Question {
        title: format!("Backfill {name}"),
        consequence: html! {
            (kept("cron", name))
            (kept("shown", &typed_times(fields)))
            @if asks_for_more_than_shown(fields) { p.attention role="alert" { "You have changed the times. Nothing was done yet; this is what they mean:" } }
            @if dry.runs == 0 { p { "Nothing to run between these times: what is there has run, or was skipped for good." } }
            @else {
                p {
                    b { (counted(dry.runs as u64, "occurrence")) } " will run"
                    @if let Some(took) = took { ", usually " (super::super::shown::took(took)) " each" }
                    ". Each sends its webhook."
                }
                ol.named { @for instant in will_run.iter().take(NAMED) { li { (visit.clock.time(instant.scheduled_for, None)) } } }
                @if will_run.len() > NAMED { p.dim { "and " (will_run.len() - NAMED) " more, until " @if let Some(last) = will_run.last() { (visit.clock.time(last.scheduled_for, None)) } } }
            }
        },
        more: html! {
            label { "From, in " (zone) " (empty: as far back as it is known)" input type="datetime-local" name="from" value=(value("from")); }
            label { "To, in " (zone) " (empty: now)" input type="datetime-local" name="to" value=(value("to")); }
            label { "At most" input type="number" name="limit" min="1" max="10000" value=(value("limit")) placeholder="100"; }
            p { button type="submit" formmethod="get" formaction={ (visit.up) "act" } formnovalidate { "Look again with these times" } }
        },
        command: format!("agentcron backfill {} --from {}{to}{limit}", quoted(name), dry.from.0),
        button: "Run them",
        is_possible: dry.runs > 0,
    })
}

fn of_all(act: PageAct) -> Question {
    let is_pause = act == PageAct::PauseAll;
    Question {
        title: if is_pause { "Pause all crons" } else { "Resume all crons" }.to_owned(),
        consequence: html! {
            @if is_pause { p { "Nothing of any schedule fires, also of crons that are made later. Runs in progress go on, and you can still run crons by hand." } }
            @else { p { "Schedules fire again. Crons that are paused by themselves stay paused." } }
        },
        more: html! { @if is_pause { (note()) (until()) } },
        command: format!("agentcron {} --all", if is_pause { "pause" } else { "resume" }),
        button: if is_pause { "Pause all" } else { "Resume all" },
        is_possible: true,
    }
}

async fn of_run(visit: &Visit, act: PageAct, fields: &Fields) -> Result<Question, ErrorResponse> {
    let run_id = fields.demand("run")?;
    let details =
        runs::run(visit.viewer, State(visit.api.clone()), PathParameter(run_id.to_owned())).await?.0;
    let run = &details.run;
    let short = run_id.get(..8).unwrap_or(run_id);
    let (is_cancel, is_over) = (act == PageAct::Cancel, run.ended_at.is_some());
    let scheduled = visit.clock.time(run.scheduled_for, None);
    Ok(Question {
        title: format!(
            "{} {} of {}",
            if is_cancel { "Cancel run" } else { "Run again:" },
            short,
            run.called()
        ),
        consequence: html! {
            (kept("run", run_id))
            p { "Scheduled for " (scheduled) ": " (status(&run.status)) }
            @match (is_cancel, is_over) {
                (true, true) => p { "It has ended already." },
                (true, false) => p { "It is cancelled on the agent server; if it has not started, it will not." },
                (false, _) => p { "A new run of the same occurrence starts now, by the definition of now. Its webhook is sent when it ends." },
            }
        },
        more: html! {
            @if !is_cancel { label { "Another input, as JSON (empty: the same as before)" textarea name="input" rows="3" spellcheck="false" {} } }
        },
        command: format!("agentcron {} {short}", if is_cancel { "cancel" } else { "retry" }),
        button: if is_cancel { "Cancel the run" } else { "Run again" },
        is_possible: !(is_cancel && is_over),
    })
}

fn resume_url(fields: &Fields) -> Result<Question, ErrorResponse> {
    let url = fields.demand("url")?;
    Ok(Question {
        title: "Send to this URL again".to_owned(),
        consequence: html! { (kept("url", url)) p { "Its receiver had said that it is gone. Later webhooks are sent to " code { (text(url)) } " again." } },
        more: html! {},
        command: format!("agentcron webhook resume {}", quoted(url)),
        button: "Resume",
        is_possible: true,
    })
}

async fn replay(visit: &Visit, fields: &Fields) -> Result<Question, ErrorResponse> {
    let body = JsonBody(replay_request(fields, true)?);
    let dry = webhooks::replay(State(visit.api.clone()), visit.actor(), body).await?.0;
    let mut command = "agentcron webhook replay".to_owned();
    for (name, option) in [
        ("id", ""),
        ("status", "--status "),
        ("cron", "--cron "),
        ("since", "--since "),
        ("until", "--until "),
        ("url", "--url "),
    ] {
        for value in fields.all(name).take(3) {
            command.push_str(&format!(" {option}{}", quoted(value)));
        }
    }
    Ok(Question {
        title: format!("Send {} again", counted(dry.replayed as u64, "webhook")),
        consequence: html! {
            @for name in ["id", "status", "cron", "since", "until", "url", "run", "limit"] {
                @for value in fields.all(name) { (kept(name, value)) }
            }
            @if dry.replayed == 0 { p { "No webhook matches." } }
            @else {
                p { "The same bodies under the same " code { "webhook-id" } ", so a receiver that has one knows it." @if dry.more { " More match than are sent at once." } }
                ul.named {
                    @for webhook in dry.webhooks.iter().take(NAMED) {
                        li { (delivery_status(webhook.status.0)) " " @if let Some(name) = &webhook.cron_name { (text(name)) " " } (visit.clock.time(Time(webhook.created_at.0), None)) " " span.dim { (text(&webhook.url)) } }
                    }
                }
                @if dry.replayed > NAMED { p.dim { "and " (dry.replayed - NAMED) " more" } }
            }
        },
        more: html! {},
        command,
        button: "Send again",
        is_possible: dry.replayed > 0,
    })
}
