//! The metrics of each cron from a file. Crons of clients have none: how many there are, and how they are called, is theirs to
//! choose.

use std::sync::Arc;

use super::exposition::Exposition;
use super::{as_float, has_run, seconds_since_1970};
use crate::domain::run::Status;
use crate::store::{CountsByCron, CronCounts, CronMeasures};

/// A status whose count is written even if it is zero, so that the first such end is an increase.
const EXPECTED: [Status; 2] = [Status::Success, Status::Error];

pub(super) fn write(text: &mut Exposition, crons: &[CronMeasures], counted: &CountsByCron) {
    gauges(text, crons);
    let counts: Vec<(&str, &Arc<CronCounts>)> =
        crons.iter().filter_map(|cron| Some((cron.name.as_str(), counted.get(&cron.cron_id)?))).collect();
    counters(text, &counts);
    let mut lateness = text.histograms(
        "agentcron_cron_start_delay_seconds",
        "Time from when a run was due until the agent server accepted it, by cron from a file.",
    );
    for (name, counts) in &counts {
        let snapshot = counts.lateness.snapshot();
        if snapshot.count > 0 {
            lateness.of(&[("cron", name)], &snapshot);
        }
    }
    let mut run_time =
        text.histograms("agentcron_cron_run_duration_seconds", "How long runs took, by cron from a file.");
    for (name, counts) in &counts {
        let snapshot = counts.run_time.snapshot();
        if snapshot.count > 0 {
            run_time.of(&[("cron", name)], &snapshot);
        }
    }
}

fn gauges(text: &mut Exposition, crons: &[CronMeasures]) {
    let mut gauge = |name: &'static str, help: &str, value: fn(&CronMeasures) -> Option<f64>| {
        let mut gauge = text.gauge_of_store(name, help);
        for cron in crons {
            if let Some(value) = value(cron) {
                gauge.with(&[("cron", &cron.name)], value);
            }
        }
    };
    gauge(
        "agentcron_cron_failures_in_a_row",
        "How many runs in a row ended as error or timeout, by cron from a file.",
        |cron| Some(as_float(cron.failures)),
    );
    gauge("agentcron_cron_paused", "1 if the cron is paused, by cron from a file.", |cron| {
        Some(f64::from(u8::from(cron.is_paused)))
    });
    gauge(
        "agentcron_cron_last_success_timestamp_seconds",
        "When the last run that succeeded ended, by cron from a file; none if none has.",
        |cron| cron.last_success_at.map(seconds_since_1970),
    );
    gauge(
        "agentcron_cron_last_run_timestamp_seconds",
        "When the last run ended that is not retried, however it ended, by cron from a file.",
        |cron| cron.last_run_at.map(seconds_since_1970),
    );
    gauge(
        "agentcron_cron_defined_timestamp_seconds",
        "When the cron was added, or its definition changed last, by cron from a file.",
        |cron| Some(seconds_since_1970(cron.updated_at)),
    );
    gauge(
        "agentcron_cron_next_timestamp_seconds",
        "When the next occurrence is due, by cron from a file; none while the cron is paused.",
        |cron| cron.next_at.filter(|_| !cron.is_paused).map(seconds_since_1970),
    );
}

fn counters(text: &mut Exposition, counts: &[(&str, &Arc<CronCounts>)]) {
    let ended: Vec<_> = counts.iter().map(|(name, counts)| (*name, counts.ended())).collect();
    let mut runs =
        text.counter("agentcron_cron_runs_total", "Runs that have ended, by status and cron from a file.");
    for (name, ended) in &ended {
        for status in Status::ALL.iter().copied().filter(|status| has_run(*status)) {
            let of_status = ended.iter().filter(|((of, _), _)| *of == status);
            let count: u64 = of_status.map(|(_, count)| count).sum();
            if count > 0 || EXPECTED.contains(&status) {
                runs.with(&[("cron", name), ("status", status.as_str())], as_float(count));
            }
        }
    }
    for (name, help, status) in [
        (
            "agentcron_cron_occurrences_skipped_total",
            "Occurrences that were deliberately not started, by reason code and cron from a file.",
            Status::Skipped,
        ),
        (
            "agentcron_cron_occurrences_missed_total",
            "Occurrences that were found too late to be started, by reason code and cron from a file.",
            Status::Missed,
        ),
    ] {
        let mut metric = text.counter(name, help);
        for (cron, ended) in &ended {
            for ((of, code), count) in ended.iter().filter(|((of, _), _)| *of == status) {
                let code = code.map_or(of.as_str(), |code| code.as_str());
                metric.with(&[("cron", cron), ("reason_code", code)], as_float(*count));
            }
        }
    }
}
