//! What the real agent server says about the end of a run, and where it says too little: breakpoints, questions,
//! rollbacks and disabled routes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::faults::{joins, json_answer, queries_thread};
use super::support::agent_server::AgentServerOnPort;
use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::history::RunRecord;
use super::support::proxy::{Fault, Proxy};
use super::support::real_server::RealServer;
use super::support::receiver::Receiver;
use super::support::span::Span;

const KEY: &str = "key-of-those-who-see-values";
const MODES: [&str; 3] = ["background", "wait", "stream"];
/// The tests share the real server, its ten workers and the machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn said(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

async fn daemon_at(server: &RealServer, crons: Vec<Cron>) -> (Daemon, Client) {
    let address: SocketAddr = free_address();
    let http = format!("listen = \"{address}\"\napi_keys = [\"{KEY}\"]");
    let daemon = Daemon::start(&Configuration::new(&server.url()).http(&http).crons(crons));
    (daemon, Client::new(address).with("x-api-key", KEY).ready().await)
}

/// Returns the body of the one webhook that arrived at each path.
fn body(receiver: &Receiver, path: &str) -> Value {
    let received: Vec<_> = receiver.received().into_iter().filter(|one| one.path == path).collect();
    assert_eq!(received.len(), 1, "webhooks at {path}");
    received[0].json()
}

fn of_cron<'r>(runs: &'r [RunRecord], name: &str) -> &'r RunRecord {
    runs.iter().find(|run| run.cron_name == name).unwrap_or_else(|| panic!("no run of {name}: {runs:#?}"))
}

/// Returns what `show` prints.
fn shown(daemon: &Daemon, run: &RunRecord) -> String {
    String::from_utf8(daemon.run_command(&["show", &run.run_id]).stdout).unwrap()
}

#[tokio::test]
async fn a_run_that_stopped_at_a_breakpoint_ends_as_interrupted() {
    let (server, receiver, span) = (RealServer::shared(), Receiver::start(), Span::once());
    let mut crons = Vec::new();
    for mode in MODES {
        let cron = |name: &str, assistant: &'static str| {
            let name = format!("{name}-{mode}");
            let cron = Cron::new(&name, &span).assistant(assistant).with(&format!("mode = \"{mode}\""));
            cron.with("start_deadline = \"2m\"").webhook(&receiver.url(&format!("/{name}")))
        };
        crons.push(cron("before", "steps").with("interrupt_before = [\"second\"]"));
        crons.push(cron("after", "steps").with("interrupt_after = [\"first\"]").on_thread(Uuid::new_v4()));
        crons.push(cron("every", "steps").with("interrupt_before = \"*\"\non_run_completed = \"keep\""));
        crons.push(cron("compiled", "paused"));
        crons.push(cron("last", "steps").with("interrupt_after = [\"second\"]"));
        crons.push(cron("none", "steps"));
    }
    let (daemon, client) = daemon_at(server, crons).await;
    // A client's run, and a later run that keeps its thread `busy`.
    let asked = |path: &str| {
        json!({ "assistant_id": "steps", "input": said("sleep 1"), "if_not_exists": "create",
        "interrupt_before": ["second"], "webhook": receiver.url(path) })
    };
    let thread = format!("/threads/{}/runs", Uuid::new_v4());
    assert_eq!(client.post(&thread, &asked("/busy")).await.status, 200);
    let later = json!({ "assistant_id": "steps", "input": said("hi"), "after_seconds": 1000 });
    assert_eq!(client.post(&thread, &later).await.status, 200);
    assert_eq!(client.post("/runs", &asked("/stateless")).await.status, 200);
    // A cron of a client, which fires every second until it is deleted.
    let cron = json!({ "assistant_id": "steps", "input": said("hi"), "interrupt_before": ["second"],
        "schedule": "* * * * * *", "metadata": { "name": "api" } });
    let cron = client.post("/runs/crons", &cron).await.json();
    daemon.wait_for_history("the cron to fire", |runs| runs.iter().any(|run| run.cron_name == "api")).await;
    client.send("DELETE", &format!("/runs/crons/{}", cron["cron_id"].as_str().unwrap()), "").await;

    let runs = daemon.wait_until_finished_within(PATIENCE, 6 * MODES.len() + 3).await;
    for run in &runs {
        let ends = ["last-", "none-"].iter().any(|name| run.cron_name.starts_with(name));
        let expected = if ends { ("success", "") } else { ("interrupted", "human_input") };
        assert_eq!((run.status.as_str(), run.reason_code.as_str()), expected, "{run:#?}");
        if !ends {
            assert!(run.reason.contains("stopped at a breakpoint"), "{run:#?}");
        }
    }
    for path in
        ["/busy", "/stateless", "/before-wait", "/after-stream", "/every-background", "/compiled-wait"]
    {
        let body = body(&receiver, path);
        assert_eq!(
            (&body["status"], body.get("interrupts")),
            (&json!("interrupted"), None),
            "{path}: {body}"
        );
        assert_eq!(body["metadata"]["agentcron_status"], "interrupted");
    }
    assert_eq!(body(&receiver, "/last-wait")["status"], "success");
}

