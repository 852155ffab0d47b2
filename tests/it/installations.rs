//! Two daemons on one agent server: two installations with equal files do not meet, and two that run with copies of one
//! store notice it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::faults::starts_our_run;
use super::support::agent_server::AgentServerOnPort;
use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::starts_by_run;
use super::support::free_port::free_address;
use super::support::history::RunRecord;
use super::support::proxy::{Fault, Proxy};
use super::support::real_server::{RealServer, http};
use super::support::span::Span;

/// Two daemons share the ten workers of a server that other tests use as well.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn two_daemons_with_equal_files_do_not_touch_each_others_runs() {
    let server = RealServer::shared();
    let proxies = [Proxy::start(server.address()), Proxy::start(server.address())];
    let span = Span::soon(5, 2);
    let shared = Uuid::new_v4();
    let files = |proxy: &Proxy| {
        let cron = |name: &str| Cron::new(name, &span).runs_every_occurrence();
        Configuration::new(&proxy.url())
            .backend("request_timeout = \"3s\"")
            .cron(cron("deleted"))
            .cron(cron("kept").with("on_run_completed = \"keep\""))
            .cron(cron("named").with("thread = \"inbox\"\nmultitask_strategy = \"enqueue\""))
            .cron(cron("shared").on_thread(shared).with("multitask_strategy = \"enqueue\""))
    };
    // Both must look for some of their runs, beside those of the other.
    for proxy in &proxies {
        proxy.inject(4, starts_our_run, Fault::LoseReply);
    }
    let daemons = proxies.each_ref().map(|proxy| Daemon::start(&files(proxy)));
    let mut owners = Vec::new();
    for daemon in &daemons {
        let runs = daemon.wait_until_finished_within(PATIENCE, 8).await;
        assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}\n{:#?}", daemon.events());
        assert!(daemon.events().iter().any(|event| event.event == "adopted"), "{:#?}", daemon.events());
        let named: BTreeSet<&str> = threads(&runs, "named");
        assert_eq!(named, BTreeSet::from([thread_of(daemon, "named").as_str()]));
        assert_eq!(daemon.json(&["status"])[0]["notices"], Value::Array(Vec::new()));
        let kept = runs.iter().filter(|run| ["kept", "named", "shared"].contains(&run.cron_name.as_str()));
        owners.push(kept.map(|run| assert_bears_its_ids(server, run)).collect::<BTreeSet<_>>());
        daemon.wait_until("the threads of stateless runs to be gone", || daemon.deletions_due() == 0).await;
    }
    let [ours, theirs] = daemons.each_ref().map(Daemon::history);
    let ids = |runs: &[RunRecord]| runs.iter().map(|run| run.run_id.clone()).collect::<BTreeSet<_>>();
    assert!(ids(&ours).is_disjoint(&ids(&theirs)));
    for cron in ["deleted", "kept", "named"] {
        assert!(threads(&ours, cron).is_disjoint(&threads(&theirs, cron)), "{cron}");
    }
    assert_eq!(owners.iter().map(BTreeSet::len).collect::<Vec<_>>(), [1, 1], "{owners:?}");
    assert_ne!(owners[0], owners[1]);
}

