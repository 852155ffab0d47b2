//! What is kept and what goes, with the real binary: the bytes of the files are searched for what must not be there.

use expect_test::{Expect, expect};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::support::agent_server::AgentServerOnPort;
use super::support::client::Client;
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::receiver::{Receiver, Reply};

/// What a person has said. It comes into the input by a variable, since a definition is stored as it is written.
const SAID: &str = "pl4nted-word-of-a-person";

fn config(backend: &str, store: &str, more: &str) -> String {
    format!(
        "[backend]\nurl = \"{backend}\"\n[http]\nlisten = \"off\"\n[webhooks.url]\ndisable_loopback = false\n\
         [store]\npath = \"{{folder}}/agentcron.db\"\n{store}\n{more}"
    )
}

/// A cron that never fires by itself.
fn cron(name: &str, assistant: &str, receiver: &Receiver, more: &str) -> String {
    format!(
        "[cron.{name}]\nschedule = \"0 0 1 1 *\"\nassistant_id = \"{assistant}\"\nwebhook = \"{}\"\n\
         input = {{ messages = [{{ role = \"user\", content = \"${{{{ env.SAID }}}}\" }}], secret = \"${{{{ env.SAID }}}}\" }}\n{more}\n",
        receiver.url(&format!("/{name}"))
    )
}

