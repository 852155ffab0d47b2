//! The overview: what happened since somebody looked last, what needs somebody, what is going on, and what comes.

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::frame::{Content, Tab};
use super::kept::{Day, HOURS};
use super::shown::{act_link, prose, reason_words, segment, status, text};
use super::svg::strip::{StripHour, strip};
use super::visit::Visit;
use crate::api::error_response::ErrorResponse;
use crate::api::v1;
use crate::api::wire::{
    Attention, Counted, CronReport, Outage, ReasonCount, Report, Run, StatusReport, Time,
};
use crate::domain::reason::ReasonCode;
use crate::domain::run::Status;
use crate::domain::tally::TallyUnit;
use crate::present::{outages, times};
use crate::store::{Topic, UpcomingRow};

/// Crons, runs and occurrences that are named.
const NAMED: usize = 10;
/// Reasons that are named of one cron.
const REASONS_OF_CRON: usize = 2;
const FAILED: &[Status] = &[Status::Error, Status::Timeout];
/// What somebody may look back over, beside the time since they looked last.
const PERIODS: [(&str, &str, i64); 4] =
    [("1h", "1 h", 1), ("12h", "12 h", 12), ("24h", "24 h", 24), ("7d", "7 d", 168)];
const PERIOD: i64 = 12;

/// What the page shows.
struct Overview {
    status: std::sync::Arc<StatusReport>,
    report: std::sync::Arc<Report>,
    going: Vec<Run>,
    next: Vec<UpcomingRow>,
    day: std::sync::Arc<Day>,
    /// How the present hour has gone so far.
    this_hour: Vec<(i64, Status, u64)>,
}

pub(super) async fn overview(visit: Visit) -> Response {
    match read(&visit).await {
        Ok(overview) => {
            let main = main(&visit, &overview);
            let content = Content {
                tab: Tab::Overview,
                title: "Overview".to_owned(),
                topics: Topic::ALL,
                cron: None,
                json: Some(format!("report?since={}", overview.report.since.0)),
                command: Some("agentcron report".to_owned()),
                main,
            };
            visit.page(content).await
        }
        Err(error) => visit.failed(error),
    }
}

/// Returns when the period begins that is looked at, and whether that is when somebody looked last.
fn since(visit: &Visit) -> (Timestamp, bool) {
    let hours = |hours| visit.now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(visit.now);
    let chosen = visit.parameter("period");
    let chosen = PERIODS.iter().find(|(name, ..)| Some(*name) == chosen.as_deref());
    match (chosen, visit.seen) {
        (Some((_, _, count)), _) => (hours(*count), false),
        (None, Some(seen)) if seen <= visit.now => (seen, true),
        (None, _) => (hours(PERIOD), false),
    }
}

async fn read(visit: &Visit) -> Result<Overview, ErrorResponse> {
    let (api, now) = (&visit.api, visit.now);
    let status = api.kept.status(api, visit.viewer).await?;
    let report = api.kept.report(api, since(visit).0, now).await?;
    let hour = TallyUnit::Hour.number(now);
    let (next, this_hour) = api
        .store
        .read(move |reader| Ok((reader.next_of_all(now, NAMED as u32)?, reader.ended_by_hour(hour, hour)?)))
        .await?;
    let day = api.kept.day(api, now).await?;
    let query = crate::api::extract::StrictQuery::of("status=running,unconfirmed,sending&limit=10")?;
    let going = v1::runs::runs(visit.viewer, State(api.clone()), query).await?.0.items;
    Ok(Overview { status, report, going, next, day, this_hour })
}

