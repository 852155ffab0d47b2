//! Runs with a webhook, started through the daemon by plain HTTP on a real LangGraph server: the client gets what the
//! server would give it, and the receiver gets one webhook, even if the client leaves or the daemon is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures_util::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::client::Client;
use super::support::configuration::Configuration;
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::history::RunRecord;
use super::support::real_server::RealServer;
use super::support::receiver::{Received, Receiver};

const SAMPLE: &str = include_str!("../fixtures/langgraph/webhook_success.json");

/// The six operations that take a webhook. The public guide writes one of them in the singular.
const OPERATIONS: [&str; 6] = [
    "/threads/{}/runs",
    "/thread/{}/runs/stream",
    "/threads/{}/runs/wait",
    "/runs",
    "/runs/stream",
    "/runs/wait",
];

fn daemon_at(address: SocketAddr, server: &RealServer) -> Daemon {
    Daemon::start(&configured(address, server))
}

fn configured(address: SocketAddr, server: &RealServer) -> Configuration {
    Configuration::new(&server.url()).http(&format!("listen = \"{address}\""))
}

/// Returns a request for a run of `agent`, with a webhook to a path of its own.
fn body(says: &str, receiver: &Receiver, operation: &str) -> Value {
    json!({
        "assistant_id": "agent",
        "input": { "messages": [{ "role": "user", "content": says }] },
        "webhook": receiver.url(&hook(operation)),
    })
}

fn hook(operation: &str) -> String {
    format!("/hook{}", operation.replace("/{}", ""))
}

async fn new_thread(client: &Client) -> String {
    client.post("/threads", &json!({})).await.json()["thread_id"].as_str().unwrap().to_owned()
}

async fn path_of(operation: &str, client: &Client) -> String {
    match operation.contains("{}") {
        true => operation.replace("{}", &new_thread(client).await),
        false => operation.to_owned(),
    }
}

/// Checks that each operation led to exactly one webhook, a success with the keys of the server's own webhook.
async fn assert_one_webhook_each(daemon: &Daemon, receiver: &Receiver) {
    receiver
        .wait_until("a webhook for every operation", |received| {
            let paths: BTreeSet<&str> = received.iter().map(|received| received.path.as_str()).collect();
            paths.len() == OPERATIONS.len()
        })
        .await;
    let runs = daemon.wait_until_finished(OPERATIONS.len()).await;
    assert!(runs.iter().all(|run| run.cron_name.is_empty() && run.status == "success"), "{runs:#?}");
    assert_eq!(runs.len(), OPERATIONS.len(), "{runs:#?}");
    let received = receiver.received();
    assert_eq!(received.len(), OPERATIONS.len(), "{received:#?}");
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    for webhook in received {
        let body = webhook.json();
        assert_eq!(keys(&body), keys(&sample["body"]), "{}", webhook.path);
        assert_eq!(body["status"], "success");
        let run = runs.iter().find(|run| body["run_id"] == run.backend_run_id.as_str());
        assert_eq!(body["thread_id"], run.unwrap().thread_id.as_str(), "{}", webhook.path);
        let messages = body["values"]["messages"].as_array().unwrap();
        assert!(messages.last().unwrap()["content"].as_str().unwrap().starts_with("echo: "), "{body}");
    }
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn each_operation_delivers_its_webhook_and_the_client_gets_the_servers_response() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let daemon = daemon_at(address, server);
    let (through, direct) = (Client::new(address).ready().await, Client::new(server.address()));
    for operation in OPERATIONS {
        let path = path_of(operation, &through).await;
        let response = through.post(&path, &body("hi", &receiver, operation)).await;
        // The server itself has no path in the singular, and accepts no webhook to a loopback address.
        let path = path_of(&operation.replace("/thread/", "/threads/"), &direct).await;
        let mut without_webhook = body("hi", &receiver, operation);
        without_webhook.as_object_mut().unwrap().remove("webhook");
        let expected = direct.post(&path, &without_webhook).await;
        assert_eq!(response.status, expected.status, "{operation}: {}", response.text());
        assert_eq!(names(&response.headers), names(&expected.headers), "{operation}");
        assert_eq!(shape(&response.text()), shape(&expected.text()), "{operation}");
    }
    assert_one_webhook_each(&daemon, &receiver).await;
    // The threads of stateless runs are gone, as they are without us.
    daemon.wait_until("the threads of stateless runs to be gone", || daemon.deletions_due() == 0).await;
    for run in daemon.history() {
        let thread = direct.get(&format!("/threads/{}", run.thread_id)).await;
        let received = receiver.received();
        let is_about_run = |webhook: &&Received| webhook.json()["run_id"] == run.backend_run_id.as_str();
        let path = &received.iter().find(is_about_run).unwrap().path;
        let expected = if path.starts_with("/hook/runs") { 404 } else { 200 };
        assert_eq!(thread.status, expected, "{path}: {}", thread.text());
    }
}

