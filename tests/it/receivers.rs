//! Receivers that fail in part, for ever, or for a while: what they hurt, what is said of it, and how it ends.

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use serde_json::Value;
use tokio::time::Instant;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::loopback_server::{LoopbackServer, serve_router};
use super::support::receiver::{Receiver, Reply};

const PATIENCE: Duration = Duration::from_secs(60);

fn every_second(name: &str, url: &str) -> Cron {
    Cron::bare(name).with("schedule = \"* * * * * *\"").webhook(url)
}

fn yearly(name: &str, url: &str) -> Cron {
    Cron::bare(name).with("schedule = \"@yearly\"\noverlap = \"allow\"").webhook(url)
}

/// Returns what `status` says about this subject.
fn attention(daemon: &Daemon, what: &str, subject: &str) -> Option<Value> {
    let status = daemon.json(&["status"]).remove(0);
    let is_it = |one: &&Value| one["what"] == what && one["subject"] == subject;
    status["attention"].as_array()?.iter().find(is_it).cloned()
}

fn outages(daemon: &Daemon) -> Vec<Value> {
    daemon.json(&["outages"]).into_iter().filter(|outage| outage["what"] == "receiver").collect()
}

fn delivered(daemon: &Daemon, cron: &str) -> usize {
    daemon.json(&["webhook", "list", "--cron", cron, "--status", "delivered", "-n", "1000"]).len()
}

/// A receiver that responds by path: 500 at `/bad`, 404 at `/missing`, and 200 elsewhere.
fn by_path() -> LoopbackServer {
    let router = Router::new().fallback(async |uri: Uri| match uri.path() {
        "/bad" => StatusCode::INTERNAL_SERVER_ERROR,
        "/missing" => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    });
    LoopbackServer::start(0, |listener| serve_router(listener, router))
}

#[tokio::test]
async fn a_bad_url_hurts_no_good_one_of_its_origin_and_what_does_not_get_through_is_told() {
    let (server, receiver) = (AgentServerOnPort::start(), by_path());
    let url = |path: &str| format!("http://{}/{path}", receiver.address());
    let crons = ["one", "bad", "missing"].map(|name| every_second(name, &url(name)));
    let daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    daemon.wait_for_stderr("ready").await;
    daemon.wait_within(PATIENCE, "webhooks", || (delivered(&daemon, "one") >= 20).then_some(())).await;
    // Nothing has waited for another webhook.
    let listed = daemon.json(&["webhook", "list", "--cron", "one", "-n", "1000"]);
    let waited = |webhook: &&Value| webhook["status"] != "delivered" || webhook["attempts_made"] != 1;
    assert!(listed.iter().filter(waited).count() <= 2, "{listed:#?}");
    // One outage, of the one URL, told once.
    let outages = outages(&daemon);
    assert_eq!(outages.len(), 1, "{outages:#?}");
    assert_eq!((&outages[0]["receiver"], &outages[0]["until"]), (&Value::from(url("bad")), &Value::Null));
    let log = daemon.stderr();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("unreachable: "), lines("reachable again")), (1, 0), "{log}");
    let of_bad = attention(&daemon, "receiver", &url("bad")).unwrap();
    assert!(of_bad["text"].as_str().unwrap().contains("the receiver answered 500; "), "{of_bad}");
    let of_missing = attention(&daemon, "undelivered", &url("missing")).unwrap();
    let text = of_missing["text"].as_str().unwrap();
    assert!(
        text.starts_with("the receiver answered 404; ") && text.contains("next attempt in "),
        "{of_missing}"
    );
    assert!(of_missing["needs_person"] == true && of_missing["since"].is_string(), "{of_missing}");
    assert_eq!(daemon.run_command(&["health"]).status.code(), Some(5));
}

#[tokio::test]
async fn an_outage_is_over_when_nothing_waits_for_the_receiver_any_more() {
    let (server, receiver) = (AgentServerOnPort::start(), by_path());
    let url = format!("http://{}/bad", receiver.address());
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(yearly("tells", &url)));
    daemon.wait_for_stderr("ready").await;
    daemon.json(&["trigger", "tells"]);
    daemon.wait_within(PATIENCE, "the outage", || attention(&daemon, "receiver", &url)).await;
    daemon.json(&["webhook", "release", "--discard-older-than", "0s"]);
    let is_over = || attention(&daemon, "receiver", &url).is_none().then_some(());
    daemon.wait_within(PATIENCE, "its end", is_over).await;
    let over = || outages(&daemon).into_iter().find(|outage| outage["until"].is_string());
    let outage = daemon.wait_within(PATIENCE, "its row", over).await;
    assert_eq!(outage["why"], "the receiver answered 500; nothing waits for it any more", "{outage}");
    let log = daemon.stderr();
    assert!(log.contains(&format!("receiver {url}: nothing waits for it any more, after ")), "{log}");
    assert!(!log.contains("reachable again"), "{log}");
}

#[tokio::test]
async fn everything_is_delivered_soon_after_an_outage_of_five_seconds() {
    const WEBHOOKS: usize = 30;
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    receiver.reply_always(Reply::status(500));
    let daemon =
        Daemon::start(&Configuration::new(&server.url()).cron(yearly("tells", &receiver.url("/hook"))));
    daemon.wait_for_stderr("ready").await;
    for _ in 0..WEBHOOKS {
        daemon.json(&["trigger", "tells"]);
    }
    receiver.wait_for(1).await;
    let began = Instant::now();
    daemon.wait_until("five seconds", || began.elapsed() > Duration::from_secs(5)).await;
    receiver.reply_always(Reply::status(200));
    let in_vain = receiver.received().len();
    let all = || (delivered(&daemon, "tells") == WEBHOOKS).then_some(());
    // Quiet, it takes 3 s.
    daemon.wait_within(Duration::from_secs(30), "all webhooks", all).await;
    eprintln!(
        "{in_vain} attempts in vain; all delivered {:?} after it was back",
        began.elapsed() - Duration::from_secs(5)
    );
    assert!((3..=20).contains(&in_vain), "{in_vain} attempts in vain");
    let outages = outages(&daemon);
    assert!(outages.len() == 1 && outages[0]["until"].is_string(), "{outages:#?}");
}