fn main(visit: &Visit, overview: &Overview) -> Markup {
    let (status, report) = (&overview.status, &overview.report);
    html! {
        h1.quiet { "Overview" }
        @if status.crons == 0 { (welcome("")) }
        section #needs-you {
            h2 { "Needs you" }
            @let needs: Vec<_> = status.attention.iter().filter(|one| one.needs_person).collect();
            @if needs.is_empty() { p.empty.good { "Nothing needs you." } }
            @else { ul.needs { @for one in needs.iter().take(40) { (need(visit, one)) } } }
            @if needs.len() > 40 { p.dim { "and " (needs.len() - 40) " more" } }
            @let wanted: Vec<_> = status.attention.iter().filter(|one| !one.needs_person).collect();
            @if !wanted.is_empty() {
                details { summary { (wanted.len()) " more: set by somebody, or passing by itself" }
                    ul.needs { @for one in wanted.iter().take(40) { (need(visit, one)) } } }
            }
        }
        (happened(visit, report))
        (around(visit, overview))
        div.columns {
            section { h2 { "Going now" } (going(visit, &overview.going, status)) }
            section { h2 { "Next" } (coming(visit, &overview.next)) }
        }
        (away(visit, &report.outages))
    }
}

/// Draws the day before and the day to come.
fn around(visit: &Visit, overview: &Overview) -> Markup {
    let Overview { day, this_hour, status, .. } = overview;
    let first = day.hour - HOURS + 1;
    let hours: Vec<StripHour> = (first..day.hour + HOURS)
        .map(|hour| {
            let (begin, end) = (TallyUnit::Hour.begin(hour), TallyUnit::Hour.begin(hour + 1));
            let local = begin.to_zoned_datetime(visit.clock.zone());
            let ended = day.ended.iter().chain(this_hour).filter(|(found, ..)| *found == hour);
            StripHour {
                label: local.strftime("%H").to_string(),
                title: local.strftime("%a %H:%M").to_string(),
                ended: ended.map(|(_, status, count)| (*status, *count)).collect(),
                coming: day.coming.as_ref().and_then(|coming| coming.get(&hour)).copied().unwrap_or(0),
                is_away: status.outages.iter().any(|outage| {
                    outage.receiver.is_none()
                        && outage.since.0 < end
                        && outage.until.is_none_or(|until| until.0 > begin)
                        && begin <= visit.now
                }),
                link: (hour <= day.hour).then(|| format!("runs?since={begin}&until={end}")),
            }
        })
        .collect();
    html! {
        section {
            h2 { "A day back, a day ahead" }
            div.wide { (strip(&hours, usize::try_from(HOURS - 1).unwrap_or(0))) }
            @if day.coming.is_none() { p.dim { "With so many crons, what is scheduled is not counted." } }
        }
    }
}

/// Says how the first cron is made. `up` leads to the folder of all pages.
pub(super) fn welcome(up: &str) -> Markup {
    html! {
        section.welcome {
            h2 { "No crons yet" }
            p { "Write one into a file that the configuration includes, and save it; it is read within seconds:" }
            pre { "[cron.daily-digest]\nassistant_id = \"agent\"\nschedule = \"0 9 * * mon-fri\"\ntimezone = \"Europe/Berlin\"\ninput = { messages = [{ role = \"user\", content = \"Summarize what is new.\" }] }" }
            p { code { "agentcron check" } " says whether it is right, and " a href={ (up) "try" } { "Try" } " what a schedule means." }
        }
    }
}

fn happened(visit: &Visit, report: &Report) -> Markup {
    let (begin, is_since_seen) = since(visit);
    let total = &report.total;
    let chosen = visit.parameter("period");
    html! {
        section.happened {
            h2 {
                @if is_since_seen { "Since you last looked, " (visit.clock.time_and_relative(Time(begin), None)) }
                @else { "Since " (visit.clock.time_and_relative(report.since, None)) }
            }
            @if is_since_seen { p.dim { "Counted by the hour, or by the day if it is long ago: from " (visit.clock.time(report.since, None)) " on." } }
            nav.saved aria-label="Period" {
                @for (name, label, _) in PERIODS {
                    a href={ "?period=" (name) } aria-current=[(chosen.as_deref() == Some(name)).then_some("true")] { (label) }
                }
                form method="post" action="view" { input type="hidden" name="seen" value="now"; button type="submit" { "Mark as seen" } }
            }
            ul.totals {
                @for one in Status::ALL {
                    @let count = total.ended(*one);
                    @if count > 0 || *one == Status::Success {
                        li { a href={ "runs?status=" (one) "&since=" (report.since.0) } { b { (count) } " " (status(one.as_str())) } }
                    }
                }
                @if let (Some(p50), Some(p95)) = (total.p50_ms, total.p95_ms) {
                    li.dim { "half took up to " (ms(p50)) ", 95 % up to " (ms(p95)) }
                }
                @if total.late > 0 { li { b { (total.late) } " over a minute late" } }
            }
            (because(report, None, total, NAMED))
            @if !report.receivers.is_empty() {
                span.because { "Webhooks: "
                    @for (place, one) in report.receivers.iter().take(NAMED).enumerate() {
                        @if place > 0 { "; " }
                        a href={ "webhooks?url=" (segment(&one.receiver)) "&since=" (report.since.0) } { (text(&one.receiver)) } " " (one.webhooks.to_string())
                    }
                }
            }
            @if !report.crons.is_empty() { (crons(visit, report)) }
        }
    }
}