#[tokio::test]
async fn runs_without_breakpoints_cost_one_request_about_their_graph_and_none_about_their_threads() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    let crons = (0..20).map(|number| Cron::new(&format!("cron-{number}"), &Span::once()));
    let daemon = Daemon::start(&Configuration::new(&proxy.url()).crons(crons));
    let runs = daemon.wait_until_finished_within(PATIENCE, 20).await;
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    let requests = proxy.received();
    let count = |part: &str| requests.iter().filter(|request| request.path.contains(part)).count();
    assert_eq!((count("/graph"), count("/history"), count("/state"), count("/search")), (1, 0, 0, 0));
}

#[tokio::test]
async fn the_question_of_a_paused_run_is_in_the_webhook_the_history_and_the_api() {
    let (server, receiver, span) = (RealServer::shared(), Receiver::start(), Span::once());
    let crons = MODES.map(|mode| {
        let cron = Cron::new(mode, &span).assistant("asker").with(&format!("mode = \"{mode}\""));
        cron.with("start_deadline = \"2m\"").webhook(&receiver.url(&format!("/{mode}")))
    });
    let (daemon, client) = daemon_at(server, crons.into()).await;
    let runs = daemon.wait_until_finished_within(PATIENCE, MODES.len()).await;
    for mode in MODES {
        let run = of_cron(&runs, mode);
        assert_eq!(
            (run.status.as_str(), run.reason_code.as_str()),
            ("interrupted", "human_input"),
            "{run:?}"
        );
        let body = body(&receiver, &format!("/{mode}"));
        assert_question(&body["interrupts"]);
        let details = client.get(&format!("/v1/runs/{}", run.run_id)).await.json();
        assert_eq!(details["interrupts"], body["interrupts"], "{details}");
        assert_eq!(daemon.json(&["show", &run.run_id])[0]["interrupts"], body["interrupts"]);
        let shown = shown(&daemon, run);
        assert!(shown.contains("questions") && shown.contains("\"question\": \"go on?\""), "{shown}");
    }
}

#[tokio::test]
async fn the_question_is_known_even_if_the_values_are_too_large() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(usize::MAX, joins, json_answer(404, "{}"));
    proxy.inject(usize::MAX, queries_thread, Fault::huge(17 << 20));
    let cron = Cron::new("asks", &Span::once()).assistant("asker");
    let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    assert_eq!(runs[0].status, "interrupted", "{runs:#?}");
    assert_question(&daemon.json(&["show", &runs[0].run_id])[0]["interrupts"]);
}

fn assert_question(interrupts: &Value) {
    let only = &interrupts[0];
    let keys: Vec<&str> =
        only.as_object().into_iter().flat_map(|one| one.keys()).map(String::as_str).collect();
    assert!(only["id"].is_string() && keys.len() == 2, "{interrupts}");
    assert_eq!(
        (&only["value"], interrupts.as_array().map(Vec::len)),
        (&json!({"question": "go on?"}), Some(1))
    );
}

#[tokio::test]
async fn a_run_that_was_rolled_back_is_cancelled_and_not_lost() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let (daemon, through) = daemon_at(server, Vec::new()).await;
    let direct = Client::new(server.address());
    let ways = ["cancelled-through-us", "cancelled-directly", "superseded"];
    for way in ways {
        let thread = format!("/threads/{}/runs", Uuid::new_v4());
        let run = json!({ "assistant_id": "agent", "input": said("sleep 60"), "if_not_exists": "create",
            "webhook": receiver.url(&format!("/{way}")) });
        let run = through.post(&thread, &run).await.json();
        let path = format!("{thread}/{}", run["run_id"].as_str().unwrap());
        wait_until_it_runs(&direct, &path).await;
        let cancel = format!("{path}/cancel?wait=true&action=rollback");
        let status = match way {
            "cancelled-through-us" => through.post(&cancel, &Value::Null).await.status,
            "cancelled-directly" => direct.post(&cancel, &Value::Null).await.status,
            _ => {
                let next =
                    json!({ "assistant_id": "agent", "input": said("hi"), "multitask_strategy": "rollback" });
                direct.post(&thread, &next).await.status
            }
        };
        assert_eq!(status, 200, "{way}");
    }
    let runs = daemon.wait_until_finished_within(PATIENCE, ways.len()).await;
    for run in &runs {
        assert_eq!((run.status.as_str(), run.reason_code.as_str()), ("cancelled", "rolled_back"), "{run:#?}");
    }
    for way in ways {
        let body = body(&receiver, &format!("/{way}"));
        assert_eq!(
            (&body["status"], &body["metadata"]["agentcron_status"]),
            (&json!("rollback"), &json!("cancelled"))
        );
        // Newer servers leave no word about a rollback.
        if let Some(error) = body.get("error") {
            assert_eq!(error["error"], "UserRollback", "{body}");
        }
    }
}

