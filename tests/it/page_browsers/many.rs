//! Ten thousand crons.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::configuration::{Configuration, Cron};
use crate::support::daemon::Daemon;
use crate::support::driver::Driver;
use crate::support::free_port::free_address;
use crate::support::growing_list::PATIENCE;
use crate::support::html::Element;
use crate::support::visitor::{Visitor, new_code};

const CRONS: usize = 10_000;
const AT_ONCE: usize = 1_000;

fn name(number: usize) -> String {
    format!("job-{number:05}")
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn ten_thousand_crons_are_listed_found_and_paused() {
    let (address, nobody) = (free_address(), free_address());
    let crons = (0..CRONS).map(|number| Cron::bare(&name(number)).with("schedule = \"0 9 29 2 *\""));
    let configuration =
        Configuration::new(&format!("http://{nobody}")).http(&format!("listen = \"{address}\""));
    let daemon = Daemon::start(&configuration.crons(crons));
    let is_ready = || daemon.stderr().contains("daemon ready").then_some(());
    daemon.wait_within(PATIENCE * 4, "the daemon with ten thousand crons", is_ready).await;
    let mut visitor = Visitor::new(address).ready().await;
    visitor.log_in(&daemon).await;
    // To the end of the list, each cron is there once.
    let (mut seen, mut next) = (BTreeSet::new(), Some(visitor.at("crons?limit=200")));
    while let Some(url) = next {
        let page = visitor.open(&url).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let html = page.html();
        let rows = html.all("a").filter_map(|link| link.attribute("href")?.strip_prefix("crons/"));
        let names: BTreeSet<_> = rows.map(str::to_owned).collect();
        assert!(!names.is_empty() && names.iter().all(|name| seen.insert(name.clone())), "{url}: {names:?}");
        let more = html
            .all("a")
            .find(|link| link.has("rel", "next"))
            .and_then(|link| Element::attribute(link, "href"));
        next = more.map(|link| url.join(link).unwrap());
    }
    assert_eq!(seen.len(), CRONS);
    let driver = Driver::start("UTC").await;
    let root = format!("http://{address}/agentcron/");
    driver.open(&format!("{root}login#{}", new_code(&daemon))).await;
    driver.until("document.querySelector('form[action$=logout]') !== null").await;
    for path in ["", "crons", "runs", "webhooks", "status", "crons/job-05000"] {
        driver.open(&format!("{root}{path}")).await;
        let size = driver
            .run("return [document.querySelectorAll('*').length, document.documentElement.outerHTML.length]")
            .await;
        assert!(
            size[0].as_u64().unwrap() <= 3_000 && size[1].as_u64().unwrap() <= 120 << 10,
            "{path}: {size}"
        );
    }
    driver.click("input[type=search]").await;
    driver.press("09999\u{e007}").await;
    driver.until("document.querySelectorAll('main a[href^=\"crons/job-\"]').length === 1").await;
    assert_eq!(driver.complaints().await, [] as [&str; 0]);
    // As many at once as may be.
    let mut fields = vec![("act", "pause".to_owned()), ("count", AT_ONCE.to_string())];
    fields.extend((0..AT_ONCE).map(|number| ("cron", name(number))));
    let question = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields[..22]).finish();
    let asked = visitor.open_path(&format!("act?{question}")).await;
    assert!(asked.status == 200 && asked.text.contains("20 crons"), "{}", asked.text);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let done = visitor.post("act", &fields).await;
    assert_eq!(done.status, 303, "{}", done.text());
    let paused =
        daemon.query("SELECT count(*) FROM crons WHERE paused_at IS NOT NULL", |row| row.get::<_, i64>(0));
    assert_eq!(json!(paused), json!([AT_ONCE]));
}
