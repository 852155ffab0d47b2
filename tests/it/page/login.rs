//! How somebody comes in, and how long they stay.

use super::site::{ACT, CLIENT, KEYS, READ, Site};
use crate::support::visitor::new_code;

/// Wrong tries that an address has in a minute.
const TRIES: usize = 5;

#[tokio::test]
async fn a_link_works_once_and_opens_a_session_that_a_logout_ends() {
    for http in ["", KEYS] {
        let site = Site::start(http).await;
        let code = new_code(&site.daemon);
        let mut visitor = site.stranger().await;
        // The code is after `#`, which no browser sends: to open the page does not use it up.
        assert_eq!(visitor.open_path("login").await.status, 200);
        let response = visitor.post("login", &[("secret", &code), ("next", "crons?q=a%26b")]).await;
        assert_eq!(
            (response.status, &response.headers["location"]),
            (303, &"./crons?q=a%26b".parse().unwrap())
        );
        let cookies: Vec<_> =
            response.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
        let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        // Without `Path` it is for the folder of the login, behind any prefix; without `Max-Age` it ends with the browser.
        assert_eq!(attributes, ["HttpOnly", "SameSite=Strict"], "{cookie}");
        let token = visitor.cookie("agentcron_session").unwrap().to_owned();
        assert!(token.len() >= 43 && !cookie.contains(&code), "{cookie}");
        let page = visitor.open_path("crons/steady").await;
        assert!(page.text.contains("act=pause") && page.text.contains("Log out"), "{}", page.text);
        let mut second = site.stranger().await;
        let refused = second.log_in_with(&code).await;
        assert_eq!((refused.status, second.cookie("agentcron_session")), (401, None));
        // The database opens nothing for whoever reads it.
        let stored = site.daemon.query("SELECT digest FROM page_sessions", |row| row.get::<_, String>(0));
        assert!(stored.len() == 1 && !stored[0].contains(&token), "{stored:?}");
        // After a restart the session still lasts; after the logout it does not, wherever its cookie is kept.
        let mut site = site;
        site.daemon.terminate();
        assert!(site.daemon.wait_for_exit().await.success());
        site.daemon.start_again();
        let mut visitor = visitor.ready().await;
        let page = visitor.open_path("crons/steady").await;
        assert!(page.text.contains("Log out"), "{}", page.text);
        let left = visitor.submit(&page, "Log out", &[]).await;
        assert_eq!((left.status, visitor.cookie("agentcron_session")), (200, None));
        visitor.set_cookie("agentcron_session", &token);
        let page = visitor.open_path("crons/steady").await;
        assert!(!page.text.contains("Log out") && !page.text.contains("act=pause"), "{}", page.text);
    }
}

#[tokio::test]
async fn a_key_opens_a_session_with_the_rights_of_the_key() {
    let site = Site::start(KEYS).await;
    let mut ops = site.holder(ACT).await;
    let page = ops.open_path("crons/steady").await;
    assert!(page.text.contains("key ops") && page.text.contains("act=pause"), "{}", page.text);
    assert!(!ops.cookie("agentcron_session").unwrap().contains(ACT));
    let mut screen = site.holder(READ).await;
    let page = screen.open_path("crons/steady").await;
    assert!(page.text.contains("key screen") && !page.text.contains("act=pause"), "{}", page.text);
    let mut client = site.stranger().await;
    let refused = client.log_in_with(CLIENT).await;
    assert_eq!((refused.status, client.cookie("agentcron_session")), (403, None), "{}", refused.text);
    let mut stranger = site.stranger().await;
    for path in ["", "crons", "events", "act?act=pause&cron=steady", "runs?status=error"] {
        let url = stranger.at(path);
        let response = stranger.send("GET", &url, &[], String::new()).await;
        let location = response.headers["location"].to_str().unwrap().to_owned();
        assert!(response.status == 303 && location.starts_with("login"), "{path}: {location}");
    }
    // Whoever shows a key with each request needs no session.
    let mut program = site.stranger().await.with("x-api-key", READ);
    assert_eq!(program.open_path("runs").await.status, 200);
    assert_eq!(program.open_path("act?act=pause&cron=steady").await.status, 403);
}

