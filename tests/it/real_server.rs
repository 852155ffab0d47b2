//! The main path on a real LangGraph server: what the server has, what the history says and what receivers get agree.

use agentcron::backend::AgentClient;
use agentcron::config::Credentials;
use agentcron::domain::ids::ThreadId;
use agentcron::transport::Transport;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{assert_all_notified, assert_none_lost};
use super::support::history::RunRecord;
use super::support::real_server::{RealServer, http};
use super::support::receiver::Receiver;
use super::support::soak;
use super::support::span::Span;
use std::collections::BTreeSet;
use std::time::Duration;

const MODES: [&str; 3] = ["background", "wait", "stream"];

/// Two clients of the server share its ten workers; nine runs at a time take it a while.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn every_occurrence_is_one_run_on_the_real_server_in_every_mode() {
    let server = RealServer::shared();
    let receiver = Receiver::start();
    let count = soak::times(3).min(12);
    let span = Span::soon(5, count);
    let threads = MODES.map(|mode| (mode, Uuid::new_v4()));
    // The shared server outlives this test, and runs of an earlier one must not be counted.
    let salt = Uuid::new_v4().simple().to_string();
    let name = |kind: &str, mode: &str| format!("{kind}-{mode}-{salt}");
    let cron = |kind: &str, mode: &str| {
        let cron =
            Cron::new(&name(kind, mode), &span).with(&format!("mode = \"{mode}\"")).runs_every_occurrence();
        cron.webhook(&receiver.url("/hook"))
    };
    let mut configuration = Configuration::new(&server.url());
    for (mode, thread_id) in threads {
        configuration = configuration
            .cron(cron("thread", mode).on_thread(thread_id))
            .cron(cron("keep", mode).with("on_run_completed = \"keep\""))
            .cron(cron("delete", mode));
    }
    let daemon = Daemon::start(&configuration);
    let runs = daemon.wait_until_finished_within(PATIENCE, 9 * count).await;

    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    for (mode, thread_id) in threads {
        for kind in ["thread", "keep", "delete"] {
            assert_none_lost(daemon.crons_known_since(), &runs, &name(kind, mode), &span);
        }
        assert_thread_accumulates(server, thread_id, &of_cron(&runs, &name("thread", mode)));
        for run in of_cron(&runs, &name("keep", mode)) {
            let on_server = runs_on(server, &run.thread_id);
            assert_eq!(ids(&on_server), BTreeSet::from([run.backend_run_id.clone()]), "{run:?}");
        }
        assert_eq!(threads_of_cron(server, &name("keep", mode)).len(), count);
    }
    daemon.wait_until("the threads of stateless runs to be gone", || daemon.deletions_due() == 0).await;
    for mode in MODES {
        for run in of_cron(&runs, &name("delete", mode)) {
            let status = get(server, &format!("/threads/{}", run.thread_id)).0;
            assert_eq!(status, 404, "its thread should be gone: {run:?}");
        }
        assert_eq!(threads_of_cron(server, &name("delete", mode)), Vec::<Value>::new());
    }
    let received = receiver.received();
    assert_eq!(received.len(), runs.len(), "nothing was in the way, so each is delivered once");
    assert_all_notified(&received, &runs);
    for request in &received {
        assert_like_sample(&request.json(), "webhook_success.json");
        assert_eq!(request.json()["status"], "success");
        assert_eq!(last_message(&request.json()["values"]), "echo: hi");
    }
}

