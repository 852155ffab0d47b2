//! Compares the calendar with croner and the bare `cron` crate: the cost of one step, and the correctness of the results.
//!
//! `cargo bench --bench calendar` prints the tables. It uses no harness, because half of it compares results.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and panics on anything unexpected"
)]

use std::hint::black_box;
use std::str::FromStr;
use std::time::Duration;

use agentcron::domain::calendar::Calendar;
use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use comfy_table::{Table, presets};
use jiff::Timestamp;

/// Returns the next instant after the given one, both in seconds since 1970.
type Step = Box<dyn Fn(i64) -> Option<i64>>;

const BATCH: u32 = 100;
const BATCHES: usize = 301;

fn main() {
    println!("{}\n", speed());
    println!("{}\n", parsing());
    println!("{}", correctness());
}

fn agentcron(expression: &str, zone: &str) -> Option<Step> {
    let calendar = Calendar::parse(expression, zone, "bench").ok()?;
    Some(Box::new(move |after| {
        let after = Timestamp::from_second(after).unwrap();
        calendar.next_after(after).map(|occasion| occasion.at.as_second())
    }))
}

fn croner(expression: &str, zone: &str) -> Option<Step> {
    let (cron, zone) = (croner::Cron::from_str(expression).ok()?, Tz::from_str(zone).ok()?);
    Some(Box::new(move |after| {
        let after = zone.timestamp_opt(after, 0).unwrap();
        cron.find_next_occurrence(&after, false).ok().map(|next: DateTime<Tz>| next.timestamp())
    }))
}

/// Puts a field for seconds in front of the expression, because this crate requires one.
fn cron(expression: &str, zone: &str) -> Option<Step> {
    let schedule = cron::Schedule::from_str(&format!("0 {expression}")).ok()?;
    let zone = Tz::from_str(zone).ok()?;
    Some(Box::new(move |after| {
        schedule.after(&zone.timestamp_opt(after, 0).unwrap()).next().map(|next| next.timestamp())
    }))
}

/// Parses an expression in a zone; `None` if the library refuses them.
type Library = fn(&str, &str) -> Option<Step>;

const LIBRARIES: [(&str, Library); 3] = [("agentcron", agentcron), ("croner 4", croner), ("cron 0.17", cron)];

fn speed() -> Table {
    let mut table = table(["median of one step", "zone", "agentcron", "croner 4", "cron 0.17"]);
    for (expression, zone) in [
        ("* * * * *", "UTC"),
        ("* * * * *", "Europe/Berlin"),
        ("*/15 * * * *", "Europe/Berlin"),
        ("0 9 * * *", "Europe/Berlin"),
        ("0 9 * * *", "Asia/Kolkata"),
        ("0 9 * * MON-FRI", "America/New_York"),
        ("30 2 1 * *", "Europe/Berlin"),
        ("0 9 13 * FRI", "Europe/Berlin"),
        ("0 9 L * *", "Europe/Berlin"),
        ("0 9 * * FRI#3", "Europe/Berlin"),
        ("0 0 29 2 *", "Europe/Berlin"),
    ] {
        let mut row = vec![expression.to_owned(), zone.to_owned()];
        row.extend(LIBRARIES.map(|(_, library)| match library(expression, zone) {
            Some(step) => format!("{:?}", median_step(&step)),
            None => "refused".to_owned(),
        }));
        table.add_row(row);
    }
    table
}

/// Returns the median over batches, because one step is shorter than reading the clock.
fn median_step(step: &Step) -> Duration {
    // Starts in 2026, and goes on through the years.
    let mut at = 1_767_225_600;
    let mut batches: Vec<Duration> = (0..BATCHES)
        .map(|_| {
            timed(|| {
                for _ in 0..BATCH {
                    at = black_box(step(black_box(at)))
                        .filter(|at| *at < 3_000_000_000)
                        .unwrap_or(1_767_225_600);
                }
            }) / BATCH
        })
        .collect();
    batches.sort();
    batches.get(BATCHES / 2).copied().unwrap_or_default()
}