/// Returns the names of the headers that are not about the connection.
fn names(headers: &http::HeaderMap) -> BTreeSet<String> {
    let of_connection = ["connection", "transfer-encoding", "content-length"];
    headers.keys().map(ToString::to_string).filter(|name| !of_connection.contains(&name.as_str())).collect()
}

/// Returns the shape of a response, without ids and times: the keys of JSON, or the events and their keys.
fn shape(text: &str) -> Vec<String> {
    let keys_of = |json: &str| match serde_json::from_str::<Value>(json) {
        Ok(Value::Object(object)) => object.keys().cloned().collect::<Vec<_>>().join(" "),
        Ok(_) | Err(_) => json.to_owned(),
    };
    let line = |line: &str| match line.split_once("data: ") {
        Some((_, data)) => keys_of(data),
        None => keys_of(line.trim()),
    };
    text.lines().filter(|text| !text.trim().is_empty() && !text.starts_with(':')).map(line).collect()
}

#[tokio::test]
async fn each_operation_delivers_its_webhook_although_the_client_leaves_at_once() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let daemon = daemon_at(address, server);
    let client = Client::new(address).ready().await;
    for operation in OPERATIONS {
        let mut body = body("sleep 0.5", &receiver, operation);
        body["on_disconnect"] = json!("continue");
        client.post_and_leave(&path_of(operation, &client).await, &body).await;
    }
    assert_one_webhook_each(&daemon, &receiver).await;
}

#[tokio::test]
async fn each_operation_delivers_its_webhook_although_the_daemon_is_killed_meanwhile() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let mut daemon = daemon_at(address, server);
    let client = Client::new(address).ready().await;
    let mut open = Vec::new();
    for operation in OPERATIONS {
        let mut body = body("sleep 4", &receiver, operation);
        body["on_disconnect"] = json!("continue");
        let path = path_of(operation, &client).await;
        open.push(client.open("POST", &path, body.to_string()).await);
    }
    daemon.wait_for_history("all runs to be recorded", |runs| runs.len() == OPERATIONS.len()).await;
    daemon.kill9();
    drop(open);
    daemon.start_again();
    assert_one_webhook_each(&daemon, &receiver).await;
}

/// Wherever the daemon dies: if the server got the run, the next daemon follows it and delivers one webhook; if not, the next
/// daemon never sends it.
#[tokio::test]
async fn a_daemon_that_dies_during_a_request_delivers_one_webhook_if_the_run_was_started() {
    let server = RealServer::shared();
    for (crash_at, starts) in [("client_run_committed", false), ("client_run_answered", true)] {
        for operation in OPERATIONS {
            let receiver = Receiver::start();
            let address = free_address();
            let mut daemon =
                Daemon::prepare(&configured(address, server).backend("request_timeout = \"500ms\""));
            daemon.start_with(&[("CRASH_AT", crash_at)]);
            let client = Client::new(address).ready().await;
            let path = path_of(operation, &client).await;
            let mut body = body("hi", &receiver, operation);
            body["on_disconnect"] = json!("continue");
            client.post_and_leave(&path, &body).await;
            daemon.wait_for_exit().await;
            daemon.start_again();
            let runs = daemon.wait_until_finished(1).await;
            let case = format!("{crash_at} {operation}: {runs:#?}");
            assert_eq!(runs.len(), 1, "{case}");
            assert_eq!(runs[0].status, if starts { "success" } else { "error" }, "{case}");
            // Another test may have used this port a moment ago, so only requests to this path count.
            let received = receiver.received();
            let webhooks = received.iter().filter(|webhook| webhook.path == hook(operation)).count();
            assert_eq!(webhooks, usize::from(starts), "{case} {received:#?}");
            assert!(starts || runs[0].reason_code == "rejected", "{case}");
        }
    }
}