#[tokio::test]
async fn the_session_of_a_key_that_is_removed_is_over() {
    let site = Site::start(KEYS).await;
    let (mut ops, mut operator) = (site.holder(ACT).await, site.operator().await);
    // The other key becomes one that may only see.
    let changed = KEYS.split_once("[http.keys.screen]").unwrap().1;
    site.write_http(&format!("[http.keys.screen]{changed}"));
    site.daemon.wait_for_stderr("keys and origins reloaded").await;
    let url = ops.at("crons");
    assert_eq!(ops.send("GET", &url, &[], String::new()).await.status, 303);
    let acted = ops.post("act", &[("act", "pause"), ("cron", "steady")]).await;
    assert_eq!(acted.status, 303, "{}", acted.text());
    assert!(acted.headers["location"].to_str().unwrap().starts_with("login"));
    assert!(site.daemon.json(&["acts"]).is_empty(), "a key that was removed acted");
    assert_eq!(operator.open_path("crons").await.status, 200, "the session of the socket has no key to lose");
    let mut again = site.stranger().await;
    assert_eq!(again.log_in_with(ACT).await.status, 401);
}

#[tokio::test]
async fn wrong_keys_are_refused_and_soon_not_even_looked_at() {
    let site = Site::start(KEYS).await;
    let mut visitor = site.stranger().await;
    for number in 0..TRIES {
        let refused = visitor.log_in_with(&format!("wrong-key-of-somebody-{number}")).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
        assert!(
            refused.text.contains("role=\"alert\"") && !refused.text.contains("wrong-key"),
            "{}",
            refused.text
        );
    }
    for secret in ["another-wrong-key-of-somebody", ACT] {
        let limited = visitor.log_in_with(secret).await;
        assert_eq!((limited.status, visitor.cookie("agentcron_session")), (429, None), "{}", limited.text);
    }
    assert!(!site.daemon.stderr().contains("wrong-key-of-somebody"), "what was tried is in the log");
    // A session that is open already is not touched by it.
    let mut program = site.stranger().await.with("x-api-key", ACT);
    assert_eq!(program.open_path("crons").await.status, 200);
}

#[tokio::test]
async fn what_a_stranger_sends_is_bounded() {
    let site = Site::start(KEYS).await;
    let mut stranger = site.stranger().await;
    let long = "a".repeat(8 << 10);
    for path in ["login", "view", "logout"] {
        let response = stranger.post(path, &[("secret", &long)]).await;
        assert_eq!(response.status, 413, "{path}: {}", response.text());
        assert_eq!(response.headers["x-content-type-options"], "nosniff", "{path}");
    }
    // A place of another server, or of another kind, is only a path of ours.
    for next in [
        "//evil.example/",
        "/\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "\\\\evil.example",
        "a\r\nx-evil: 1",
        "\u{0}",
    ] {
        let response = stranger.post("login", &[("secret", ACT), ("next", next)]).await;
        assert!(response.status == 303 || response.status == 400, "{next:?}: {}", response.status);
        assert!(!response.headers.contains_key("x-evil"), "{next:?}");
        if response.status == 303 {
            let location = response.headers["location"].to_str().unwrap();
            let led = stranger.at("login").join(location).unwrap();
            assert!(led.as_str().starts_with(stranger.at("").as_str()), "{next:?} leads to {led}");
        }
    }
    let mut operator = site.operator().await;
    let much = "a".repeat(1 << 20);
    let response = operator.post("act", &[("act", "pause"), ("cron", "steady"), ("note", &much)]).await;
    assert_eq!(response.status, 413, "{}", response.text());
    assert!(site.daemon.json(&["acts"]).is_empty());
}
