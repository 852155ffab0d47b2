//! Times in the reader's own zone, in UTC and in that of the cron, also where clocks change.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{log_in, root};
use crate::page::site::Site;
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

const TIMES: &str =
    "[...document.querySelectorAll('main .lines time')].map((time) => [time.dateTime, time.textContent])";

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn times_are_right_in_every_zone_over_both_changes_of_the_clock() {
    let site = Site::start("").await;
    let driver = Driver::start(READER).await;
    log_in(&driver, &site).await;
    driver.until("document.body.dataset.mine !== undefined").await;
    for day in changes() {
        // Before, in and after the hour that there is twice, or not at all.
        let schedule = format!("*/30 1-3 {} {} *", day.day(), day.month());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("schedule", &schedule)
            .append_pair("timezone", CRON)
            .finish();
        driver.open(&format!("{}try?{query}", root(&site))).await;
        for (choice, zone) in [("mine", READER), ("utc", "UTC"), ("cron", CRON)] {
            driver.click(&format!("button[name=zone][value={choice}]")).await;
            let pressed = format!(
                "document.querySelector('button[value={choice}]').getAttribute('aria-pressed') === 'true'"
            );
            driver.until(&pressed).await;
            let first = driver.until(&format!("{TIMES}[0]")).await;
            let expected = first[0].as_str().unwrap().parse::<Timestamp>().unwrap();
            let expected =
                expected.to_zoned_datetime(TimeZone::get(zone).unwrap()).strftime("%H:%M:%S").to_string();
            driver.until(&format!("{TIMES}[0][1].includes({expected:?})")).await;
            let times = driver.run(&format!("return {TIMES}")).await;
            assert_shown_in(&times, zone, &format!("{schedule} in {zone}"));
            // It stays so on the next visit, and without scripts.
            driver.reload().await;
            assert_shown_in(
                &driver.run(&format!("return {TIMES}")).await,
                zone,
                &format!("{schedule} again in {zone}"),
            );
        }
    }
    // A link with a zone shows the same to somebody else.
    let other = Driver::start("Asia/Tokyo").await;
    let link = format!("{}try?schedule=0+9+*+*+*&timezone={CRON}&zone={READER}", root(&site));
    for driver in [&driver, &other] {
        driver.open(&link).await;
        assert_shown_in(&driver.run(&format!("return {TIMES}")).await, READER, &link);
    }
    assert_eq!(driver.complaints().await, [] as [&str; 0]);
}