#[tokio::test]
async fn a_run_that_is_to_end_with_its_client_does() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let daemon = daemon_at(address, server);
    let client = Client::new(address).ready().await;
    for operation in ["/threads/{}/runs/stream", "/runs/stream"] {
        let mut body = body("sleep 20", &receiver, operation);
        body["on_disconnect"] = json!("cancel");
        let path = path_of(operation, &client).await;
        let (_, mut events) = client.open("POST", &path, body.to_string()).await.into_parts();
        let first = events.next().await.unwrap().unwrap();
        assert!(first.starts_with(b"event: metadata"), "{first:?}");
        drop(events);
    }
    let runs = daemon.wait_until_finished(2).await;
    assert!(runs.iter().all(|run| run.status == "interrupted"), "{runs:#?}");
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn what_the_server_refuses_is_refused_with_its_message_and_sends_no_webhook() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let daemon = daemon_at(address, server);
    let (through, direct) = (Client::new(address).ready().await, Client::new(server.address()));
    let thread_id = new_thread(&direct).await;
    let own = format!("/threads/{thread_id}/runs");
    let unknown = format!("/threads/{}/runs/wait", Uuid::new_v4());
    let hook = json!(receiver.url("/hook"));
    let cases = [
        (own.as_str(), json!({ "assistant_id": Uuid::nil().to_string(), "webhook": hook }), 1),
        ("/runs/stream", json!({ "assistant_id": Uuid::nil().to_string(), "webhook": hook }), 1),
        (unknown.as_str(), json!({ "assistant_id": "agent", "webhook": hook }), 1),
        (
            own.as_str(),
            json!({ "assistant_id": "agent", "input": {}, "multitask_strategy": 5, "webhook": hook }),
            1,
        ),
        ("/runs", json!({ "assistant_id": "agent", "webhook": 5 }), 0),
        ("/runs", json!({ "assistant_id": "agent", "webhook": "" }), 0),
        ("/runs", json!({ "assistant_id": "agent", "webhook": null }), 0),
        ("/threads/nonsense/runs", json!({ "assistant_id": "agent", "webhook": hook }), 0),
        ("/runs", json!("webhook"), 0),
    ];
    let mut expected_records = 0;
    for (path, body, records) in cases {
        let (response, expected) = (through.post(path, &body).await, direct.post(path, &body).await);
        assert_eq!((response.status, response.text()), (expected.status, expected.text()), "{path} {body}");
        assert!(response.status >= 400, "{path} {body}: {}", response.text());
        expected_records += records;
    }
    // What may have a webhook and is not understood is not even forwarded, and so refused with a message of ours.
    let no_assistant = json!({ "webhook": hook }).to_string();
    for (body, message) in
        [("{\"webhook\": ", "body: EOF"), (no_assistant.as_str(), "assistant_id: expected")]
    {
        let (response, expected) = (
            through.send("POST", "/runs", body.to_owned()).await,
            direct.send("POST", "/runs", body.to_owned()).await,
        );
        assert!(expected.status >= 400, "{body}: {}", expected.text());
        assert_eq!(response.status, 422, "{body}");
        assert!(response.detail().starts_with(message), "{body}: {}", response.text());
    }
    let runs = daemon.wait_until_finished(expected_records).await;
    assert_eq!(runs.len(), expected_records, "{runs:#?}");
    let is_rejected = |run: &RunRecord| {
        run.status == "error"
            && run.reason_code == "rejected"
            && run.reason.starts_with("the agent server answered 4")
            && run.webhook.is_none()
    };
    assert!(runs.iter().all(is_rejected), "{runs:#?}");
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test]
async fn a_webhook_url_against_the_policy_is_refused_and_a_placeholder_in_one_is_plain_text() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let mut daemon = Daemon::prepare(&configured(address, server));
    daemon.start_with(&[("HOOK_TOKEN", "of-the-operator")]);
    let client = Client::new(address).ready().await;
    let start = async |webhook: &str| {
        client.post("/runs", &json!({ "assistant_id": "agent", "input": {}, "webhook": webhook })).await
    };
    for (url, message) in [
        ("ftp://a.example/x", "Webhook host blocked: scheme 'ftp' not allowed"),
        ("http://169.254.169.254/x", "Webhook host blocked: "),
        ("http://a.example:25/x", "Webhook port 25 not allowed"),
        ("/of/the/app", "Webhook must be a full URL"),
        (&format!("https://a.example/{}", "x".repeat(5000)), "Webhook URL too long"),
    ] {
        let response = start(url).await;
        assert_eq!(response.status, 422, "{url}");
        assert!(response.detail().starts_with(message), "{}", response.detail());
    }
    assert_eq!(daemon.history().len(), 0);
    assert_eq!(start(&receiver.url("/hook?token=${{env.HOOK_TOKEN}}")).await.status, 200);
    let received = receiver.wait_for(1).await;
    assert!(!received[0].path.contains("of-the-operator"), "{}", received[0].path);
    assert!(received[0].path.contains("env.HOOK_TOKEN"), "{}", received[0].path);
}

#[tokio::test]
async fn with_webhooks_disabled_runs_are_accepted_and_their_webhooks_are_suppressed() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let address = free_address();
    let daemon = Daemon::start(&configured(address, server).http("disable_webhooks = true"));
    let client = Client::new(address).ready().await;
    assert_eq!(client.post("/runs/wait", &body("hi", &receiver, "/runs/wait")).await.status, 200);
    let runs = daemon.wait_until_finished(1).await;
    assert_eq!(runs[0].webhook.as_ref().unwrap().status, "suppressed");
    assert_eq!(receiver.received().len(), 0);
    let run: BTreeMap<String, Value> = serde_json::from_value(daemon.json(&["history"])[0].clone()).unwrap();
    assert_eq!(
        (&run["cron_id"], &run["cron_name"], &run["trigger"]),
        (&Value::Null, &Value::Null, &json!("api"))
    );
    assert_eq!(daemon.json(&["webhook", "list"])[0]["cron_name"], Value::Null);
    let shown = daemon.run_command(&["history"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("(api)"));
}