fn parsing() -> Table {
    let mut table = table(["median of parsing", "agentcron", "", "", ""]);
    for expression in ["0 9 * * MON-FRI", "0 9 13 * FRI", "0 9 15W * *", "0 0 31 2 *", "*/30 2 29 3 * 0 2026"]
    {
        let mut times: Vec<Duration> = (0..101)
            .map(|_| timed(|| drop(black_box(Calendar::parse(expression, "Europe/Berlin", "")))))
            .collect();
        times.sort();
        let median = times.get(50).copied().unwrap_or_default();
        let outcome = match Calendar::parse(expression, "Europe/Berlin", "") {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        table.add_row([expression.to_owned(), format!("{median:?}"), outcome]);
    }
    table
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = std::time::Instant::now();
    work();
    start.elapsed()
}

/// A question, the expression, the zone, the window, and the correct result.
type Question = (&'static str, &'static str, &'static str, [&'static str; 2], &'static str);

const QUESTIONS: [Question; 12] = [
    ("gap: lost?", "30 2 * * *", "Europe/Berlin", ["2026-03-29", "2026-03-30"], "03-29T03:00+02"),
    ("two in a gap", "0,30 2 * * *", "Europe/Berlin", ["2026-03-29", "2026-03-30"], "03-29T03:00+02"),
    ("overlap: once?", "30 2 * * *", "Europe/Berlin", ["2026-10-25", "2026-10-26"], "10-25T02:30+02"),
    (
        "overlap: wild",
        "*/30 2 * * *",
        "Europe/Berlin",
        ["2026-10-25", "2026-10-26"],
        "10-25T02:00+02 10-25T02:30+02 10-25T02:00+01 10-25T02:30+01",
    ),
    ("half an hour", "15 2 * * *", "Australia/Lord_Howe", ["2026-10-04", "2026-10-05"], "10-04T02:30+11"),
    ("no midnight", "0 0 * * *", "Africa/Cairo", ["2026-04-24", "2026-04-25"], "04-24T01:00+03"),
    ("a lost date", "0 9 30 12 *", "Pacific/Apia", ["2011-12-29", "2012-01-02"], "12-31T00:00+14"),
    ("sunday is 0", "0 9 * * 0", "UTC", ["2026-01-01", "2026-01-10"], "01-04T09:00+00"),
    ("sunday is 7", "0 9 * * 7", "UTC", ["2026-01-01", "2026-01-10"], "01-04T09:00+00"),
    (
        "either day",
        "0 9 13 * FRI",
        "UTC",
        ["2026-01-06", "2026-01-17"],
        "01-09T09:00+00 01-13T09:00+00 01-16T09:00+00",
    ),
    (
        "wrapping",
        "0 9 * * FRI-SUN",
        "UTC",
        ["2026-01-02", "2026-01-08"],
        "01-02T09:00+00 01-03T09:00+00 01-04T09:00+00",
    ),
    ("nearest", "0 9 15W * *", "UTC", ["2026-02-01", "2026-03-01"], "02-16T09:00+00"),
];

fn correctness() -> Table {
    let mut table = table(["what is asked", "expression", "agentcron", "croner 4", "cron 0.17"]);
    for (asked, expression, zone, [start, end], right) in QUESTIONS {
        let mut row = vec![asked.to_owned(), format!("{expression}\n{zone}")];
        row.extend(LIBRARIES.map(|(name, library)| {
            let answer = answer(library(expression, zone), zone, start, end);
            assert!(name != "agentcron" || answer == right, "{expression}: {answer}");
            if answer == right { "right".to_owned() } else { answer.replace(' ', "\n") }
        }));
        table.add_row(row);
    }
    table
}

fn answer(step: Option<Step>, zone: &str, start: &str, end: &str) -> String {
    let Some(step) = step else { return "refused".to_owned() };
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let midnight = |date: &str| {
        let date: jiff::civil::Date = date.parse().unwrap();
        date.to_zoned_datetime(zone.clone()).unwrap().timestamp().as_second()
    };
    let (start, end) = (midnight(start), midnight(end));
    let sequence = std::iter::successors(step(start - 1), |at| step(*at)).take_while(|at| *at < end);
    let local = |at: i64| Timestamp::from_second(at).unwrap().to_zoned_datetime(zone.clone());
    let shown: Vec<String> =
        sequence.map(|at| local(at).strftime("%m-%dT%H:%M%:::z").to_string()).take(6).collect();
    if shown.is_empty() { "never".to_owned() } else { shown.join(" ") }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}
