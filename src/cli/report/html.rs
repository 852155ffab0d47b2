//! The report as one HTML page that needs nothing else: it can be mailed, and opened years later.

use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};

use super::{number, percent, reasons, took, trend};
use crate::api::wire::{Attention, CronReport, Report, Time};
use crate::domain::printable::on_one_line as shown;
use crate::domain::run::Status;
use crate::present::{outages, times};

/// How many reasons are named.
const REASONS_NAMED: usize = 12;

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8884; --bad: #c0352b; --good: #217a3c; --note: #8a6100 }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7bd88f; --note: #f0c264 } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } .wide { overflow-x: auto }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.bad { color: var(--bad) } .good { color: var(--good) } .note { color: var(--note) } .dim { opacity: .75 }
li { margin: .35rem 0 } td, li { overflow-wrap: anywhere }";

pub(super) fn page(report: &Report, zone: &TimeZone) -> String {
    let (Time(since), Time(until)) = (report.since, report.until);
    let local = |at| times::local_with_day(at, zone);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "agentcron, " (local(until)) }
                style { (STYLE) }
            }
            body {
                h1 { "What happened since " (local(since)) }
                p.dim {
                    "Until " (local(until)) ". "
                    @if report.is_by_day() { "Counted by day in UTC." } @else { "Counted by hour." }
                }
                h2 { "What needs you" }
                @if report.attention.is_empty() { p.good { "All is well." } }
                ul { @for one in &report.attention { (attention(one, zone)) } }
                h2 { "Occurrences" }
                p { (report.total.ended.to_string()) "." }
                @if let Some(text) = reasons(&report.total, REASONS_NAMED) { p { (text) "." } }
                @if !report.outages.is_empty() {
                    h2 { "Outages" }
                    ul {
                        @for outage in report.outages.iter().map(|outage| outage.outage()) {
                            li { (shown(&outages::began(&outage))) ", " span.dim { (outages::lasted(&outage, zone)) } }
                        }
                    }
                }
                @if !report.crons.is_empty() { h2 { "Crons" } (crons(report, zone)) }
                @if report.crons_left_out > 0 { p.dim { "And " (report.crons_left_out) " more." } }
                @if !report.receivers.is_empty() {
                    h2 { "Webhooks" }
                    ul { @for one in &report.receivers { li { (shown(&one.receiver)) ": " (one.webhooks.to_string()) } } }
                }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn attention(one: &Attention, zone: &TimeZone) -> Markup {
    let tone = if one.needs_person { "bad" } else { "note" };
    html! {
        li {
            strong class=(tone) {
                (one.what.0.called())
                @if let Some(subject) = &one.subject { " " (shown(subject)) }
            }
            ": " (shown(&one.text))
            @if let Some(Time(since)) = one.since { span.dim { " (since " (times::local_with_day(since, zone)) ")" } }
            @if let Some(todo) = &one.todo { br; (shown(todo)) }
        }
    }
}

fn crons(report: &Report, zone: &TimeZone) -> Markup {
    let counts = ["ok", "runs", "p50", "p95", "trend", "late", "missed", "skipped"];
    html! {
        div.wide {
            table {
                thead { tr { th { "cron" } @for column in counts { th.n { (column) } } th { "state" } } }
                tbody { @for cron in &report.crons { (row(cron, zone)) } }
            }
        }
    }
}

fn row(cron: &CronReport, zone: &TimeZone) -> Markup {
    let counted = &cron.counted;
    let tone = match counted.ok_percent {
        Some(percent) if percent < 100.0 => "n bad",
        Some(_) => "n good",
        None => "n",
    };
    let local = |Time(at): Time| times::local_with_day(at, zone);
    html! {
        tr {
            td { (shown(&cron.cron_name)) }
            td class=(tone) { (percent(counted)) }
            td.n { (counted.runs) }
            td.n { (took(counted.p50_ms)) }
            td.n { (took(counted.p95_ms)) }
            td.n { (trend(cron)) }
            td.n { (number(counted.late)) }
            td.n { (number(counted.ended(Status::Missed))) }
            td.n { (number(counted.ended(Status::Skipped))) }
            td {
                @if cron.removed { "removed. " }
                @if let (Some(since), false) = (cron.failing_since, cron.removed) {
                    span.bad { "failing since " (local(since)) " (" (cron.failures_in_a_row) " in a row). " }
                }
                @if let Some(at) = cron.recovered_at { span.good { "well again since " (local(at)) ". " } }
                @if cron.paused && !cron.removed { span.note { "paused. " } }
                (reasons(counted, REASONS_NAMED).unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::{Counted, Word};
    use crate::present::attention::Concern;

    #[test]
    fn nothing_from_outside_is_markup() {
        let hostile = "<script>alert(1)</script>\u{202e}";
        let attention = Attention {
            what: Word(Concern::CronFailing),
            subject: Some(hostile.to_owned()),
            since: None,
            text: hostile.to_owned(),
            todo: None,
            needs_person: true,
        };
        let report = Report {
            since: Time(jiff::Timestamp::UNIX_EPOCH),
            until: Time(jiff::Timestamp::UNIX_EPOCH),
            attention: vec![attention],
            total: Counted::default(),
            crons: Vec::new(),
            crons_left_out: 0,
            outages: Vec::new(),
            receivers: Vec::new(),
            oldest_record_at: None,
        };
        let page = page(&report, &TimeZone::UTC);
        assert_eq!(page.matches("<script").count(), 0);
        assert_eq!(page.matches("&lt;script&gt;").count(), 2);
        assert!(!page.contains('\u{202e}') && !page.contains("http"));
    }
}
