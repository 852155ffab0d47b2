//! Pages of others in the browser of somebody who is logged in: they read nothing and change nothing.

use super::{log_in, root};
use crate::browsers::page;
use crate::page::site::{KEYS, Site};
use crate::support::browser::Pages;
use crate::support::driver::Driver;
use crate::support::visitor::new_code;

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn a_page_of_somebody_else_does_nothing_in_the_name_of_who_is_logged_in() {
    let script = std::fs::read_to_string(page("attack.js")).unwrap();
    let pages = Pages::start(&[("attack", script)]);
    for http in [KEYS, ""] {
        let site = Site::start(http).await;
        let driver = Driver::start("UTC").await;
        let apis = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{}", site.address.port()));
        for api in &apis {
            driver.open(&format!("{api}/agentcron/login#{}", new_code(&site.daemon))).await;
            driver.until("document.querySelector('form[action$=logout]') !== null").await;
        }
        let before = site.daemon.history().len();
        for (from, api) in [("evil.test", &apis[0]), ("127.0.0.1", &apis[0]), ("localhost", &apis[1])] {
            let what = format!("a page on {from} at {api} with {http:?}");
            driver.open(&pages.url(&pages.origin(from), "attack", &format!("api={api}"))).await;
            let seen = pages.report(&what).await;
            assert!(seen["tried"].as_u64().is_some_and(|tried| tried > 100), "{what}: {seen}");
            let read: Vec<_> =
                seen["read"].as_array().unwrap().iter().map(|read| read.as_str().unwrap()).collect();
            match http.is_empty() && from != "evil.test" {
                // Without keys a page on this machine reads what any program there may: states, and no values.
                true => {
                    let secret =
                        |read: &&&str| read.contains("a word of the reader") || read.contains("Log out");
                    assert_eq!(read.iter().find(secret), None, "{what}");
                }
                false => assert!(read.is_empty(), "{what}: {read:#?}"),
            }
            assert_eq!(site.daemon.json(&["acts"]), [] as [serde_json::Value; 0], "{what}");
            assert_eq!(site.daemon.history().len(), before, "{what}");
        }
        for api in &apis {
            driver.open(&format!("{api}/agentcron/")).await;
            driver.until("document.querySelector('form[action$=logout]') !== null").await;
            assert_eq!(
                driver.run("return document.documentElement.dataset.theme ?? null").await,
                serde_json::Value::Null
            );
        }
    }
}

/// A page that shows ours in a frame, to lead somebody's clicks, shows nothing.
#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn a_frame_of_our_page_stays_empty() {
    let site = Site::start("").await;
    let pages = Pages::start(&[("frames", "document.body.append('a page')".to_owned())]);
    let driver = Driver::start("UTC").await;
    log_in(&driver, &site).await;
    for from in ["evil.test", "127.0.0.1", "localhost"] {
        driver.open(&pages.url(&pages.origin(from), "frames", "")).await;
        drop(driver.complaints().await);
        for path in ["", "crons/steady", "act?act=pause&cron=steady", "login"] {
            let url = format!("{}{path}", root(&site));
            let script = format!(
                "new Promise((loaded) => {{ const frame = document.createElement('iframe'); frame.onload = loaded; \
                 frame.src = {url:?}; document.body.append(frame); }}).then(() => true)"
            );
            assert_eq!(driver.run_promise(&script).await, true);
        }
        let refused = driver.complaints().await;
        let refused = refused.iter().filter(|complaint| complaint.contains("frame-ancestors")).count();
        assert_eq!(refused, 4, "{from}");
    }
}