#[tokio::test]
async fn a_copy_of_a_store_is_noticed_and_shown_first() {
    let server = AgentServerOnPort::start();
    let addresses = [free_address(), free_address()];
    let span = Span::soon(2, 30);
    let files = |listen: SocketAddr| {
        let cron = Cron::new("digest", &span).says("sleep 1").runs_every_occurrence();
        Configuration::new(&server.url()).http(&format!("listen = \"{listen}\"")).cron(cron)
    };
    let mut original = Daemon::start(&files(addresses[0]));
    original.wait_until("its store", || original.crons_known_since().is_some()).await;
    original.terminate();
    assert!(original.wait_for_exit().await.success());
    let mut copy = Daemon::prepare(&files(addresses[1]));
    std::fs::copy(original.database(), copy.database()).unwrap();
    original.start_again();
    copy.start_again();
    // The one notices it that is second with a run.
    let mut daemons = [original, copy];
    let which = || daemons.iter().position(|daemon| notice(daemon).is_some());
    let which = daemons[0].wait_within(PATIENCE, "the copy to be noticed", which).await;
    let status = String::from_utf8(daemons[which].run_command(&["status"]).stdout).unwrap();
    assert!(status.starts_with("copy of this store"), "{status}");
    let readiness = Client::new(addresses[which]).ready().await.get("/readyz").await.json();
    let warnings = readiness["warnings"].to_string();
    assert!(readiness["ready"] == true && warnings.contains("copy of this store"), "{readiness}");
    daemons[which].wait_until_finished(3).await;
    let log = daemons[which].stderr();
    assert_eq!(log.matches("copy of this store found").count(), 1, "{log}");
    daemons[1 - which].kill9();
    daemons[which].terminate();
    assert!(daemons[which].wait_for_exit().await.success());
    daemons[which].start_again();
    daemons[which].wait_until("the notice to be gone", || notice(&daemons[which]).is_none()).await;
}

#[tokio::test]
async fn a_restored_backup_is_not_taken_for_a_copy_and_adopts_what_it_had_started() {
    let server = AgentServerOnPort::start();
    let span = Span::once();
    let cron = Cron::new("digest", &span).says("sleep 12").runs_every_occurrence();
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    daemon.wait_until("its store", || daemon.crons_known_since().is_some()).await;
    daemon.terminate();
    assert!(daemon.wait_for_exit().await.success());
    let backup = std::fs::read(daemon.database()).unwrap();
    daemon.start_again();
    daemon.wait_for_history("its run", |runs| runs.iter().any(|run| run.phase == "running")).await;
    daemon.kill9();
    for file in ["agentcron.db-wal", "agentcron.db-shm"] {
        std::fs::remove_file(daemon.folder().join(file)).unwrap();
    }
    std::fs::write(daemon.database(), backup).unwrap();
    daemon.start_again();
    let runs = daemon.wait_until_finished(1).await;
    let events = daemon.events();
    assert_eq!(runs[0].status, "success", "{runs:#?}");
    assert!(events.iter().any(|event| event.event == "adopted"), "{events:#?}");
    assert_eq!(notice(&daemon), None);
    assert_eq!(starts_by_run(&server.ledger()), BTreeMap::from([(runs[0].run_id.clone(), 1)]));
}

fn notice(daemon: &Daemon) -> Option<Value> {
    let status = daemon.json(&["status"]);
    let notices = status[0]["notices"].as_array()?.clone();
    notices.into_iter().find(|notice| notice["kind"] == "store_copy")
}

fn threads<'r>(runs: &'r [RunRecord], cron: &str) -> BTreeSet<&'r str> {
    runs.iter().filter(|run| run.cron_name == cron).map(|run| run.thread_id.as_str()).collect()
}

/// Returns the thread that `agentcron show` prints for a cron.
fn thread_of(daemon: &Daemon, cron: &str) -> String {
    daemon.json(&["show", cron])[0]["thread_id"].as_str().unwrap().to_owned()
}

/// Asserts that the run on the server bears the id of this record, and returns whose it says it is.
fn assert_bears_its_ids(server: &RealServer, run: &RunRecord) -> (String, String) {
    let path = format!("/threads/{}/runs/{}", run.thread_id, run.backend_run_id);
    let (status, body) = http(server.address(), "GET", &path, "").unwrap();
    assert_eq!(status, 200, "{run:?}: {body}");
    let metadata = serde_json::from_str::<Value>(&body).unwrap()["metadata"].clone();
    assert_eq!(metadata["agentcron_run_id"], run.run_id.as_str(), "{metadata}");
    let id = |key: &str| metadata[key].as_str().unwrap().to_owned();
    (id("agentcron_installation_id"), id("agentcron_daemon_id"))
}
