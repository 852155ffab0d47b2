//! What no page shows: secrets of the configuration to nobody, and values of runs to nobody who may not see them.

use serde_json::json;

use super::crawl;
use super::site::{ACT, KEYS, READ, Site};
use crate::planted::{Planted, assert_clean};
use crate::support::client::Client;
use crate::support::free_port::free_address;
use crate::support::visitor::Visitor;

#[tokio::test]
async fn no_planted_secret_is_on_any_page() {
    let address = free_address();
    let mut planted = Planted::prepare(&format!("listen = \"{address}\""));
    planted.start(&["run"], &[]);
    planted.wait().await;
    planted.daemon.json(&["webhook", "hold"]);
    let mut operator = Visitor::new(address).ready().await;
    let mut stranger = operator.clone();
    operator.log_in(&planted.daemon).await;
    for (who, visitor) in [("the operator", &mut operator), ("a stranger", &mut stranger)] {
        let pages = crawl(visitor).await;
        assert!(pages.len() > 15, "{who}: {}", pages.len());
        for page in pages {
            assert_clean(&format!("{} for {who}", page.url), &page.text);
            let is_value =
                who == "a stranger" && (page.text.contains("I know") || page.text.contains("stage-"));
            assert!(!is_value, "{}: {}", page.url, page.text);
        }
    }
    // A file with a mistake beside a secret is shown with its place and without its text.
    let text = std::fs::read_to_string(planted.daemon.config_path()).unwrap();
    planted.daemon.write_config(
        &text.replace("api_key = \"$", "api_kee = \"$").replace("x-literal = \"", "x-literal = 1 \""),
    );
    planted.daemon.wait_for_stderr("configuration has mistakes").await;
    for path in ["", "status", "crons"] {
        let page = operator.open_path(path).await;
        assert_eq!(page.status, 200);
        assert_clean(path, &page.text);
    }
}

#[tokio::test]
async fn values_are_for_those_who_may_see_them() {
    const VALUE: &str = "a word of the reader";
    let site = Site::start("").await;
    let paused = site.daemon.json(&["pause", "steady", "--note", "a word of the operator"]);
    assert_eq!(paused.len(), 1);
    let run = site.run_of("ends").run_id;
    // There is something to be hidden.
    assert!(site.daemon.json(&["show", &run])[0].to_string().contains(VALUE));
    let mut stranger = site.stranger().await;
    let api = Client::new(site.address).get(&format!("/v1/runs/{run}")).await;
    assert!(api.status == 200 && !api.text().contains(VALUE), "{}", api.text());
    for page in crawl(&mut stranger).await {
        assert!(!page.text.contains(VALUE), "{}: {}", page.url, page.text);
    }
    // The changing part alone, and the feed, show no more than the page.
    let mut part = stranger.clone().with("x-agentcron-part", "main");
    for path in [format!("runs/{run}"), "crons/ends".to_owned(), String::new()] {
        let page = part.open_path(&path).await;
        assert!(page.status == 200 && !page.text.contains(VALUE), "{path}: {}", page.text);
    }
    let mut operator = site.operator().await;
    for (act, expected) in [("retry", 200), ("cancel", 200)] {
        let asked = format!("act?act={act}&run={run}");
        assert_eq!(operator.open_path(&asked).await.status, expected, "{act}");
        assert_eq!(stranger.open_path(&asked).await.status, 403, "{act}");
    }
}

/// What one viewer was shown is not kept for another who may see less.
#[tokio::test]
async fn what_is_kept_for_one_is_not_shown_to_another() {
    const NOTE: &str = "a note of the operator";
    let site = Site::start(KEYS).await;
    site.daemon.json(&["pause", "steady", "--note", NOTE]);
    let client = Client::new(site.address);
    let held =
        client.clone().with("x-api-key", ACT).post("/v1/webhooks/hold", &json!({ "note": NOTE })).await;
    assert_eq!(held.status, 200, "{}", held.text());
    let mut operator = site.operator().await;
    for path in ["", "status", "crons", "webhooks"] {
        assert_eq!(operator.open_path(path).await.status, 200);
        let url = operator.at(path);
        for mut other in
            [site.stranger().await, site.stranger().await.with("x-api-key", "a-wrong-key-of-somebody")]
        {
            let response = other.send("GET", &url, &[], String::new()).await;
            assert!(response.status == 303 && !response.text().contains(NOTE), "{path}: {}", response.text());
        }
    }
    let mut screen = site.holder(READ).await;
    assert_eq!(screen.open_path("status").await.status, 200);
}
