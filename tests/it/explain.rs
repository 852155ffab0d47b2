//! What `explain` says about instants, while the daemon runs and after it has ended.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::span::{Span, now};

fn explain(daemon: &Daemon, cron: &str, at: Timestamp) -> Value {
    daemon.json(&["explain", cron, "--at", &at.to_string()])[0].clone()
}

fn verdict(daemon: &Daemon, cron: &str, at: Timestamp) -> String {
    explain(daemon, cron, at)["verdict"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_instant_is_explained() {
    let server = AgentServerOnPort::start();
    let span = Span::soon(2, 4);
    let first = span.instants()[0];
    let year = (first + SignedDuration::from_hours(24 * 400)).strftime("%Y-%m-%d").to_string();
    let slow = Cron::new("slow", &span).says("sleep 3");
    let off = Cron::bare("off").with("schedule = \"0 * * * *\"\nenabled = false");
    let excluded = Cron::bare("excluded").with(&format!("schedule = \"0 0 * * *\"\nexclude = [\"{year}\"]"));
    let configuration = Configuration::new(&server.url()).cron(slow).cron(off).cron(excluded);
    let mut daemon = Daemon::start(&configuration);
    let runs = daemon.wait_until_finished(4).await;
    let statuses: Vec<_> = runs.iter().map(|run| run.status.as_str()).collect();
    assert_eq!(statuses, ["success", "skipped", "success", "skipped"], "{runs:#?}");

    let fired = explain(&daemon, "slow", first);
    assert_eq!(
        (&fired["verdict"], &fired["run"]["run_id"]),
        (&"fired".into(), &runs[0].run_id.clone().into())
    );
    let skipped = explain(&daemon, "slow", span.instants()[1]);
    let detail = skipped["detail"].as_str().unwrap();
    assert!(detail.contains("was still running") && detail.contains(&runs[0].run_id), "{detail}");
    let second = SignedDuration::from_secs(1);
    assert_eq!(verdict(&daemon, "slow", first + second), "not-an-instant");
    assert_eq!(verdict(&daemon, "slow", span.last() + second + second), "after-end");
    assert_eq!(verdict(&daemon, "slow", first - SignedDuration::from_secs(3600)), "unknown");
    let midnight: Timestamp = format!("{year}T00:00:00Z").parse().unwrap();
    assert_eq!(verdict(&daemon, "excluded", midnight), "will-be-skipped");
    let day = SignedDuration::from_hours(24);
    assert_eq!(verdict(&daemon, "excluded", midnight + day), "will-fire");
    assert_eq!(verdict(&daemon, "off", midnight), "disabled");

    daemon.json(&["pause", "excluded", "--note", "moving house"]);
    let paused = explain(&daemon, "excluded", midnight + day);
    assert!(paused["detail"].as_str().unwrap().contains("moving house"), "{paused}");
    assert_eq!(paused["before"].as_str().unwrap(), midnight.to_string());
    let by = &paused["paused_by"];
    assert_eq!((&by["what"], &by["by"]["kind"]), (&"paused".into(), &"uid".into()), "{paused}");
    assert!(paused["detail"].as_str().unwrap().contains("; paused by uid "), "{paused}");
    let next = &daemon.json(&["next", "excluded", "-n", "1"])[0];
    assert_eq!(
        (&next["will_fire"], &next["note"]),
        (&false.into(), &"paused: will be skipped".into()),
        "{next}"
    );
    daemon.write_config(
        &Configuration::new(&server.url()).cron(Cron::bare("other").with("schedule = \"@daily\"")),
    );
    daemon.wait_for_stderr("removed=3").await;
    assert_eq!(verdict(&daemon, "excluded", midnight), "removed");
    assert_eq!(verdict(&daemon, "slow", first), "fired", "its history stays");
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    let unknown = daemon.run_command(&["explain", "othre", "--at", &now().to_string()]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `other`?"));
}

#[tokio::test]
async fn a_missed_instant_is_explained_with_its_range() {
    let server = AgentServerOnPort::start();
    let cron = Cron::bare("often").with("schedule = \"* * * * * *\"\ncatchup = \"none\"");
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    daemon.wait_for_history("a first run", |runs| !runs.is_empty()).await;
    daemon.kill9();
    let last = daemon.history().last().unwrap().scheduled_for;
    let down = SignedDuration::from_secs(9);
    daemon.wait_until("some occurrences to be missed", || now() > last + down).await;
    assert_eq!(verdict(&daemon, "often", last + SignedDuration::from_secs(2)), "not-planned-yet");
    daemon.start_again();
    daemon
        .wait_for_history("a record of missed occurrences", |runs| {
            runs.iter().any(|run| run.status == "missed")
        })
        .await;
    let missed = explain(&daemon, "often", last + SignedDuration::from_secs(2));
    assert_eq!(missed["verdict"], "missed", "{missed}");
    let detail = missed["detail"].as_str().unwrap();
    assert!(detail.contains("agentcron was not running") && detail.contains("one of"), "{detail}");
}
