//! A cron that is renamed goes on as what it was.

use serde_json::Value;

use crate::support::agent_server::AgentServerOnPort;
use crate::support::configuration::{Configuration, Cron};
use crate::support::daemon::Daemon;

#[tokio::test]
async fn a_renamed_cron_keeps_its_history_and_its_pause() {
    let server = AgentServerOnPort::start();
    let named = |name: &str| Cron::bare(name).assistant("agent").with("schedule = \"* * * * * *\"");
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(named("old")));
    daemon.wait_for_stderr("ready").await;
    daemon.wait_until("a run", || !daemon.json(&["history", "old", "--status", "success"]).is_empty()).await;
    daemon.run_command(&["pause", "old", "--note", "as agreed"]);
    let before = daemon.json(&["list"])[0].clone();
    let ran = daemon.json(&["history", "old", "--status", "success"]);

    let renamed = named("new").with("was = \"old\"");
    let mistaken = renamed.clone().with("schedul = \"@daily\"");
    daemon.write_config(&Configuration::new(&server.url()).cron(mistaken));
    daemon.signal("HUP");
    daemon.wait_for_stderr("`schedul`").await;
    assert_eq!(daemon.json(&["list"])[0]["cron_name"], "old", "it goes on as it was");
    daemon.write_config(&Configuration::new(&server.url()).cron(renamed));
    daemon.signal("HUP");
    daemon.wait_until("the new name", || daemon.json(&["list"])[0]["cron_name"] == "new").await;
    let crons = daemon.json(&["list"]);
    assert_eq!(crons.len(), 1, "{crons:?}");
    for key in ["cron_id", "paused"] {
        assert_eq!(crons[0][key], before[key], "{key}");
    }
    assert_eq!(crons[0]["paused"]["note"], "as agreed");
    let ids = |runs: &[Value]| runs.iter().map(|run| run["run_id"].clone()).collect::<Vec<_>>();
    let goes_on = daemon.json(&["history", "new", "--status", "success"]);
    assert!(ids(&goes_on).starts_with(&ids(&ran)), "{goes_on:?}");
    daemon.run_command(&["resume", "new"]);
    let run_after = || daemon.json(&["history", "new", "--status", "success"]).len() > goes_on.len();
    daemon.wait_until("a run under the new name", run_after).await;
    let last = daemon.json(&["history", "new", "--status", "success"]);
    assert_eq!(last.last().unwrap()["cron_name"], "new");
}