#[tokio::test]
async fn a_failing_run_ends_as_error_a_questioning_one_as_interrupted_a_long_one_as_timeout() {
    let server = RealServer::shared();
    let receiver = Receiver::start();
    let span = Span::once();
    let mut configuration = Configuration::new(&server.url());
    for mode in MODES {
        let cron = |kind: &str| {
            let url = receiver.url(&format!("/{kind}-{mode}"));
            let cron = Cron::new(&format!("{kind}-{mode}"), &span).with(&format!("mode = \"{mode}\""));
            cron.with("start_deadline = \"2m\"").webhook(&url)
        };
        configuration = configuration
            .cron(cron("boom").says("boom").on_thread(used_thread(server)))
            .cron(cron("asker").assistant("asker"))
            .cron(cron("slow").says("sleep 30").with("timeout = \"2s\"\non_run_completed = \"keep\""));
    }
    let daemon = Daemon::start(&configuration);
    let runs = daemon.wait_until_finished_within(PATIENCE, 9).await;
    let received = receiver.received();
    let webhook_body = |name: &str| {
        let requests: Vec<_> = received.iter().filter(|request| request.path == format!("/{name}")).collect();
        assert_eq!(requests.len(), 1, "webhooks about {name}");
        requests[0].json()
    };
    for mode in MODES {
        let run = |kind: &str| of_cron(&runs, &format!("{kind}-{mode}"))[0];
        let boom = json!({"error": "ValueError", "message": "boom"});
        assert_eq!((run("boom").status.as_str(), &run("boom").error), ("error", &boom));
        let body = webhook_body(&format!("boom-{mode}"));
        assert_like_sample(&body, "webhook_error.json");
        assert_eq!((&body["status"], &body["error"]), (&json!("error"), &boom));

        assert_eq!(run("asker").status, "interrupted", "{:?}", run("asker"));
        let body = webhook_body(&format!("asker-{mode}"));
        assert_like_sample(&body, "webhook_interrupted.json");
        assert_eq!(last_message(&body["values"]), "hi");

        let slow = run("slow");
        assert_eq!(slow.status, "timeout", "{slow:?}");
        assert!(slow.reason.contains("ran longer than 2s"), "{slow:?}");
        assert_eq!(webhook_body(&format!("slow-{mode}"))["status"], "timeout");
        for on_server in runs_on(server, &slow.thread_id) {
            assert!(on_server["status"] != "running" && on_server["status"] != "pending", "{on_server}");
        }
    }
}

fn of_cron<'r>(runs: &'r [RunRecord], cron: &str) -> Vec<&'r RunRecord> {
    runs.iter().filter(|run| run.cron_name == cron).collect()
}

/// Asserts that the thread has one run for each of ours, and a question and an answer for each of them.
fn assert_thread_accumulates(server: &RealServer, thread_id: Uuid, runs: &[&RunRecord]) {
    let on_server = runs_on(server, &thread_id.to_string());
    assert_eq!(on_server.len(), runs.len(), "runs on the thread: {on_server:#?}");
    let ours: BTreeSet<String> = runs.iter().map(|run| run.backend_run_id.clone()).collect();
    assert_eq!(ids(&on_server), ours);
    for run in &on_server {
        let of = runs.iter().find(|ours| ours.backend_run_id == run["run_id"]).unwrap();
        assert_eq!(run["metadata"]["agentcron_run_id"], of.run_id.as_str());
        assert_eq!(run["status"], "success");
    }
    let (_, thread) = get(server, &format!("/threads/{thread_id}"));
    assert_eq!(thread["values"]["messages"].as_array().unwrap().len(), 2 * runs.len());
}

/// Returns a thread that has messages already, as the thread had from which the sample of an error comes.
fn used_thread(server: &RealServer) -> Uuid {
    let thread_id = Uuid::new_v4();
    let said = json!({"messages": [{"role": "user", "content": "hi"}]});
    let run = json!({"assistant_id": "agent", "if_not_exists": "create", "input": said}).to_string();
    let path = format!("/threads/{thread_id}/runs/wait");
    assert_eq!(http(server.address(), "POST", &path, &run).unwrap().0, 200);
    thread_id
}

fn runs_on(server: &RealServer, thread_id: &str) -> Vec<Value> {
    let (status, runs) = get(server, &format!("/threads/{thread_id}/runs?limit=1000"));
    assert_eq!(status, 200, "{runs}");
    runs.as_array().unwrap().clone()
}

