//! Status: what is wrong, the worst first, and then the state of each part of the daemon, as `agentcron status` has it.

use std::sync::Arc;

use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::overview::need;
use super::shown::{prose, text};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::wire::{Configuration, Outage, StatusReport, Time};
use crate::domain::bounds::{
    API_BODY_BYTES_MAX, HTTP_CONNECTIONS_MAX, PAGE_LOG_LINES, RELEASE_RATE_MAX, REPLAY_MAX, SESSIONS_MAX,
};
use crate::domain::daemon::Life;
use crate::domain::delivery_mode::DeliveryMode;
use crate::domain::printable::on_lines;
use crate::present::attention::Concern;
use crate::present::{counted, daemons as shown_daemons, outages, times};
use crate::store::{NoticeKind, Reader, StoreFacts, Topic, WebhookQueue, panic_count};

/// Outages that are shown.
const OUTAGES: usize = 20;
/// Daemons that are shown.
const DAEMONS: usize = 20;
/// How far back outages are shown.
const PERIOD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the page shows.
struct StatusPage {
    status: Arc<StatusReport>,
    store: StoreFacts,
    queue: WebhookQueue,
    outages: Vec<Outage>,
}

pub(super) async fn status(visit: Visit) -> Response {
    match read(&visit).await {
        Ok(told) => {
            let content = Content {
                tab: Tab::Status,
                title: "Status".to_owned(),
                topics: Topic::ALL,
                cron: None,
                json: Some("status".to_owned()),
                command: Some("agentcron status".to_owned()),
                main: main(&visit, &told),
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

async fn read(visit: &Visit) -> Result<StatusPage, ErrorResponse> {
    let api = &visit.api;
    let since = visit.now.saturating_sub(PERIOD).unwrap_or(Timestamp::MIN);
    let (store, queue) =
        api.store.read(|reader: &Reader| Ok((reader.store_facts()?, reader.webhook_queue()?))).await?;
    Ok(StatusPage {
        status: api.kept.status(api, visit.viewer).await?,
        store,
        queue,
        outages: api.outages_since(since).await?.iter().map(Outage::of).collect(),
    })
}

fn main(visit: &Visit, told: &StatusPage) -> Markup {
    html! {
        h1 { "Status" }
        (wrong(visit, &told.status))
        div.cards {
            (daemon(visit, told)) (agent_server(visit, &told.status)) (configuration(visit, &told.status))
            (store(visit, told)) (work(visit, &told.status)) (webhooks(visit, told)) (limits())
        }
        (daemons(visit, &told.status))
        (away(visit, &told.outages))
        (log(visit))
    }
}

/// Shows what is wrong, the worst first.
fn wrong(visit: &Visit, status: &StatusReport) -> Markup {
    html! {
        section {
            @if status.attention.is_empty() { p.empty.good { span.mark aria-hidden="true" { "✓" } "All is well." } }
            @else { ul.needs { @for one in &status.attention { (need(visit, one)) } } }
        }
    }
}

/// Returns whether nothing that is wrong is about one of these.
fn is_well(status: &StatusReport, concerns: &[Concern]) -> bool {
    !status.attention.iter().any(|one| one.needs_person && concerns.contains(&one.what.0))
}

/// Returns the head of a part, with whether it is well.
fn head(title: &str, is_well: bool) -> Markup {
    let (class, mark, word) = if is_well { ("good", "✓", "well") } else { ("bad", "✕", "see above") };
    html! { h2 { (title) " " span class={ "state " (class) } { span.mark aria-hidden="true" { (mark) } span.dim { (word) } } } }
}

fn daemon(visit: &Visit, told: &StatusPage) -> Markup {
    let daemon = &told.status.daemon;
    html! {
        section {
            (head("Daemon", is_well(&told.status, &[Concern::Daemon, Concern::LoopStuck, Concern::Panicked, Concern::StoreCopy, Concern::Listen])))
            dl.facts {
                dt { "Version" } dd { (daemon.version.as_deref().unwrap_or("unknown")) }
                @if let Some(started) = daemon.started_at {
                    dt { "Up for" } dd { (times::took(visit.now.duration_since(started.0))) ", since " (visit.clock.time(started, None)) }
                }
                @if let Some(pid) = daemon.pid { dt { "Process" } dd { (pid) } }
                dt { "Panics" } dd {
                    @match panic_count() { 0 => "none since it started", 1 => "one since it started", count => { (count) " since it started" } }
                    @if let Some(panic) = &told.store.panic {
                        ", the last one " (visit.clock.time_and_relative(Time(panic.at), None))
                        @if visit.may_see_values() { ": " (text(&panic.text)) }
                    }
                }
                dt { "Clock" } dd { (visit.now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) }
            }
        }
    }
}

/// Shows the daemons of a store that several share.
fn daemons(visit: &Visit, status: &StatusReport) -> Markup {
    html! {
        @if status.daemons.len() > 1 { section #daemons {
            h2 { "Daemons" }
            div.wide { table.rows.snug {
                thead { tr { th { "State" } th.n { "Number" } th { "Host" } th { "Version" } th { "Started" } th { "Seen" } th { "Holds" } } }
                tbody { @for daemon in status.daemons.iter().take(DAEMONS) { tr {
                    td data-label="State" { span.bad[daemon.state.0 == Life::Lost] { (daemon.state.0) } }
                    td.n data-label="Number" { (daemon.number) }
                    td data-label="Host" { (text(&daemon.host)) " " span.dim { "(process " (daemon.pid) ")" } }
                    td data-label="Version" { (text(&daemon.version)) }
                    td data-label="Started" { (visit.clock.time(daemon.started_at, None)) }
                    td data-label="Seen" { (times::relative(daemon.seen_at.0, visit.now)) }
                    td data-label="Holds" { (shown_daemons::holds(daemon.holds.runs, daemon.holds.webhooks, daemon.holds.threads)) }
                } } }
            } }
            @if status.daemons.len() > DAEMONS { p.dim { "and " (status.daemons.len() - DAEMONS) " more: " code { "agentcron daemons" } } }
        } }
    }
}

fn agent_server(visit: &Visit, status: &StatusReport) -> Markup {
    let denied = &status.denied;
    html! {
        section {
            (head("Agent server", is_well(status, &[Concern::Backend, Concern::Unstarted, Concern::Denied])))
            dl.facts {
                dt { "Answered" } dd { @match status.backend_heard_at { Some(at) => (visit.clock.time_and_relative(at, None)), None => "never since the daemon started" } }
                dt { "Refuses" } dd {
                    @if denied.runs == 0 && denied.threads == 0 { "nothing" }
                    @else { (counted(denied.runs, "run")) " cannot be followed, " (counted(denied.threads, "thread")) " cannot be deleted" }
                }
            }
        }
    }
}

fn configuration(visit: &Visit, status: &StatusReport) -> Markup {
    let notice = status.notices.iter().find(|notice| notice.kind.0 == NoticeKind::Configuration);
    html! {
        section {
            (head("Configuration", is_well(status, &[Concern::Configuration, Concern::CronUnreadable])))
            dl.facts {
                dt { "Files" } dd {
                    @match status.configuration {
                        Configuration::Same => "in force as they are",
                        Configuration::Different { added, changed, removed } => { (added) " crons added, " (changed) " changed, " (removed) " removed: not in force yet" }
                        Configuration::Mistakes { mistakes } => { (counted(mistakes as u64, "mistake")) "; what they concern stays as it was" }
                    }
                    " · " code { "agentcron check" } " reads them anew"
                }
                @if let Some(notice) = notice { dt { "Since" } dd { (visit.clock.time_and_relative(notice.at, None)) } }
                @let read = visit.api.health.reloads.last();
                dt { "Last good reload" } dd {
                    @match read.succeeded_at { Some(at) => (visit.clock.time_and_relative(Time(at), None)), None => "not since the daemon started" }
                    @if !read.succeeded { "; the last reading had mistakes" }
                }
                @if let Some(reloaded) = last_reload(visit) { dt { "Last change" } dd { code { (text(&reloaded)) } } }
            }
            @if let Some(notice) = notice { @if visit.may_see_values() { pre.caret tabindex="0" { (on_lines(&notice.detail)) } } }
        }
    }
}

/// Returns what the log says of the last reload that changed something, to those who may see it.
fn last_reload(visit: &Visit) -> Option<String> {
    let is_of_reload = |line: &String| {
        ["configuration reloaded", "repaired and reloaded", "not reloaded"]
            .iter()
            .any(|said| line.contains(said))
    };
    crate::log_tail::lines().into_iter().rfind(|line| visit.may_see_values() && is_of_reload(line))
}

fn store(visit: &Visit, told: &StatusPage) -> Markup {
    let (status, store) = (&told.status, &told.store);
    let size = |bytes: u64| super::values::size(usize::try_from(bytes).unwrap_or(usize::MAX));
    html! {
        section {
            (head("Store", is_well(status, &[Concern::Disk, Concern::Store, Concern::DiskLow, Concern::Backup])))
            dl.facts {
                dt { "File" } dd { code { (text(&status.store.path)) } }
                dt { "Size" } dd { (size(store.database_bytes)) ", and " (size(store.wal_bytes)) " of latest changes beside it" }
                @if let Some(disk) = store.disk { dt { "Disk" } dd { (disk.described()) } }
                dt { "Oldest run" } dd { @match store.oldest_run { Some(at) => (visit.clock.time_and_relative(Time(at), None)), None => "none yet" } }
                dt { "Oldest webhook" } dd { @match store.oldest_webhook { Some(at) => (visit.clock.time_and_relative(Time(at), None)), None => "none yet" } }
                dt { "Backup" } dd { @match status.backed_up_at { Some(at) => (visit.clock.time_and_relative(at, None)), None => { "none by the daemon; " code { "agentcron backup" } " makes one" } } }
            }
        }
    }
}

fn work(visit: &Visit, status: &StatusReport) -> Markup {
    html! {
        section {
            (head("Crons and runs", is_well(status, &[Concern::CronFailing, Concern::CronPaused, Concern::AllPaused])))
            dl.facts {
                dt { "Crons" } dd { a href={ (visit.up) "crons" } { (status.crons) } @if status.crons > 0 { ": " (status.crons_by_state.to_string()) } }
                dt { "Next" } dd { @match &status.next { Some(next) => { (visit.cron_link(&next.cron_name)) ", " (visit.clock.time_and_relative(next.at, None)) } None => "nothing is scheduled" } }
                dt { "In progress" } dd { a href={ (visit.up) "runs?status=pending,sending,unconfirmed,running" } { (status.in_progress.to_string()) } }
                dt { "Ended in 24 h" } dd { a href={ (visit.up) "runs" } { (status.ended_24h.to_string()) } }
            }
        }
    }
}

fn webhooks(visit: &Visit, told: &StatusPage) -> Markup {
    let (status, queue) = (&told.status, &told.queue);
    let concerns = [
        Concern::Receiver,
        Concern::Undelivered,
        Concern::UrlSuspended,
        Concern::WebhooksLost,
        Concern::WebhooksHeld,
    ];
    html! {
        section {
            (head("Webhooks", is_well(status, &concerns)))
            dl.facts {
                dt { "Mode" } dd {
                    @match (queue.disabled_since, &queue.mode) {
                        (Some(_), _) => "disabled in the configuration",
                        (None, DeliveryMode::Free) => "sent as they fall due",
                        (None, DeliveryMode::Held(hold)) => { "held since " (visit.clock.time(Time(hold.since), None)) }
                        (None, DeliveryMode::Released(release)) => { "released at " (release.per_second) " per second" }
                    }
                }
                dt { "Waiting" } dd { a href={ (visit.up) "webhooks?status=pending,sending" } { (status.deliveries_waiting) } }
                dt { "Recorded in 24 h" } dd { a href={ (visit.up) "webhooks" } { (status.deliveries_24h.to_string()) } }
                dt { "Receivers away" } dd {
                    @if queue.receivers_away.is_empty() { "none" }
                    @for (place, outage) in queue.receivers_away.iter().take(OUTAGES).enumerate() { @if place > 0 { br; } a href={ (visit.up) "webhooks?url=" (super::shown::segment(&outage.subject)) } { (text(&outage.subject)) } " since " (visit.clock.time(Time(outage.since), None)) }
                }
                @if queue.suspended_count > 0 { dt { "Gone" } dd { a href={ (visit.up) "webhooks#receivers" } { (counted(queue.suspended_count, "URL")) } } }
                @if status.suppressed > 0 { dt { "Suppressed" } dd { a href={ (visit.up) "webhooks?status=suppressed" } { (status.suppressed) } } }
            }
        }
    }
}

fn limits() -> Markup {
    let rows = [
        ("TCP connections", HTTP_CONNECTIONS_MAX.to_string()),
        ("Request body", super::values::size(API_BODY_BYTES_MAX)),
        ("Replay at once", format!("{REPLAY_MAX} webhooks")),
        ("Release rate", format!("{RELEASE_RATE_MAX} per second")),
        ("Logged in", format!("{SESSIONS_MAX} browsers")),
    ];
    html! {
        section {
            h2 { "Limits" }
            dl.facts { @for (name, limit) in rows { dt { (name) } dd { (limit) } } }
        }
    }
}

fn away(visit: &Visit, found: &[Outage]) -> Markup {
    html! {
        section #outages {
            h2 { "Outages of the last seven days" }
            @if found.is_empty() { p.empty.good { "None." } }
            @else {
                div.wide { table.rows.snug {
                    thead { tr { th { "Since" } th.n { "Lasted" } th { "What" } } }
                    tbody { @for outage in found.iter().take(OUTAGES) { tr {
                        td data-label="Since" { (visit.clock.time(outage.since, None)) }
                        td.n data-label="Lasted" { @match outage.until { Some(until) => (times::took(until.0.duration_since(outage.since.0))), None => span.bad { "still" } } }
                        td.why data-label="What" { (prose(&outages::began(&outage.outage()))) }
                    } } }
                } }
                @if found.len() > OUTAGES { p.dim { "and " (found.len() - OUTAGES) " before: " code { "agentcron outages" } } }
            }
        }
    }
}

fn log(visit: &Visit) -> Markup {
    let lines = if visit.may_see_values() { crate::log_tail::lines() } else { Vec::new() };
    let left_out = lines.len().saturating_sub(PAGE_LOG_LINES);
    html! {
        section {
            h2 { "Log" }
            @if !visit.may_see_values() { (visit.values_hidden("It")) }
            @else {
                details {
                    summary { "The last lines since the daemon started" }
                    pre.log tabindex="0" { (on_lines(&lines.get(left_out..).unwrap_or_default().join("\n"))) }
                    p.dim { "For a bug report, " code { "agentcron support" } " writes a file without secrets." }
                }
            }
        }
    }
}