/// Returns whether a text is in one of the files of the database.
fn is_stored(daemon: &Daemon, text: &str) -> bool {
    let files = ["agentcron.db", "agentcron.db-wal"].map(|name| daemon.folder().join(name));
    files.iter().any(|file| {
        let bytes = std::fs::read(file).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn database(daemon: &Daemon) -> Connection {
    let connection = Connection::open(daemon.database()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection
}

fn count(daemon: &Daemon, sql: &str) -> i64 {
    database(daemon).query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn start(daemon: &mut Daemon) {
    daemon.start_with(&[("SAID", SAID)]);
    daemon.wait_for_stderr("daemon ready").await;
}

async fn trigger(daemon: &Daemon, cron: &str) -> String {
    let run_id = daemon.json(&["trigger", cron])[0]["run_id"].as_str().unwrap().to_owned();
    let has_ended = || daemon.json(&["show", &run_id])[0]["phase"] == "ended";
    daemon.wait_until("the run has ended", has_ended).await;
    run_id
}

async fn webhooks_have_ended(daemon: &Daemon) {
    let open = "SELECT count(*) FROM deliveries WHERE ended_at IS NULL";
    daemon.wait_until("the webhooks have ended", || count(daemon, open) == 0).await;
}

fn shows(daemon: &Daemon, arguments: &[&str], code: i32, expected: Expect) {
    let output = daemon.run_command(arguments);
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    expected.assert_eq(&text);
}

#[tokio::test]
async fn what_is_redacted_is_never_written() {
    let (server, receiver, listen) = (AgentServerOnPort::start(), Receiver::start(), free_address());
    // While no receiver answers, the bodies wait in the database.
    receiver.reply_always(Reply::status(503));
    let store = r#"redact = ["/messages/*/content"]"#;
    let crons = cron("tells", "agent", &receiver, "redact = [\"/secret\"]")
        + &cron("asks", "asker", &receiver, "redact = [\"/secret\", \"/question\"]");
    let config = config(&server.url(), store, &crons).replace("\"off\"", &format!("\"{listen}\""));
    let mut daemon = Daemon::prepare(&config);
    start(&mut daemon).await;
    let client = Client::new(listen).ready().await;
    let run_id = trigger(&daemon, "tells").await;
    trigger(&daemon, "asks").await;
    let body = json!({
        "assistant_id": "agent", "webhook": receiver.url("/client"), "if_not_exists": "create",
        "input": { "messages": [{ "role": "user", "content": SAID }] },
    });
    let thread = uuid::Uuid::new_v4();
    let answer = client.post(&format!("/threads/{thread}/runs/wait"), &body).await;
    assert!(answer.text().contains(SAID), "the client gets what it asked for: {}", answer.text());
    receiver
        .wait_until("all three", |received| {
            ["/tells", "/asks", "/client"].iter().all(|path| received.iter().any(|one| one.path == *path))
        })
        .await;
    for webhook in receiver.received() {
        let body = webhook.json();
        match webhook.path.as_str() {
            "/asks" => assert_eq!(body["interrupts"][0]["value"], json!({ "question": "[redacted]" })),
            _ => {
                let messages = body["values"]["messages"].as_array().unwrap();
                assert_eq!(messages.len(), 2, "a word and its echo");
                assert!(messages.iter().all(|message| message["content"] == "[redacted]"), "{body}");
            }
        }
        assert_eq!(body["kwargs"]["input"]["messages"][0]["content"], "[redacted]");
    }
    let values = &daemon.json(&["show", &run_id])[0]["values"];
    assert_eq!(values["messages"][0]["content"], "[redacted]");
    assert_eq!(values["messages"][0]["role"], "user", "the rest is kept");
    daemon.terminate();
    daemon.wait_for_exit().await;
    assert!(!is_stored(&daemon, SAID) && !is_stored(&daemon, "go on?"));
    assert!(is_stored(&daemon, "[redacted]"));
}

#[tokio::test]
async fn values_that_are_not_kept_are_not_written_and_a_body_goes_with_its_delivery() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    receiver.reply_always(Reply::status(503));
    let crons =
        cron("kept", "agent", &receiver, "") + &cron("not-kept", "agent", &receiver, "keep_values = \"0\"");
    let mut daemon = Daemon::prepare(&config(&server.url(), "", &crons));
    start(&mut daemon).await;
    let run_id = trigger(&daemon, "not-kept").await;
    assert_eq!(daemon.json(&["show", &run_id])[0]["values"], Value::Null);
    receiver.wait_for(1).await;
    assert!(receiver.received()[0].json()["values"].to_string().contains(SAID), "the receiver gets them");
    assert!(is_stored(&daemon, SAID), "a body that waits");
    // Each way in which a delivery ends.
    for reply in [200, 410] {
        receiver.reply_always(Reply::status(reply));
        let output = daemon.run_command(&["webhook", "replay", &run_id]);
        assert!(output.status.success() || reply == 410, "{output:?}");
        webhooks_have_ended(&daemon).await;
        assert_eq!(count(&daemon, "SELECT count(*) FROM deliveries WHERE body IS NOT NULL"), 0);
    }
    let refused = daemon.run_command(&["webhook", "replay", &run_id]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && text.contains("cannot be sent again: its body is deleted"),
        "{text}"
    );
    receiver.reply_always(Reply::status(503));
    let kept = trigger(&daemon, "kept").await;
    assert!(daemon.json(&["show", &kept])[0]["values"].to_string().contains(SAID));
}

#[tokio::test]
async fn what_is_old_is_listed_and_pruned_and_the_truth_is_told_about_it() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let crons = cron("yearly", "agent", &receiver, "keep = \"30d\"");
    let mut daemon = Daemon::prepare(&config(&server.url(), "", &crons));
    start(&mut daemon).await;
    trigger(&daemon, "yearly").await;
    webhooks_have_ended(&daemon).await;
    shows(
        &daemon,
        &["prune", "--dry-run"],
        0,
        expect![[r#"
        nothing is to be deleted
    "#]],
    );
    // 2024-01-01, long ago.
    database(&daemon)
        .execute_batch(
            "UPDATE runs SET scheduled_for = 1704067200000, ended_at = 1704067201000; \
             UPDATE crons SET created_at = 1000, cursor = 1735689600000; UPDATE deliveries SET ended_at = 1704067202000;",
        )
        .unwrap();
    let would = &daemon.json(&["prune", "--dry-run"])[0];
    assert_eq!((&would["cron_name"], &would["because"]), (&json!("yearly"), &json!("keep")));
    assert_eq!((&would["runs"], &would["deliveries"]), (&json!(1), &json!(1)));
    assert!(would["bytes"].as_u64().unwrap() > 100);
    let done = &daemon.json(&["prune"])[0];
    assert_eq!(
        (&done["runs"], &done["deliveries"], &done["clock_doubted_seconds"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(count(&daemon, "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM deliveries)"), 0);
    shows(
        &daemon,
        &["prune"],
        0,
        expect![[r#"
        deleted: 0 runs, 0 webhooks, values of 0 runs
    "#]],
    );
    let explained = &daemon.json(&["explain", "yearly", "--at", "2024-01-01T00:00:00Z"])[0];
    assert_eq!(explained["verdict"], "history-deleted", "{explained}");
    let backfill = ["backfill", "yearly", "--from", "2023-01-01", "--to", "2025-01-02", "--dry-run"];
    let would = &daemon.json(&backfill)[0];
    let instants = would["instants"].as_array().unwrap();
    assert_eq!(
        (instants.len(), &instants[0]["scheduled_for"]),
        (1, &json!("2025-01-01T00:00:00Z")),
        "{would}"
    );
    let text = String::from_utf8(daemon.run_command(&backfill).stdout).unwrap();
    assert!(
        text.contains("are left out: the daemon did not know yearly yet, or has deleted its records"),
        "{text}"
    );
}

#[tokio::test]
async fn a_person_is_forgotten_to_the_last_byte() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let crons = cron("kept", "agent", &receiver, "")
        + &cron("told", "agent", &receiver, "on_run_completed = \"keep\"");
    let mut daemon = Daemon::prepare(&config(&server.url(), "", &crons));
    start(&mut daemon).await;
    let run_id = trigger(&daemon, "told").await;
    webhooks_have_ended(&daemon).await;
    assert!(is_stored(&daemon, SAID));
    let thread = daemon.json(&["show", &run_id])[0]["thread_id"].as_str().unwrap().to_owned();

    // What is in progress stays.
    receiver.reply_always(Reply::status(503));
    let waits = trigger(&daemon, "told").await;
    let refused = daemon.run_command(&["forget", "--cron", "told", "--yes"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && text.contains(&waits) && text.contains("webhook release"),
        "{text}"
    );
    assert_eq!(count(&daemon, "SELECT count(*) FROM runs"), 2, "nothing was forgotten");

    // The other run is not concerned.
    shows(
        &daemon,
        &["forget", "--thread", &thread],
        2,
        expect![[r#"
        error: what is forgotten is gone; add --yes if it is meant
    "#]],
    );
    let would = &daemon.json(&["forget", "--thread", &thread, "--dry-run"])[0];
    assert_eq!(
        (&would["runs"], &would["deliveries"], &would["threads"]),
        (&json!(1), &json!(1), &json!([thread]))
    );
    let done = &daemon.json(&["forget", "--thread", &thread, "--yes"])[0];
    assert_eq!((&done["runs"], &done["deliveries"]), (&json!(1), &json!(1)));
    assert!(done["beyond_reach"].to_string().contains(&format!("DELETE /threads/{thread}")), "{done}");
    assert_eq!(count(&daemon, "SELECT count(*) FROM runs"), 1);
    assert!(!is_stored(&daemon, &thread) && !is_stored(&daemon, &run_id));
    assert!(is_stored(&daemon, SAID), "of the other run");

    daemon.run_command(&["webhook", "hold"]);
    daemon.run_command(&["webhook", "release", "--discard-older-than", "0s"]);
    webhooks_have_ended(&daemon).await;
    let done = &daemon.json(&["forget", "--cron", "told", "--yes"])[0];
    assert_eq!((&done["runs"], &done["crons"], &done["crons_stay"]), (&json!(1), &json!(0), &json!(1)));
    assert!(!is_stored(&daemon, SAID) && !is_stored(&daemon, &waits), "the daemon still runs");
    assert_eq!(daemon.json(&["list"]).len(), 2, "the file defines it still");
    receiver.reply_always(Reply::status(200));
    trigger(&daemon, "told").await;

    // Once it is removed, nothing is left of it.
    daemon.write_config(&config(&server.url(), "", &cron("kept", "agent", &receiver, "")));
    daemon.signal("HUP");
    daemon.wait_until("told is removed", || daemon.json(&["list"]).len() == 1).await;
    webhooks_have_ended(&daemon).await;
    let done = &daemon.json(&["forget", "--cron", "told", "--yes"])[0];
    assert_eq!((&done["crons"], &done["crons_stay"]), (&json!(1), &json!(0)));
    assert!(!is_stored(&daemon, "told"), "not even its name");
    let acts = daemon.json(&["acts"]);
    let forgotten: Vec<&str> = acts
        .iter()
        .filter(|act| act["what"] == "forgotten")
        .map(|act| act["note"].as_str().unwrap())
        .collect();
    assert_eq!(
        forgotten,
        ["of a thread", "of a cron", "of a cron"],
        "who did that is on record, and not of whom"
    );
    shows(
        &daemon,
        &["forget", "--cron", "told", "--yes"],
        2,
        expect![[r#"
        error: nothing is stored about a cron `told`
    "#]],
    );
}