async fn wait_until_it_runs(server: &Client, path: &str) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while server.get(path).await.json()["status"] != "running" {
        assert!(tokio::time::Instant::now() < until, "{path} does not run");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_run_that_was_interrupted_says_who_did_it() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let (daemon, client) = daemon_at(server, Vec::new()).await;
    let thread = format!("/threads/{}/runs", Uuid::new_v4());
    let run = json!({ "assistant_id": "agent", "input": said("sleep 60"), "if_not_exists": "create",
        "webhook": receiver.url("/hook") });
    let run = client.post(&thread, &run).await.json();
    let path = format!("{thread}/{}", run["run_id"].as_str().unwrap());
    wait_until_it_runs(&client, &path).await;
    let next = json!({ "assistant_id": "agent", "input": said("hi"), "multitask_strategy": "interrupt" });
    let next = client.post(&thread, &next).await.json();
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    let run = &runs[0];
    assert_eq!(
        (run.status.as_str(), run.reason_code.as_str()),
        ("interrupted", "backend_interrupted"),
        "{run:#?}"
    );
    let message =
        format!("superseded by run {} (multitask_strategy=interrupt)", next["run_id"].as_str().unwrap());
    let expected = json!({ "error": "UserInterrupt", "message": message });
    assert_eq!((&run.error, &body(&receiver, "/hook")["error"]), (&expected, &expected));
    assert!(shown(&daemon, run).contains(&message));
}

#[tokio::test]
async fn a_graph_can_read_the_id_of_its_cron() {
    let (server, span) = (RealServer::shared(), Span::once());
    let crons = [
        Cron::new("plain", &span).assistant("reflector"),
        Cron::new("configured", &span)
            .assistant("reflector")
            .with("config = { configurable = { model = \"m\" } }"),
        Cron::new("context", &span).assistant("reflector").with("context = { model = \"m\" }"),
    ];
    let crons = crons.map(|cron| cron.with("start_deadline = \"2m\""));
    let (daemon, _) = daemon_at(server, crons.into()).await;
    let runs = daemon.wait_until_finished_within(PATIENCE, 3).await;
    for name in ["plain", "configured", "context"] {
        let run = &daemon.json(&["show", &of_cron(&runs, name).run_id])[0];
        let cron_id = &run["cron_id"];
        let text = run["values"]["messages"][1]["content"].as_str().unwrap_or_else(|| panic!("{run:#}"));
        let seen: Value = serde_json::from_str(text).unwrap();
        assert_eq!(&seen["metadata"], cron_id, "{name}");
        // The server refuses a request with both a context and a configuration.
        let expected = if name == "context" { &Value::Null } else { cron_id };
        assert_eq!(&seen["configurable"], expected, "{name}");
    }
}

#[tokio::test]
async fn a_disabled_route_is_not_taken_for_a_missing_assistant_thread_or_run() {
    let (server, receiver) = (RealServer::start_without(&["assistants", "threads"]), Receiver::start());
    // The thread of this run would be deleted, but there is no route for that.
    let once = Cron::new("once", &Span::once()).webhook(&receiver.url("/once"));
    // How it failed is reported by `join`, its values are on a thread that cannot be read.
    let fails = Cron::new("fails", &Span::once()).says("boom").webhook(&receiver.url("/fails"));
    let (daemon, client) = daemon_at(&server, vec![once, fails]).await;
    let cron = json!({ "assistant_id": "agent", "schedule": "0 0 1 1 *", "input": said("hi"),
        "metadata": { "name": "api" } });
    let created = client.post("/runs/crons", &cron).await;
    assert_eq!(created.status, 200, "{}", created.text());
    // The id that every server derives from the name of this graph.
    assert_eq!(created.json()["assistant_id"], "fe096781-5601-53d2-b2f6-0d3403f7e9ca");
    let on_thread = client.post(&format!("/threads/{}/runs/crons", Uuid::new_v4()), &cron).await;
    assert_eq!(on_thread.status, 200, "{}", on_thread.text());
    client.post("/v1/crons/api/trigger", &Value::Null).await;
    let runs = daemon.wait_until_finished_within(PATIENCE, 3).await;
    for name in ["once", "api"] {
        assert_eq!(of_cron(&runs, name).status, "success", "{runs:#?}");
    }
    assert_eq!(body(&receiver, "/once")["values"]["messages"].as_array().map(Vec::len), Some(2));
    let failed = of_cron(&runs, "fails");
    assert_eq!(
        (failed.status.as_str(), failed.error["message"].as_str()),
        ("error", Some("boom")),
        "{failed:#?}"
    );
    daemon.wait_until("the deletions to fail", || daemon.deletions_failed() >= 3).await;
    assert_eq!(daemon.deletions_due(), 3);
}
