//! Crons created through the agent server's own API: the responses are the server's, the runs are started by us, even if the
//! daemon is killed; and the import of the server's crons.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::real_server::{RealServer, http};
use super::support::receiver::Receiver;
use super::support::span::now;

/// Long, because the tests share the real server, its ten workers and the machine.
const PATIENCE: Duration = Duration::from_secs(120);

async fn wait_for_socket(daemon: &Daemon) {
    let is_open = || UnixStream::connect(daemon.folder().join("agentcron.sock")).is_ok();
    daemon.wait_until("the socket", is_open).await;
}

/// Sends a request over the daemon's socket and returns the status and the body of the response.
fn send(daemon: &Daemon, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = UnixStream::connect(daemon.folder().join("agentcron.sock")).unwrap();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

fn send_to_server(server: &RealServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, body) = http(server.address(), method, path, &body).unwrap();
    (status, serde_json::from_str(&body).unwrap_or_default())
}

fn create(daemon: &Daemon, path: &str, body: &Value) -> String {
    let (status, cron) = send(daemon, "POST", path, body);
    assert_eq!(status, 200, "{cron}");
    cron["cron_id"].as_str().unwrap().to_owned()
}

/// Returns how many webhooks arrived at this path.
fn deliveries(receiver: &Receiver, path: &str) -> usize {
    receiver.received().iter().filter(|request| request.path == path).count()
}

async fn wait_for_deliveries(receiver: &Receiver, daemon: &Daemon, path: &str, count: usize) {
    let what = format!("{count} webhooks at {path}");
    daemon.wait_within(PATIENCE, &what, || (deliveries(receiver, path) >= count).then_some(())).await;
}