fn threads_of_cron(server: &RealServer, cron: &str) -> Vec<Value> {
    let query = json!({"metadata": {"cron_name": cron}, "limit": 1000}).to_string();
    let (status, body) = http(server.address(), "POST", "/threads/search", &query).unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn get(server: &RealServer, path: &str) -> (u16, Value) {
    let (status, body) = http(server.address(), "GET", path, "").unwrap();
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn ids(runs: &[Value]) -> BTreeSet<String> {
    runs.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
}

fn last_message(values: &Value) -> &str {
    values["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

/// Asserts that the body has every key of a webhook that the server itself sent, with a value of the same JSON type.
fn assert_like_sample(body: &Value, sample: &str) {
    let path = format!("{}/tests/fixtures/langgraph/{sample}", env!("CARGO_MANIFEST_DIR"));
    let sample: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut differences = Vec::new();
    compare("", &sample["body"], body, &mut differences);
    assert!(differences.is_empty(), "{differences:#?}\nin {body:#}");
}

fn compare(place: &str, sample: &Value, body: &Value, differences: &mut Vec<String>) {
    match (sample, body) {
        (Value::Object(sample), Value::Object(body)) => {
            for (key, value) in sample {
                let place = format!("{place}/{key}");
                match body.get(key) {
                    Some(other) => compare(&place, value, other, differences),
                    None => differences.push(format!("{place} is missing")),
                }
            }
        }
        (Value::Array(sample), Value::Array(body)) => {
            let like = sample.first();
            for (index, item) in body.iter().enumerate() {
                like.iter().for_each(|like| compare(&format!("{place}/{index}"), like, item, differences));
            }
        }
        (Value::Null, Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_)) => {}
        (sample, body) => differences.push(format!("{place} is {body}, and was {sample} in the sample")),
    }
}

#[tokio::test]
async fn a_thread_can_be_asked_for_without_its_values() {
    let server = RealServer::shared();
    for (assistant, interrupted) in [("agent", false), ("asker", true)] {
        let thread_id = Uuid::new_v4();
        let body = json!({
            "assistant_id": assistant,
            "if_not_exists": "create",
            "input": { "messages": [{ "role": "user", "content": "hello" }] },
        });
        let path = format!("/threads/{thread_id}/runs/wait");
        http(server.address(), "POST", &path, &body.to_string()).unwrap();
        let client = AgentClient::new(
            Transport::network(None).unwrap(),
            server.url().parse().unwrap(),
            Credentials::default(),
            Duration::from_secs(10),
        );
        let whole = client.thread(ThreadId(thread_id)).await.unwrap();
        let part = client.thread_without_values(ThreadId(thread_id)).await.unwrap();
        assert!(whole.values.is_object() && part.values.is_null(), "{whole:?} {part:?}");
        assert_eq!((whole.interrupted, part.interrupted), (interrupted, interrupted), "{whole:?} {part:?}");
    }
}

#[tokio::test]
async fn the_cron_that_init_writes_runs_an_assistant_of_the_real_server() {
    let server = RealServer::shared();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_agentcron"));
    let output = command.args(["init", &path, "--url", &server.url(), "--json"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(found, json!({ "agent_server": server.url(), "assistant_id": "agent", "problem": null }));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let cron = read("crons.d/hello.toml").replace("*/5 * * * *", "* * * * * *");
    assert!(cron.contains("\nassistant_id = \"agent\"   # this server also has asker, "), "{cron}");
    let main = read("agentcron.toml").replace("# listen = \"127.0.0.1:2025\"", "listen = \"off\"");
    let mut daemon = Daemon::prepare(&main);
    std::fs::create_dir(daemon.folder().join("crons.d")).unwrap();
    std::fs::write(daemon.folder().join("crons.d/hello.toml"), cron).unwrap();
    daemon.start_again();
    daemon.wait_for_stderr("ready").await;
    let is_good = || daemon.history().iter().any(|run| run.cron_name == "hello" && run.status == "success");
    daemon.wait_until("a run of the new cron", is_good).await;
}
