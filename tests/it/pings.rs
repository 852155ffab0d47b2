//! A dead man's switch is pinged when an occurrence starts, works and fails, in the form that healthchecks.io reads
//! (<https://healthchecks.io/docs/http_api/>).

use std::collections::BTreeMap;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::receiver::{Received, Receiver, Reply};

fn trigger(daemon: &Daemon, cron: &str) {
    let output = daemon.run_command(&["trigger", cron]);
    assert!(output.status.success(), "{output:?}");
}

/// Returns the paths that were pinged by occurrence, in the order in which they came.
fn pinged(received: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut paths = BTreeMap::<String, Vec<String>>::new();
    for request in received {
        let (path, query) = request.path.split_once('?').unwrap();
        let occurrence = query.rsplit("rid=").next().unwrap();
        uuid::Uuid::parse_str(occurrence).expect("the service takes nothing but UUIDs");
        paths.entry(occurrence.to_owned()).or_default().push(path.to_owned());
    }
    paths
}

#[tokio::test]
async fn start_success_and_failure_of_an_occurrence_are_pinged_together() {
    let (server, switch) = (AgentServerOnPort::start(), Receiver::start());
    let ping = |path: &str| format!("ping = \"{}\"", switch.url(path));
    let crons = [
        Cron::yearly("works").with(&ping("/${{ env.KEY }}")).with("timeout = \"1m\""),
        Cron::yearly("fails")
            .says("boom")
            .with(&ping("/key/slug?create=1"))
            .with("retry = { max = 1, backoff = \"1s\" }"),
    ];
    // What is for receivers of webhooks is not for others.
    let configuration = format!(
        "{}\n[webhooks.headers]\nx-token = \"s3cret\"\n",
        Configuration::new(&server.url()).crons(crons)
    );
    let mut daemon = Daemon::prepare(&configuration);
    daemon.start_with(&[("KEY", "5ecret-key")]);
    daemon.wait_for_stderr("daemon ready").await;
    trigger(&daemon, "works");
    trigger(&daemon, "fails");
    let received = switch.wait_for(4).await;
    let mut paths: Vec<Vec<String>> = pinged(&received).into_values().collect();
    paths.sort();
    let expected = [
        vec!["/5ecret-key/start".to_owned(), "/5ecret-key".to_owned()],
        vec!["/key/slug/start".to_owned(), "/key/slug/fail".to_owned()],
    ];
    assert_eq!(paths, expected);
    assert!(received.iter().all(|request| request.header("x-token").is_empty()));
    let failed = received.iter().find(|request| request.path.contains("/fail")).unwrap();
    assert!(failed.path.contains("?create=1&rid="), "{}", failed.path);
    assert!(failed.json()["message"].as_str().unwrap().contains("boom"), "{}", failed.json());
    // It is among the webhooks, without what is secret, and no run has it as its webhook.
    let listed = daemon.json(&["webhook", "list"]);
    assert!(listed.iter().all(|one| one["url"].as_str().unwrap().starts_with("ping+http")), "{listed:#?}");
    assert!(!format!("{listed:?}").contains("5ecret-key"));
    assert!(daemon.history().iter().all(|run| run.webhook.is_none()));
    // Whoever has a cron forgotten has its pings forgotten.
    let are_over = || daemon.json(&["webhook", "list"]).iter().all(|one| one["status"] == "delivered");
    daemon.wait_until("the pings to be recorded", are_over).await;
    let forgot = daemon.run_command(&["forget", "--cron", "fails", "--yes"]);
    assert!(forgot.status.success(), "{}", String::from_utf8_lossy(&forgot.stderr));
    assert_eq!(daemon.json(&["webhook", "list"]).len(), 2);
}

#[tokio::test]
async fn what_comes_too_late_for_a_switch_is_not_sent_again() {
    let (server, switch) = (AgentServerOnPort::start(), Receiver::start());
    switch.reply_next([Reply::status(500), Reply::status(500)]);
    let cron = Cron::yearly("works").with(&format!("ping = \"{}\"", switch.url("/key")));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    daemon.wait_for_stderr("daemon ready").await;
    trigger(&daemon, "works");
    // The end is tried again, and the start is not: it must not come after the end.
    let received = switch.wait_for(3).await;
    let starts = received.iter().filter(|request| request.path.starts_with("/key/start")).count();
    assert_eq!(starts, 1, "{received:?}");
    let list = || {
        let listed = daemon.json(&["webhook", "list"]);
        let mut statuses: Vec<_> =
            listed.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect();
        statuses.sort();
        (statuses == ["delivered", "failed"]).then_some(())
    };
    daemon.wait_within(std::time::Duration::from_secs(30), "the pings to end", list).await;
}

#[tokio::test]
async fn a_switch_hears_from_the_daemon_as_long_as_it_is_well() {
    let (server, switch) = (AgentServerOnPort::start(), Receiver::start());
    let of_daemon =
        format!("[notify.switch]\ntype = \"ping\"\nurl = \"{}\"\nevery = \"10s\"\n", switch.url("/daemon"));
    let configuration = Configuration::new(&server.url());
    let mut daemon = Daemon::start(&format!("{configuration}\n{of_daemon}"));
    daemon.wait_for_stderr("daemon ready").await;
    let heard = switch.wait_for(2).await;
    assert!(heard[1].arrived - heard[0].arrived >= std::time::Duration::from_secs(9), "{heard:?}");
    assert!(heard.iter().all(|request| request.path == "/daemon"), "{heard:?}");
    assert!(heard[0].json()["version"].is_string());
    // Nothing of it is recorded, and a test is one more.
    assert_eq!(daemon.json(&["webhook", "list"]).len(), 0);
    assert_eq!(daemon.json(&["notify"])[0]["type"], "ping");
    assert!(daemon.run_command(&["notify", "test", "switch"]).status.success());
    switch.wait_for(3).await;
    // Who turns webhooks off turns this off.
    daemon.write_config(&format!("{}\n{of_daemon}", configuration.http("disable_webhooks = true")));
    daemon.wait_for_stderr("disable").await;
    let before = switch.received().len();
    tokio::time::sleep(std::time::Duration::from_secs(11)).await;
    assert_eq!(switch.received().len(), before);
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
}
