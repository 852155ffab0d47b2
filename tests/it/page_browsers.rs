//! The web page in a real Chromium, as its readers have it. `tests/system/browsers` installs Chromium and runs these tests;
//! the pictures that they take are in `target/screenshots`.

mod foreign;
mod keyboard;
mod live;
mod looks;
mod many;
mod scripts_off;
mod zones;

use super::page::site::Site;
use super::support::driver::Driver;
use super::support::visitor::new_code;

/// Logs in as the operator does: with the link of `agentcron open`.
async fn log_in(driver: &Driver, site: &Site) {
    let link = format!("{}login#{}", root(site), new_code(&site.daemon));
    driver.open(&link).await;
    driver.until("document.querySelector('form[action$=logout]') !== null").await;
}

/// Returns the address of the folder of all pages.
fn root(site: &Site) -> String {
    format!("http://{}/agentcron/", site.address)
}
