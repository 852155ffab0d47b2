//! Pages follow what happens, take no more connections than they show, and say so when the daemon does not answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{log_in, root};
use crate::page::site::Site;
use crate::support::driver::Driver;
use crate::support::loopback_server::LoopbackServer;
use crate::support::span::now;
use crate::support::visitor::new_code;

const TABS: usize = 10;
/// Within this, a page shows what was committed.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);
/// Within this, a page says that the daemon does not answer.
const LOST_WITHIN: Duration = Duration::from_secs(5);
/// A busy machine delays what is measured, and never the other way round.
const MEASURED: usize = 5;

/// A line to the daemon that counts the feeds on it.
struct Line {
    serving: LoopbackServer,
    feeds: Arc<AtomicUsize>,
}

impl Line {
    fn to(daemon: SocketAddr) -> Self {
        let feeds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&feeds);
        let serving = LoopbackServer::start(0, async move |listener: TcpListener| {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(connect(stream, daemon, Arc::clone(&counted)));
            }
        });
        Self { serving, feeds }
    }

    fn feeds(&self) -> usize {
        self.feeds.load(Ordering::SeqCst)
    }
}

async fn connect(mut browser: TcpStream, daemon: SocketAddr, feeds: Arc<AtomicUsize>) {
    let Ok(mut daemon) = TcpStream::connect(daemon).await else { return };
    let (mut from_browser, mut to_browser) = browser.split();
    let (mut from_daemon, mut to_daemon) = daemon.split();
    let mut is_feed = false;
    let up = async {
        let mut bytes = [0; 16 << 10];
        while let Ok(count @ 1..) = from_browser.read(&mut bytes).await {
            let line = bytes[..count].split(|byte| *byte == b'\r').next().unwrap_or_default();
            if !is_feed && line.starts_with(b"GET ") && line.windows(8).any(|part| part == b"/events ") {
                is_feed = true;
                feeds.fetch_add(1, Ordering::SeqCst);
            }
            if to_daemon.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = copy(&mut from_daemon, &mut to_browser) => {}
    }
    if is_feed {
        feeds.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Notes in the page when it has a row more than now.
async fn watch_rows(driver: &Driver) {
    let script = "const rows = () => document.querySelectorAll('main [data-list] tbody tr').length, before = rows(); \
        window.grown = null; new MutationObserver((_, observer) => { if (rows() > before) { window.grown = Date.now(); \
        observer.disconnect(); } }).observe(document.querySelector('main'), { childList: true, subtree: true })";
    driver.run(script).await;
}

/// Starts a run, and returns how long it took from the command until a row of it was shown.
async fn time_until_shown(driver: &Driver, site: &Site) -> Duration {
    watch_rows(driver).await;
    let begun = now();
    site.daemon.json(&["trigger", "steady"]);
    let grown = driver.until("window.grown").await.as_i64().unwrap();
    let waited = Timestamp::from_millisecond(grown).unwrap().duration_since(begun);
    waited.unsigned_abs()
}

async fn is_live(driver: &Driver) -> Value {
    driver.until("document.getElementById('live').textContent.includes('live')").await
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn ten_tabs_are_live_and_only_the_one_in_front_holds_a_connection() {
    let site = Site::start("").await;
    let line = Line::to(site.address);
    let root = format!("http://{}/agentcron/", line.serving.address());
    let driver = Driver::start("UTC").await;
    driver.open(&format!("{root}login#{}", new_code(&site.daemon))).await;
    driver.until("document.querySelector('form[action$=logout]') !== null").await;
    let mut tabs = vec![driver.tab().await];
    while tabs.len() < TABS {
        tabs.push(driver.open_tab().await);
    }
    for (number, tab) in tabs.iter().enumerate() {
        driver.show_tab(tab).await;
        driver.open(&format!("{root}{}", ["runs", "crons/steady"][number % 2])).await;
        driver.until("document.querySelector('main h1') !== null").await;
        is_live(&driver).await;
        site.daemon.wait_until("one feed of the tab in front", || line.feeds() == 1).await;
    }
    let mut times = Vec::new();
    for tab in &tabs {
        driver.show_tab(tab).await;
        is_live(&driver).await;
        site.daemon.wait_until("one feed of the tab in front", || line.feeds() == 1).await;
        times.push(time_until_shown(&driver, &site).await);
        if times.len() >= MEASURED && times.iter().any(|time| *time < SHOWN_WITHIN) {
            break;
        }
    }
    assert!(times.iter().any(|time| *time < SHOWN_WITHIN), "{times:?}");
    // What the others missed they show as soon as they are seen.
    let runs = site.daemon.history().into_iter().filter(|run| run.cron_name == "steady").count();
    for tab in [&tabs[1], &tabs[0]] {
        driver.show_tab(tab).await;
        let rows = "[...document.querySelectorAll('main [data-list] tbody tr')]";
        driver.until(&format!("{rows}.length >= {runs}")).await;
    }
    assert_eq!(driver.complaints().await, [] as [&str; 0]);
}

#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn the_loss_of_the_daemon_shows_and_mends_itself() {
    let mut site = Site::start("").await;
    let driver = Driver::start("UTC").await;
    log_in(&driver, &site).await;
    driver.open(&format!("{}runs", root(&site))).await;
    is_live(&driver).await;
    driver.run("window.stays = true").await;
    for _ in 0..2 {
        site.daemon.kill9();
        let is_lost = "!document.getElementById('live').textContent.includes('live')";
        driver.within(LOST_WITHIN, is_lost).await;
        site.daemon.start_again();
        is_live(&driver).await;
        time_until_shown(&driver, &site).await;
        assert_eq!(driver.run("return window.stays").await, true, "the page was not loaded anew");
    }
}

/// Under the hand of the reader nothing moves: what is new is announced.
#[tokio::test]
#[ignore = "needs Chromium; tests/system/browsers installs it and runs this"]
async fn rows_do_not_move_while_the_reader_has_marked_something() {
    let site = Site::start("").await;
    let driver = Driver::start("UTC").await;
    log_in(&driver, &site).await;
    driver.open(&format!("{}runs", root(&site))).await;
    is_live(&driver).await;
    let rows = "[...document.querySelectorAll('main [data-list] tbody tr')].map((row) => row.id).join()";
    let before = driver.run(&format!("return {rows}")).await;
    driver.run("getSelection().selectAllChildren(document.querySelector('main tbody tr'))").await;
    site.daemon.json(&["trigger", "steady"]);
    driver.until("[...document.querySelectorAll('main button')].some((button) => /new|changed/.test(button.textContent))").await;
    assert_eq!(driver.run(&format!("return {rows}")).await, before);
    driver.click("main button.news").await;
    driver.until(&format!("{rows} !== {before}")).await;
}
