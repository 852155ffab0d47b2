//! How every page looks, on a telephone, a tablet and a screen, in the light and in the dark: nothing shuts anybody out,
//! nothing is wider than the page, nothing is complained about.

use serde_json::Value;

use super::{log_in, root};
use crate::page::site::Site;
use crate::support::driver::Driver;
use crate::support::installed;
use crate::support::skipped::skipped;

const WIDTHS: [u32; 3] = [360, 800, 1440];
const SCHEMES: [&str; 2] = ["light", "dark"];
const RULES: &str = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }";

/// What the page measures about itself.
const MEASURE: &str = "const page = document.documentElement; return { wide: page.scrollWidth, window: innerWidth, \
    elements: document.querySelectorAll('*').length, focus: document.querySelectorAll(':focus').length }";

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn every_page_is_for_everybody_at_every_width_in_both_themes() {
    let axe = installed::axe();
    if axe.is_none() {
        skipped("axe-core, because this machine has no node with npm");
    }
    let site = Site::start("").await;
    let run = |cron: &str| format!("runs/{}", site.run_of(cron).run_id);
    let deliveries = site.daemon.json(&["webhook", "list"]);
    let webhook = format!("webhooks/{}", deliveries[0]["delivery_id"].as_str().unwrap());
    let (fails, goes, ends) = (run("fails"), run("goes"), run("ends"));
    let pages = [
        ("overview", ""),
        ("crons", "crons"),
        ("cron", "crons/steady"),
        ("cron-fails", "crons/fails"),
        ("runs", "runs"),
        ("run-failed", &fails),
        ("run-goes", &goes),
        ("run-ended", &ends),
        ("webhooks", "webhooks"),
        ("webhook", &webhook),
        ("try", "try?schedule=30+2+*+*+*&timezone=Europe/Berlin"),
        ("status", "status"),
        ("act-pause", "act?act=pause&cron=steady"),
        ("not-found", "crons/nobody"),
    ];
    let driver = Driver::start("Europe/Berlin").await;
    let mut faults = Vec::new();
    driver.open(&format!("{}login", root(&site))).await;
    look(&driver, "login", axe.as_deref(), &mut faults).await;
    driver.open(&root(&site)).await;
    look(&driver, "overview-stranger", axe.as_deref(), &mut faults).await;
    log_in(&driver, &site).await;
    for (name, path) in pages {
        driver.open(&format!("{}{path}", root(&site))).await;
        look(&driver, name, axe.as_deref(), &mut faults).await;
    }
    let empty = Empty::start().await;
    driver.open(&empty.root()).await;
    look(&driver, "overview-empty", axe.as_deref(), &mut faults).await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Looks at the page that is open.
async fn look(driver: &Driver, name: &str, axe: Option<&str>, faults: &mut Vec<String>) {
    let folder = installed::kept("screenshots");
    // The page follows what changes: it has begun to.
    driver.until("document.readyState === 'complete'").await;
    if let Some(axe) = axe {
        driver.run(axe).await;
    }
    for width in WIDTHS {
        driver.set_size(width, 900).await;
        for scheme in SCHEMES {
            driver.set_scheme(scheme).await;
            let what = format!("{name} at {width} px, {scheme}");
            driver.picture(&folder.join(format!("{name}-{width}-{scheme}.png"))).await;
            let measured = driver.run(MEASURE).await;
            if measured["wide"].as_u64() > measured["window"].as_u64() {
                faults.push(format!("{what}: {} wide", measured["wide"]));
            }
            if measured["elements"].as_u64().is_none_or(|count| count > 3_000) {
                faults.push(format!("{what}: {} elements", measured["elements"]));
            }
            if axe.is_some() {
                let found = driver
                    .run_promise(&format!("axe.run(document, {RULES}).then((found) => found.violations)"))
                    .await;
                faults.extend(violations(&found).into_iter().map(|found| format!("{what}: {found}")));
            }
        }
    }
    // What is not found is said to be so by its status, which a browser notes.
    let is_expected = |complaint: &String| name == "not-found" && complaint.contains("404");
    let complaints = driver.complaints().await.into_iter().filter(|complaint| !is_expected(complaint));
    faults.extend(complaints.map(|complaint| format!("{name}: {complaint}")));
}

fn violations(found: &Value) -> Vec<String> {
    let Some(found) = found.as_array() else { return vec![found.to_string()] };
    let one = |violation: &Value| {
        let node = &violation["nodes"][0];
        let count = violation["nodes"].as_array().map_or(0, Vec::len);
        format!("{} ({count}) {}: {}", violation["id"], node["html"], node["failureSummary"])
    };
    found.iter().map(one).collect()
}

/// A daemon with nothing to show.
struct Empty {
    _daemon: crate::support::daemon::Daemon,
    address: std::net::SocketAddr,
}

impl Empty {
    async fn start() -> Self {
        let address = crate::support::free_port::free_address();
        let nobody = crate::support::free_port::free_address();
        let configuration = crate::support::configuration::Configuration::new(&format!("http://{nobody}"));
        let daemon =
            crate::support::daemon::Daemon::start(&configuration.http(&format!("listen = \"{address}\"")));
        crate::support::client::Client::new(address).ready().await;
        Self { _daemon: daemon, address }
    }

    fn root(&self) -> String {
        format!("http://{}/agentcron/", self.address)
    }
}

/// Outcomes can be told apart without colours, and nothing moves for those who do not want it.
#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn without_colours_and_without_motion_all_is_there() {
    let site = Site::start("").await;
    let driver = Driver::start("UTC").await;
    log_in(&driver, &site).await;
    let features = serde_json::json!({ "features": [
        { "name": "forced-colors", "value": "active" },
        { "name": "prefers-reduced-motion", "value": "reduce" },
    ] });
    driver.tools("Emulation.setEmulatedMedia", features).await;
    for (path, words) in
        [("runs", &["success", "error", "running"][..]), ("webhooks", &["delivered", "gone", "pending"])]
    {
        driver.open(&format!("{}{path}", root(&site))).await;
        let shown = driver.run("return document.querySelector('main').innerText").await;
        for word in words {
            assert!(shown.as_str().unwrap().contains(word), "{path}: no {word} in {shown}");
        }
        let moving = driver.run("return document.getAnimations().length").await;
        assert_eq!(moving, 0, "{path}");
    }
}