/// Returns how many occurrences of a cron ended with one of these statuses, as a link to their runs; nothing if none did.
fn ended_as(report: &Report, cron: &CronReport, statuses: &[Status]) -> Markup {
    let count: u64 = statuses.iter().map(|status| cron.counted.ended(*status)).sum();
    let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    let link =
        format!("runs?cron={}&status={}&since={}", segment(&cron.cron_name), words.join(","), report.since.0);
    html! { @if count > 0 { a href=(link) { (count) } } }
}

/// Returns why occurrences did not go well, the most frequent reasons first, each as a link to their runs.
fn because(report: &Report, cron: Option<&str>, counted: &Counted, most: usize) -> Markup {
    let is_told = |reason: &&ReasonCount| {
        reason.status.0 != Status::Success
            && reason.reason_code.is_some_and(|code| code.0 != ReasonCode::GraphError)
    };
    let of_cron = cron.map(|name| format!("&cron={}", segment(name))).unwrap_or_default();
    let told: Vec<_> = counted.reasons.iter().filter(is_told).take(most).collect();
    html! {
        @if !told.is_empty() {
            span.because {
                @if cron.is_none() { "Because of: " }
                @for (place, reason) in told.iter().enumerate() {
                    @if let Some(code) = &reason.reason_code {
                        @if place > 0 { ", " }
                        a href={ "runs?reason=" (code.0) "&status=" (reason.status.0) "&since=" (report.since.0) (of_cron) } {
                            (reason.occurrences) " " (reason.status.0) " (" (reason_words(code.0)) ")"
                        }
                    }
                }
            }
        }
    }
}

