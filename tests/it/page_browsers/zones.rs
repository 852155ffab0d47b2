//! Times in the reader's own zone, in UTC and in that of the cron, also where clocks change.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{log_in, root};
use crate::page::site::Site;
use crate::support::configuration::Cron;
use crate::support::driver::Driver;
use crate::support::span::now;

const READER: &str = "America/New_York";
const CRON: &str = "Europe/Berlin";

/// Returns the days of the next two changes of the clock of the cron.
fn changes() -> Vec<jiff::civil::Date> {
    let zone = TimeZone::get(CRON).unwrap();
    let next: Vec<_> = zone.following(now()).take(2).map(|change| change.timestamp()).collect();
    next.into_iter().map(|at| at.to_zoned_datetime(zone.clone()).date()).collect()
}

/// Checks all times in a list of instants and of what is shown of them.
fn assert_shown_in(times: &Value, zone: &str, what: &str) {
    let zone = TimeZone::get(zone).unwrap();
    let times = times.as_array().unwrap();
    assert!(times.len() >= 2, "{what}: {times:?}");
    for time in times {
        let (at, shown) = (time[0].as_str().unwrap(), time[1].as_str().unwrap());
        let at: Timestamp = at.parse().unwrap();
        let expected = at.to_zoned_datetime(zone.clone()).strftime("%H:%M").to_string();
        assert!(shown.contains(&expected), "{what}: {at} is shown as {shown}, not as {expected}");
    }
}

/// The occurrences to come on the page, each with what is shown of it. What is not of the cron is in the reader's zone.
const TIMES: &str = "[...document.querySelectorAll('main time')].filter((time) => Date.parse(time.dateTime) > Date.now() \
    + 3600e3).map((time) => [time.dateTime, time.textContent])";

/// Waits until the page shows its times in this zone, and checks all of them.
async fn check_times(driver: &Driver, zone: &str, what: &str) {
    let first = driver.until(&format!("{TIMES}[0]")).await;
    let expected = first[0].as_str().unwrap().parse::<Timestamp>().unwrap();
    let expected = expected.to_zoned_datetime(TimeZone::get(zone).unwrap()).strftime("%H:%M").to_string();
    driver.until(&format!("{TIMES}[0][1].includes({expected:?})")).await;
    assert_shown_in(&driver.run(&format!("return {TIMES}")).await, zone, what);
}

/// Adds crons that fire before, in and after the hour that there is twice, or not at all.
async fn add_crons(site: &Site) {
    let mut text = std::fs::read_to_string(site.daemon.config_path()).unwrap();
    for (number, day) in changes().into_iter().enumerate() {
        let schedule = format!("*/30 1-3 {} {} *", day.day(), day.month());
        let cron = Cron::bare(&format!("change-{number}")).with(&format!("schedule = \"{schedule}\""));
        text.push_str(&cron.with(&format!("timezone = \"{CRON}\"")).to_string());
    }
    site.daemon.write_config(&text);
    site.daemon.wait_for_stderr("configuration reloaded").await;
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn times_are_right_in_every_zone_over_both_changes_of_the_clock() {
    let site = Site::start("").await;
    add_crons(&site).await;
    let driver = Driver::start(READER).await;
    log_in(&driver, &site).await;
    for path in ["crons/change-0", "crons/change-1"] {
        driver.open(&format!("{}{path}", root(&site))).await;
        for (choice, zone) in [("mine", READER), ("utc", "UTC"), ("cron", CRON)] {
            driver.click(&format!("button[name=zone][value={choice}]")).await;
            let button = format!("document.querySelector('button[value={choice}]')");
            driver.until(&format!("{button}.getAttribute('aria-pressed') === 'true'")).await;
            check_times(&driver, zone, &format!("{path} in {zone}")).await;
            // It stays so on the next visit.
            driver.reload().await;
            check_times(&driver, zone, &format!("{path} again in {zone}")).await;
        }
    }
    // A link with a zone shows the same to somebody else.
    let other = Driver::start("Asia/Tokyo").await;
    let link = format!("{}crons/change-0?zone={READER}", root(&site));
    for driver in [&driver, &other] {
        driver.open(&link).await;
        check_times(driver, READER, &link).await;
    }
    assert_eq!(driver.complaints().await, [] as [&str; 0]);
}
