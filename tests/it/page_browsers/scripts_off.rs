//! Without JavaScript.

use serde_json::json;

use super::root;
use crate::page::site::Site;
use crate::support::driver::Driver;
use crate::support::visitor::new_code;

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn without_scripts_one_logs_in_reads_and_acts() {
    let site = Site::start("").await;
    let driver = Driver::start("UTC").await;
    driver.tools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    driver.open(&format!("{}login?next=crons", root(&site))).await;
    let code = new_code(&site.daemon);
    driver.click("input[name=secret]").await;
    driver.press(&code).await;
    driver.click("#login button").await;
    driver.until("location.pathname.endsWith('/agentcron/crons')").await;
    for path in ["", "crons", "crons/steady", "runs", "webhooks", "try", "status"] {
        driver.open(&format!("{}{path}", root(&site))).await;
        let shown = driver.run("return [document.querySelector('main').innerText, document.title]").await;
        assert!(shown[0].as_str().unwrap().len() > 20, "{path}: {shown}");
        // It says as of when it is, since it does not change by itself.
        let live = driver.run("return document.getElementById('live').innerText").await;
        assert!(live.as_str().unwrap().contains("as of"), "{path}: {live}");
    }
    driver.open(&format!("{}crons/steady", root(&site))).await;
    driver.click("a[href*='act=pause']").await;
    driver.until("location.pathname.endsWith('/agentcron/act')").await;
    driver.click("form input[name=note]").await;
    driver.press("no scripts").await;
    driver.click("form:has(input[value=pause]) button").await;
    driver.until("document.querySelector('[role=status]')?.textContent.includes('steady is paused')").await;
    assert_eq!(site.daemon.json(&["acts"])[0]["note"], "no scripts");
    driver.click("button[name=theme]").await;
    driver.until("document.documentElement.dataset.theme === 'dark'").await;
    driver.click("form[action$=logout] button").await;
    driver.until("document.querySelector('form[action$=logout]') === null").await;
}