fn ms(milliseconds: u64) -> String {
    super::shown::took(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

fn crons(visit: &Visit, report: &Report) -> Markup {
    let bad: Vec<_> = report
        .crons
        .iter()
        .filter(|cron| {
            cron.failures_in_a_row > 0
                || cron.recovered_at.is_some()
                || [FAILED, &[Status::Missed], &[Status::Skipped], &[Status::Interrupted]]
                    .concat()
                    .iter()
                    .any(|status| cron.counted.ended(*status) > 0)
        })
        .collect();
    html! {
        @if !bad.is_empty() {
            div.wide { table.rows {
                thead { tr { th { "Cron" } th.n { "OK" } th.n { "Failed" } th.n { "Missed" } th.n { "Skipped" } th.n { "p50" } th.n { "p95" } th { "State" } } }
                tbody { @for cron in bad.iter().take(NAMED) { tr {
                    td data-label="Cron" { (visit.cron_link(&cron.cron_name)) }
                    td.n data-label="OK" { (cron.counted.ended(Status::Success)) }
                    td.n data-label="Failed" { (ended_as(report, cron, FAILED)) }
                    td.n data-label="Missed" { (ended_as(report, cron, &[Status::Missed])) }
                    td.n data-label="Skipped" { (ended_as(report, cron, &[Status::Skipped])) }
                    td.n data-label="p50" { (cron.counted.p50_ms.map(ms).unwrap_or_default()) }
                    td.n data-label="p95" { (cron.counted.p95_ms.map(ms).unwrap_or_default()) }
                    td data-label="State" { div {
                        @if let Some(since) = cron.failing_since { span.bad { "failing since " (visit.clock.time(since, None)) } }
                        @else if let Some(at) = cron.recovered_at { span.good { "well again since " (visit.clock.time(at, None)) } }
                        @else if cron.paused { span.attention { "paused" } }
                        (because(report, Some(&cron.cron_name), &cron.counted, REASONS_OF_CRON)) }
                    }
                } } }
            } }
            @if bad.len() > NAMED { p.dim { "and " (bad.len() - NAMED) " more" } }
        }
    }
}

pub(super) fn need(visit: &Visit, one: &Attention) -> Markup {
    html! {
        li.(if one.needs_person { "bad" } else { "attention" }) {
            (visit.attention(one))
            @if let Some(todo) = &one.todo { br; span.dim { (prose(todo)) } }
            @if visit.may_act { (acts(one)) }
        }
    }
}

/// Returns what somebody may do about it.
fn acts(one: &Attention) -> Markup {
    use crate::present::attention::Concern;
    let subject = one.subject.as_deref().unwrap_or_default();
    html! {
        @match one.what.0 {
            Concern::CronFailing => { " " (act_link("", "trigger", &[("cron", subject)], "Run now")) " " (act_link("", "pause", &[("cron", subject)], "Pause")) }
            Concern::CronPaused => { " " (act_link("", "resume", &[("cron", subject)], "Resume")) }
            Concern::AllPaused => { " " (act_link("", "resume-all", &[], "Resume all")) }
            Concern::WebhooksHeld => { " " (act_link("", "release", &[], "Release")) }
            Concern::UrlSuspended => { " " (act_link("", "resume-url", &[("url", subject)], "Resume")) }
            _ => {}
        }
    }
}

fn going(visit: &Visit, runs: &[Run], status_report: &StatusReport) -> Markup {
    let all: u64 =
        ["running", "unconfirmed", "sending"].iter().map(|phase| status_report.in_progress.get(phase)).sum();
    html! {
        @if runs.is_empty() { p.empty { "Nothing is going on." } }
        @else {
            ul.lines data-list="going" { @for run in runs { li id={ "going-" (run.run_id) } {
                a href={ "runs/" (run.run_id) } { (status(&run.status)) } " "
                @match &run.cron_name { Some(name) => (visit.cron_link(name)), None => span.dim { "client" } }
                @if let Some(started) = run.started_at { " " span.dim { "began " (visit.clock.relative(started)) } }
            } } }
            @if all > runs.len() as u64 { p { a href="runs?status=running,unconfirmed,sending" { "all " (all) } } }
        }
    }
}

fn coming(visit: &Visit, next: &[UpcomingRow]) -> Markup {
    html! {
        @if next.is_empty() { p.empty { "Nothing is scheduled." } }
        @else { ul.lines data-list="next" { @for row in next { li id={ "next-" (row.cron_id) } { (visit.clock.time_and_relative(Time(row.at), None)) " " (visit.cron_link(&row.cron_name)) @if row.is_paused { " " span.attention { "paused: will be skipped" } } } } } }
    }
}

fn away(visit: &Visit, found: &[Outage]) -> Markup {
    html! {
        @if !found.is_empty() {
            section { h2 { "Outages" }
                ul.lines { @for outage in found.iter().take(NAMED) {
                    li { (visit.clock.time(outage.since, None))
                        @match outage.until { Some(until) => { "–" (visit.clock.time(until, None)) " (" (times::took(until.0.duration_since(outage.since.0))) ")" }, None => { " until now" } }
                        ": " (text(&outages::began(&outage.outage()))) " "
                        @if outage.receiver.is_none() {
                            a href={ "runs?since=" (outage.since.0) @if let Some(until) = outage.until { "&until=" (until.0) } } { "what was scheduled then" }
                        } @else {
                            a href={ "webhooks?since=" (outage.since.0) @if let Some(until) = outage.until { "&until=" (until.0) } } { "webhooks recorded then" }
                        }
                    }
                } }
                @if found.len() > NAMED { p.dim { "and " (found.len() - NAMED) " before: " a href="status#outages" { "outages of the last seven days" } } }
            }
        }
    }
}
