//! With the keyboard alone.

use super::{log_in, root};
use crate::page::site::Site;
use crate::support::driver::{Driver, ENTER, TAB};

/// Tabs that lead to anything on a page with a few crons.
const TABS_MAX: usize = 120;

/// Goes on with the tab key until the element that has the focus matches, and checks that the focus can be seen on the way. In a
/// field for a time, the browser itself shows which part of it has the focus.
async fn tab_to(driver: &Driver, selector: &str) {
    let focused = format!(
        "return [document.activeElement.matches({selector:?}), document.activeElement.outerHTML.slice(0, 200), \
         (() => {{ const style = getComputedStyle(document.activeElement); \
         return document.activeElement.matches('body, input[type=datetime-local]') || style.outlineStyle !== 'none' || style.boxShadow !== 'none'; }})()]"
    );
    for _ in 0..TABS_MAX {
        driver.press(TAB).await;
        let seen = driver.run(&focused).await;
        assert_eq!(seen[2], true, "the focus is not to be seen on {}", seen[1]);
        if seen[0] == true {
            return;
        }
    }
    panic!("the tab key does not lead to {selector}: {}", driver.run("return document.body.innerText").await);
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn a_cron_is_found_opened_paused_and_resumed_with_the_keyboard_alone() {
    let site = Site::start("").await;
    let driver = Driver::start("UTC").await;
    log_in(&driver, &site).await;
    driver.open(&format!("{}crons", root(&site))).await;
    // The first tab leads past what is the same on every page.
    driver.press(TAB).await;
    let first = driver.run("return document.activeElement.getAttribute('href')").await;
    assert_eq!(first, "#main");
    tab_to(&driver, "main a[href$='crons/steady']").await;
    driver.press(ENTER).await;
    driver.until("location.pathname.endsWith('/crons/steady')").await;
    tab_to(&driver, "a[href*='act=pause']").await;
    driver.press(ENTER).await;
    driver.until("document.querySelector('form input[name=act][value=pause]') !== null").await;
    driver.until("document.activeElement.name === 'note'").await;
    driver.press("mail moves").await;
    tab_to(&driver, "form:has(input[value=pause]) button[type=submit]").await;
    driver.press(ENTER).await;
    driver.until("document.querySelector('[role=status]')?.textContent.includes('steady is paused')").await;
    assert_eq!(site.daemon.json(&["acts"])[0]["note"], "mail moves");
    tab_to(&driver, "a[href*='act=resume']").await;
    driver.press(ENTER).await;
    driver.until("document.querySelector('form input[name=act][value=resume]') !== null").await;
    driver.until("document.activeElement.matches('button')").await;
    driver.press(ENTER).await;
    driver.until("document.querySelector('[role=status]')?.textContent.includes('steady is resumed')").await;
    assert_eq!(site.daemon.json(&["acts"]).len(), 2);
    // Single keys: find, rows, another page.
    driver.press("gr").await;
    driver.until("location.pathname.endsWith('/runs')").await;
    driver.press("j").await;
    driver.until("document.activeElement.matches('main tbody a')").await;
    driver.press("/").await;
    driver.until("document.activeElement.matches('input[type=search]')").await;
    driver.press("stead").await;
    driver.press(ENTER).await;
    driver.until("location.pathname.endsWith('/crons') && document.querySelector('main').innerText.includes('steady')").await;
    assert_eq!(driver.complaints().await, [] as [&str; 0]);
}