#[tokio::test]
async fn a_cron_survives_kills_and_changes_until_it_is_deleted() {
    let (server, receiver) = (RealServer::shared(), Receiver::start());
    let rarely = Cron::bare("rarely").with("schedule = \"0 0 1 1 *\"");
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(rarely));
    wait_for_socket(&daemon).await;
    let every_two_seconds = json!({
        "assistant_id": "agent", "schedule": "* * * * * */2", "webhook": receiver.url("/first?token=SECRET"),
        "input": {"messages": [{"role": "user", "content": "hi"}]}, "metadata": {"name": "first", "team": "ops"},
    });
    let first = create(&daemon, "/runs/crons", &every_two_seconds);
    wait_for_deliveries(&receiver, &daemon, "/first?token=SECRET", 1).await;
    let body = &receiver.received()[0].json();
    assert_eq!((&body["status"], &body["metadata"]["team"]), (&json!("success"), &json!("ops")));
    assert_eq!(
        (&body["metadata"]["cron_id"], &body["metadata"]["cron_name"]),
        (&json!(first), &json!("first"))
    );
    for name_or_id in ["first", first.as_str()] {
        let runs = daemon.json(&["history", "--cron", name_or_id]);
        assert!(!runs.is_empty() && runs.iter().all(|run| run["trigger"] == "schedule"), "{runs:?}");
    }

    daemon.kill9();
    let before = deliveries(&receiver, "/first?token=SECRET");
    daemon.start_again();
    wait_for_deliveries(&receiver, &daemon, "/first?token=SECRET", before + 1).await;

    // A cron on a thread shows that the scheduler is working.
    let thread_id = Uuid::new_v4().to_string();
    assert_eq!(send_to_server(server, "POST", "/threads", &json!({"thread_id": thread_id})).0, 200);
    let other = json!({
        "assistant_id": "agent", "schedule": "* * * * * */2", "webhook": receiver.url("/other"),
        "input": {"messages": [{"role": "user", "content": "hi"}]},
    });
    wait_for_socket(&daemon).await;
    let second = create(&daemon, &format!("/thread/{thread_id}/runs/crons"), &other);
    let path = format!("/runs/crons/{first}");
    assert_eq!(send(&daemon, "PATCH", &path, &json!({"schedule": "0 0 1 1 *"})).0, 200);
    daemon.kill9();
    let patched = now();
    daemon.start_again();
    wait_for_deliveries(&receiver, &daemon, "/other", 3).await;
    assert_eq!(fired_since(&daemon, &first, patched), 0, "the new schedule has no occurrence now");

    wait_for_socket(&daemon).await;
    assert_eq!(send(&daemon, "PATCH", &path, &json!({"schedule": "* * * * * */2"})).0, 200);
    let before = deliveries(&receiver, "/first?token=SECRET");
    wait_for_deliveries(&receiver, &daemon, "/first?token=SECRET", before + 1).await;
    assert_eq!(send(&daemon, "DELETE", &path, &Value::Null).0, 204);
    daemon.kill9();
    let deleted = now();
    daemon.start_again();
    let before = deliveries(&receiver, "/other");
    wait_for_deliveries(&receiver, &daemon, "/other", before + 3).await;
    assert_eq!(fired_since(&daemon, &first, deleted), 0, "it is deleted");
    assert!(!daemon.json(&["history", "--cron", "first"]).is_empty(), "its history stays");

    wait_for_socket(&daemon).await;
    let (_, found) = send(&daemon, "POST", "/runs/crons/search", &json!({"sort_order": "asc"}));
    let ids: Vec<&str> =
        found.as_array().unwrap().iter().map(|cron| cron["cron_id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), ids[1]), (2, second.as_str()));
    let (status, refused) = send(&daemon, "DELETE", &format!("/runs/crons/{}", ids[0]), &Value::Null);
    assert!(status == 409 && refused["detail"].as_str().unwrap().contains("agentcron.toml:"), "{refused}");
    let fired: Vec<_> = daemon.history().into_iter().filter(|run| run.was_fired()).collect();
    let instants: std::collections::BTreeSet<_> =
        fired.iter().map(|run| (run.cron_name.clone(), run.scheduled_for)).collect();
    assert_eq!(instants.len(), fired.len(), "no instant was started twice");
    assert!(!daemon.stderr().contains("SECRET"));
}

fn fired_since(daemon: &Daemon, cron: &str, since: Timestamp) -> usize {
    let runs = daemon.json(&["history", "--cron", cron]);
    let instant = |run: &Value| run["scheduled_for"].as_str().unwrap().parse::<Timestamp>().unwrap();
    runs.iter().filter(|run| instant(run) > since).count()
}

/// Makes the same calls to the server and to us, and expects the same statuses, bodies and messages, except for ids and
/// times.
#[tokio::test]
async fn the_server_and_we_respond_alike() {
    let server = RealServer::shared();
    let daemon = Daemon::start(&Configuration::new(&server.url()));
    wait_for_socket(&daemon).await;
    let thread_id = Uuid::new_v4().to_string();
    assert_eq!(send_to_server(server, "POST", "/threads", &json!({"thread_id": thread_id})).0, 200);
    let on_thread = format!("/threads/{thread_id}/runs/crons");
    let salt = Uuid::new_v4().to_string();
    let cron = |more: Value| {
        let mut body = json!({"assistant_id": "agent", "schedule": "0 0 1 1 *", "metadata": {"salt": salt, "n": {"a": 1}}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let search = |more: Value| {
        let mut body = json!({"metadata": {"salt": salt}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    // `ID` is the cron that the first call created.
    let calls = [
        ("POST", "/runs/crons", cron(json!({"input": {"a": 1}, "config": {"tags": ["t"]}, "bogus": 1}))),
        (
            "POST",
            &on_thread,
            // `on_run_completed` is left out: it means nothing for a cron on a thread, and the server does not return it.
            cron(json!({"enabled": false, "timezone": "Asia/Tokyo"})),
        ),
        (
            "POST",
            "/runs/crons",
            cron(json!({"on_run_completed": "keep", "end_time": "2027-06-01T00:00:00+02:00"})),
        ),
        ("GET", "/runs/crons/ID", Value::Null),
        ("PATCH", "/runs/crons/ID", json!({"schedule": "0 5 1 1 *", "metadata": {"n": {"b": 2}, "x": null}})),
        ("PATCH", "/runs/crons/ID", json!({"timezone": "Europe/Berlin", "end_time": "2030-01-01T00:00:00Z"})),
        ("PATCH", "/runs/crons/ID", json!({"end_time": null, "enabled": true, "input": {"b": 2}})),
        ("PATCH", "/runs/crons/ID", json!({"config": {"configurable": {"y": 2}}, "context": {"a": 1}})),
        (
            "PATCH",
            "/runs/crons/ID",
            json!({"on_run_completed": "keep", "assistant_id": "asker", "bogus": [1]}),
        ),
        (
            "PATCH",
            "/runs/crons/ID",
            json!({"stream_mode": ["updates"], "durability": "sync", "interrupt_before": "*"}),
        ),
        ("PATCH", "/runs/crons/ID", json!({})),
        ("PATCH", "/runs/crons/ID", json!({"schedule": "bad"})),
        ("PATCH", "/runs/crons/ID", json!({"timezone": "Mars/X"})),
        ("PATCH", "/runs/crons/ID", json!({"end_time": 5})),
        ("PATCH", "/runs/crons/ID", json!({"webhook": null})),
        ("PATCH", "/runs/crons/x", json!({"enabled": true})),
        ("POST", "/runs/crons/search", search(json!({}))),
        ("POST", "/runs/crons/search", search(json!({"limit": 1, "offset": 1}))),
        ("POST", "/runs/crons/search", search(json!({"sort_by": "thread_id", "sort_order": "asc"}))),
        (
            "POST",
            "/runs/crons/search",
            search(json!({"sort_by": "next_run_date", "select": ["next_run_date", "schedule"]})),
        ),
        ("POST", "/runs/crons/search", search(json!({"enabled": false}))),
        ("POST", "/runs/crons/search", json!({"metadata": {"salt": salt, "n": {"a": 1}}})),
        ("POST", "/runs/crons/search", json!({"metadata": {"salt": salt, "x": null}})),
        ("POST", "/runs/crons/search", json!({"thread_id": thread_id, "select": ["timezone", "payload"]})),
        ("POST", "/runs/crons/search", json!({"limit": 0})),
        ("POST", "/runs/crons/search", json!({"assistant_id": "agent"})),
        ("POST", "/runs/crons/search", json!([])),
        ("POST", "/runs/crons/count", search(json!({}))),
        ("POST", "/runs/crons/count", search(json!({"enabled": false}))),
        ("POST", "/runs/crons", cron(json!({"assistant_id": "nope"}))),
        ("POST", "/runs/crons", cron(json!({"assistant_id": thread_id}))),
        ("POST", "/runs/crons", cron(json!({"schedule": "bad"}))),
        ("POST", "/runs/crons", cron(json!({"input": [1]}))),
        ("POST", "/runs/crons", cron(json!({"config": {"recursion_limit": "x"}}))),
        ("POST", &on_thread, cron(json!({"multitask_strategy": "bogus"}))),
        ("POST", "/threads/x/runs/crons", cron(json!({}))),
        ("POST", "/threads/44444444-4444-4444-8444-444444444444/runs/crons", cron(json!({}))),
        ("GET", "/runs/crons", Value::Null),
        ("DELETE", "/runs/crons/ID", Value::Null),
        ("DELETE", "/runs/crons/ID", Value::Null),
        ("GET", "/runs/crons/ID", Value::Null),
        ("PATCH", "/runs/crons/ID", json!({"enabled": true})),
    ];
    let mut ids: Option<(String, String)> = None;
    for (method, path, body) in calls {
        let (theirs_id, ours_id) = ids.clone().unwrap_or_default();
        let theirs = send_to_server(server, method, &path.replace("ID", &theirs_id), &body);
        let ours = send(&daemon, method, &path.replace("ID", &ours_id), &body);
        ids = ids.or_else(|| {
            let id = |cron: &Value| cron["cron_id"].as_str().map(str::to_owned);
            Some((id(&theirs.1)?, id(&ours.1)?))
        });
        let call = format!("{method} {path} {body}");
        assert_eq!(ours.0, theirs.0, "{call}: {} instead of {}", ours.1, theirs.1);
        match (ours.1["detail"].as_str(), theirs.1["detail"].as_str()) {
            // Our message may continue with what is wrong with the schedule.
            (Some(ours), Some(theirs)) => {
                let ours =
                    if ours_id.is_empty() { ours.to_owned() } else { ours.replace(&ours_id, &theirs_id) };
                assert!(ours.starts_with(theirs), "{call}: {ours:?}, not {theirs:?}");
            }
            (_, _) => assert_eq!(without_ids_and_times(&ours.1), without_ids_and_times(&theirs.1), "{call}"),
        }
    }
    let left = send_to_server(server, "POST", "/runs/crons/search", &search(json!({"limit": 100}))).1;
    for cron in left.as_array().unwrap() {
        let path = format!("/runs/crons/{}", cron["cron_id"].as_str().unwrap());
        assert_eq!(send_to_server(server, "DELETE", &path, &Value::Null).0, 204);
    }
}

/// Returns the body without ids of crons and times of creation and change.
fn without_ids_and_times(body: &Value) -> Value {
    match body {
        Value::Array(items) => items.iter().map(without_ids_and_times).collect(),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| match key.as_str() {
                "cron_id" | "created_at" | "updated_at" => (key.clone(), json!(value.as_str().map(str::len))),
                _ => (key.clone(), without_ids_and_times(value)),
            };
            entries.iter().map(entry).collect()
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_servers_crons_are_imported_into_a_file_that_passes_check_and_starts_runs() {
    let server = RealServer::start();
    let receiver = Receiver::start();
    let cron = json!({
        "assistant_id": "agent", "schedule": "0 0 1 1 *", "timezone": "Europe/Berlin",
        "webhook": receiver.url("/hook?token=SECRET"), "metadata": {"name": "digest"},
        "input": {"messages": [{"role": "user", "content": "from there"}]},
    });
    // These are more than a page.
    for index in 0..101 {
        let mut cron = cron.clone();
        if index > 0 {
            cron["metadata"] = json!({ "index": index });
        }
        assert_eq!(send_to_server(&server, "POST", "/runs/crons", &cron).0, 200);
    }
    let configuration = Configuration::new(&server.url()).top("include = [\"crons.d/*.toml\"]");
    let mut daemon = Daemon::prepare(&configuration);
    let shown = daemon.run_command(&["import", "--from", &server.url(), "--out", "-"]);
    let imported = daemon.json(&["import", "--from", &server.url()]);
    assert_eq!((&imported[0]["crons"], &imported[0]["left_out"]), (&json!(101), &json!(0)), "{imported:?}");
    assert_eq!(imported[0]["variables"], json!(["WEBHOOK_TOKEN"]));
    let file = std::fs::read_to_string(daemon.folder().join("crons.d/imported.toml")).unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), file);
    assert!(!file.contains("SECRET") && file.contains("#   WEBHOOK_TOKEN\n"), "{file}");
    let again = daemon.run_command(&["import", "--from", &server.url()]);
    assert_eq!(again.status.code(), Some(1), "nothing is overwritten");
    assert!(daemon.run_command(&["import", "--from", &server.url(), "--force"]).status.success());

    daemon.start_with(&[("WEBHOOK_TOKEN", "SECRET")]);
    let check = daemon.run_command(&["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    wait_for_socket(&daemon).await;
    daemon.json(&["trigger", "digest"]);
    wait_for_deliveries(&receiver, &daemon, "/hook?token=SECRET", 1).await;
    let body = receiver.received()[0].json();
    assert_eq!(body["status"], "success");
    assert!(body["values"].to_string().contains("echo: from there"), "{body}");
}
