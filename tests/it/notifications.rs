//! People are notified when a state changes: each kind of it, by each type of target, once.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::mail_server::MailServer;
use super::support::real_server::RealServer;
use super::support::receiver::{Received, Receiver, Reply};

/// A message is told ten seconds after what it is about; its sending may have to wait for a look or two.
const TOLD_WITHIN: Duration = Duration::from_secs(40);

const EVERYTHING: &str = "on = [\"failing\", \"recovered\", \"missed\", \"paused\", \"late\", \"still_running\", \"outage\", \"configuration\"]";

/// Returns a target as the lines of its table.
fn target(name: &str, lines: &[&str]) -> String {
    format!("[notify.{name}]\n{}\n", lines.join("\n"))
}

fn to_json(receiver: &Receiver) -> String {
    target("json", &["type = \"webhook\"", &format!("url = \"{}\"", receiver.url("/json")), EVERYTHING])
}

/// Returns the configuration with its targets.
fn with(configuration: &Configuration, targets: &str) -> String {
    format!("{configuration}\n{targets}")
}

fn trigger(daemon: &Daemon, cron: &str) {
    let output = daemon.run_command(&["trigger", cron]);
    assert!(output.status.success(), "{output:?}");
}

/// Returns what a target was told, as `kind/begin: title`.
fn told(received: &[Received], path: &str) -> Vec<String> {
    received
        .iter()
        .filter(|request| request.path == path)
        .map(|request| {
            let data = &request.json()["data"];
            let end = if data["ended"] == true { "end" } else { "begin" };
            format!("{} {end}: {}", data["kind"].as_str().unwrap(), data["title"].as_str().unwrap())
        })
        .collect()
}

/// Waits until the target of JSON was told this.
async fn wait_for_message(daemon: &Daemon, receiver: &Receiver, message: &str) {
    let find = || told(&receiver.received(), "/json").iter().any(|one| one == message).then_some(());
    daemon.wait_within(TOLD_WITHIN, message, find).await;
}

#[tokio::test]
async fn each_type_of_target_gets_what_its_documents_demand_and_a_group_is_one_message() {
    let (server, receiver, mails) = (AgentServerOnPort::start(), Receiver::start(), MailServer::start());
    let url = |path: &str| format!("url = \"{}\"", receiver.url(path));
    let targets = [
        target("chat", &["type = \"slack\"", &url("/services/T0/B0/s3cret")]),
        target(
            "page",
            &["type = \"pagerduty\"", &url("/v2/enqueue"), "routing_key = \"${{ env.ROUTING_KEY }}\""],
        ),
        target("phone", &["type = \"ntfy\"", &url("/"), "topic = \"t0pic\"", "token = \"tk_1\""]),
        target(
            "mail",
            &[
                "type = \"email\"",
                &format!("url = \"{}\"", mails.url()),
                "from = \"a@example.com\"",
                "to = [\"ops@example.com\"]",
            ],
        ),
        target("some", &["type = \"webhook\"", &url("/some"), "crons = \"b*\""]),
        to_json(&receiver),
    ];
    let crons = |text: &str| {
        [Cron::yearly("a1").says(text), Cron::yearly("a2").says(text), Cron::yearly("b1").says(text)]
    };
    let configuration =
        |text: &str| with(&Configuration::new(&server.url()).crons(crons(text)), &targets.concat());
    let mut daemon = Daemon::prepare(&configuration("boom"));
    daemon.start_with(&[("ROUTING_KEY", "R0UT1NG")]);
    daemon.wait_for_stderr("ready").await;
    for cron in ["a1", "a2", "b1"] {
        trigger(&daemon, cron);
    }
    let begun = receiver.wait_for(5).await;
    let of = |received: &[Received], path: &str| -> Vec<Received> {
        received.iter().filter(|request| request.path == path).cloned().collect()
    };
    assert_eq!(told(&begun, "/json"), ["failing begin: a1, a2 and b1 are failing"]);
    assert_eq!(told(&begun, "/some"), ["failing begin: b1 is failing"]);
    let json = &of(&begun, "/json")[0];
    assert!(json.header("webhook-id").starts_with("msg_"), "{json:?}");
    let chat = of(&begun, "/services/T0/B0/s3cret")[0].json();
    assert!(chat["text"].as_str().is_some_and(|text| text.contains("are failing")), "{chat}");
    assert!(chat["blocks"].to_string().contains("boom"), "{chat}");
    let page = of(&begun, "/v2/enqueue")[0].json();
    assert_eq!((&page["routing_key"], &page["event_action"]), (&"R0UT1NG".into(), &"trigger".into()));
    assert!(["summary", "source", "severity"].iter().all(|key| page["payload"][key].is_string()), "{page}");
    let phone = &of(&begun, "/")[0];
    assert_eq!((&phone.json()["topic"], phone.header("authorization")), (&"t0pic".into(), "Bearer tk_1"));
    assert!(phone.json()["message"].as_str().unwrap().contains("boom"));
    let mail = &mails.wait_for(1).await[0];
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("a@example.com", ["ops@example.com".to_owned()].as_slice())
    );
    assert!(mail.text.contains("Subject: [agentcron] a1, a2 and b1 are failing"), "{}", mail.text);

    daemon.write_config(&configuration("hi"));
    daemon.signal("HUP");
    daemon.wait_for_stderr("configuration reloaded").await;
    for cron in ["a1", "a2", "b1"] {
        trigger(&daemon, cron);
    }
    wait_for_message(&daemon, &receiver, "recovered end: a1, a2 and b1 work again").await;
    let has_resolved = |received: &[Received]| of(received, "/v2/enqueue").len() == 2;
    let all = receiver.wait_until("the incident to be resolved", has_resolved).await;
    let resolved = of(&all, "/v2/enqueue")[1].json();
    assert_eq!((&resolved["event_action"], &resolved["dedup_key"]), (&"resolve".into(), &page["dedup_key"]));
    mails.wait_for(2).await;

    // No secret is in the store, in the log, or in what is shown.
    let listed = daemon.json(&["notify"]);
    assert_eq!(listed.len(), 6);
    let wait =
        || daemon.json(&["notify"]).iter().all(|one| one["last"]["status"] == "delivered").then_some(());
    daemon.wait_within(TOLD_WITHIN, "all to be delivered", wait).await;
    let webhooks = daemon.run_command(&["webhook", "list", "--url", "notify://chat"]);
    let webhooks = String::from_utf8(webhooks.stdout).unwrap();
    assert!(webhooks.contains("notify://chat") && webhooks.contains("delivered"), "{webhooks}");
    let shown = format!("{listed:?}{}{webhooks}", daemon.stderr());
    daemon.kill9();
    let stored = String::from_utf8_lossy(&std::fs::read(daemon.database()).unwrap()).into_owned();
    for secret in ["R0UT1NG", "s3cret", "t0pic", "tk_1"] {
        assert!(!shown.contains(secret) && !stored.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn outages_mistakes_and_pauses_are_told_when_they_begin_and_when_they_end() {
    let (mut server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let configuration = Configuration::new(&server.url()).crons([Cron::yearly("a"), Cron::yearly("b")]);
    let good = with(&configuration, &to_json(&receiver));
    let daemon = Daemon::start(&good);
    daemon.wait_for_stderr("ready").await;
    assert!(daemon.run_command(&["pause", "a", "--note", "being mended"]).status.success());
    server.stop();
    trigger(&daemon, "b");
    daemon.write_config(&format!("{good}\n[cron.c]\nschedule = \"0 25 * * *\"\nassistant_id = \"agent\"\n"));
    for message in [
        "paused begin: a is paused",
        "outage begin: agent server is away",
        "configuration begin: the configuration has mistakes",
    ] {
        wait_for_message(&daemon, &receiver, message).await;
    }
    server.start_again();
    daemon.write_config(&good);
    assert!(daemon.run_command(&["resume", "a"]).status.success());
    for message in [
        "paused end: a is no longer paused",
        "outage end: agent server is back",
        "configuration end: the configuration is mended",
    ] {
        wait_for_message(&daemon, &receiver, message).await;
    }
    assert_eq!(told(&receiver.received(), "/json").len(), 6, "{:?}", told(&receiver.received(), "/json"));
}

#[tokio::test]
async fn what_happens_at_the_real_agent_server_is_told() {
    let (mut server, receiver) = (RealServer::start(), Receiver::start());
    let configuration = |text: &str| {
        with(&Configuration::new(&server.url()).cron(Cron::yearly("a").says(text)), &to_json(&receiver))
    };
    let good = configuration("hi");
    let daemon = Daemon::start(&configuration("boom"));
    daemon.wait_for_stderr("ready").await;
    trigger(&daemon, "a");
    wait_for_message(&daemon, &receiver, "failing begin: a is failing").await;
    daemon.write_config(&good);
    daemon.wait_for_stderr("configuration reloaded").await;
    trigger(&daemon, "a");
    wait_for_message(&daemon, &receiver, "recovered end: a works again").await;
    server.stop();
    trigger(&daemon, "a");
    wait_for_message(&daemon, &receiver, "outage begin: agent server is away").await;
    server.start_again();
    wait_for_message(&daemon, &receiver, "outage end: agent server is back").await;
    let all = told(&receiver.received(), "/json");
    assert_eq!(all.len(), 4, "{all:?}");
}

#[tokio::test]
async fn what_is_late_still_running_or_missed_is_told() {
    let (mut server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let crons = [
        Cron::yearly("long").says("sleep 300"),
        Cron::yearly("waits").with("start_deadline = \"1h\""),
        Cron::bare("often").with("schedule = \"* * * * *\"\ncatchup = \"none\""),
    ];
    let configuration = with(&Configuration::new(&server.url()).crons(crons), &to_json(&receiver));
    let mut daemon = Daemon::start(&configuration);
    daemon.wait_for_stderr("ready").await;
    trigger(&daemon, "long");
    let sql = |sql: &str| {
        Connection::open(daemon.database()).unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let count = |where_: &str| sql(&format!("SELECT count(*) FROM runs WHERE {where_}"));
    daemon.wait_until("the long run to run", || count("cron_name = 'long' AND phase = 'running'") == 1).await;
    server.stop();
    trigger(&daemon, "waits");
    let waits = || count("cron_name = 'waits' AND phase = 'pending' AND send_count > 0") == 1;
    daemon.wait_until("the other one to wait", waits).await;
    daemon.kill9();
    // Two hours pass.
    let hours = 2 * 3600 * 1000;
    Connection::open(daemon.database())
        .unwrap()
        .execute_batch(&format!(
            "UPDATE runs SET started_at = started_at - {hours} WHERE phase = 'running';
             UPDATE runs SET due_at = due_at - {hours}, scheduled_for = scheduled_for - {hours} WHERE phase = 'pending';
             UPDATE crons SET cursor = cursor - {hours}, created_at = created_at - {hours}, next_at = 0, \
             updated_at = updated_at - {hours} WHERE name = 'often';"
        ))
        .unwrap();
    daemon.start_again();
    for message in [
        "still_running begin: long is still running",
        "late begin: waits is late",
        "missed begin: often missed its time",
    ] {
        wait_for_message(&daemon, &receiver, message).await;
    }
    server.start_again();
    wait_for_message(&daemon, &receiver, "late end: waits is no longer late").await;
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_daemon_that_is_killed_loses_no_message_and_makes_no_second_one() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let configuration = Configuration::new(&server.url()).cron(Cron::yearly("a").says("boom"));
    let mut daemon = Daemon::prepare(&with(&configuration, &to_json(&receiver)));
    // Before anything is sent, and before the answer is recorded.
    for (point, has_failed) in [("attempt_committed", false), ("attempt_answered", true)] {
        daemon.start_with(&[("CRASH_AT", &format!("{point}:1"))]);
        if !has_failed {
            daemon.wait_for_stderr("ready").await;
            trigger(&daemon, "a");
        }
        let status = daemon.wait_for_exit().await;
        assert_eq!(status.signal(), Some(9), "{point}: {status}");
    }
    assert_eq!(receiver.received().len(), 1);
    daemon.start_again();
    let received = receiver.wait_for(2).await;
    let ids: BTreeSet<&str> = received.iter().map(|request| request.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let is_over = || daemon.json(&["notify"])[0]["last"]["status"] == "delivered";
    daemon.wait_until("the message to be delivered", is_over).await;
    assert_eq!(daemon.json(&["webhook", "list"]).len(), 1);
}

#[tokio::test]
async fn a_mail_server_or_a_receiver_that_is_dead_holds_nothing_else_up() {
    let (server, receiver, dead) = (AgentServerOnPort::start(), Receiver::start(), Receiver::start());
    let mails = MailServer::start_silent();
    dead.reply_always(Reply::status(200).after(Duration::from_secs(600)));
    let targets = [
        target(
            "mail",
            &[
                "type = \"email\"",
                &format!("url = \"{}\"", mails.url()),
                "from = \"a@example.com\"",
                "to = \"b@example.com\"",
            ],
        ),
        target("chat", &["type = \"slack\"", &format!("url = \"{}\"", dead.url("/hook"))]),
        to_json(&receiver),
    ];
    let crons = [Cron::yearly("a").says("boom"), Cron::yearly("hook").webhook(&receiver.url("/run"))];
    let configuration = Configuration::new(&server.url()).crons(crons);
    let daemon = Daemon::start(&with(&configuration, &targets.concat()));
    daemon.wait_for_stderr("ready").await;
    trigger(&daemon, "a");
    mails.wait_for_connection().await;
    dead.wait_for(1).await;
    wait_for_message(&daemon, &receiver, "failing begin: a is failing").await;
    trigger(&daemon, "hook");
    receiver.wait_until("the webhook", |all| all.iter().any(|one| one.path == "/run")).await;
    // What waits is seen: the attempt at the mail server ends, and is made again.
    let last = || {
        let listed = daemon.json(&["notify"]);
        listed
            .into_iter()
            .find(|one| one["name"] == "mail")
            .map(|one| one["last"].clone())
            .unwrap_or_default()
    };
    let is_tried = || {
        last()["reason"].as_str().is_some_and(|reason| reason.contains("no answer within 20s")).then_some(())
    };
    daemon.wait_within(TOLD_WITHIN, "the attempt to end", is_tried).await;
    assert_eq!(last()["status"], "pending");
}

#[tokio::test]
async fn a_test_message_says_what_the_receiver_answered() {
    let (receiver, mails) = (Receiver::start(), MailServer::start());
    let targets = [
        target("chat", &["type = \"slack\"", &format!("url = \"{}\"", receiver.url("/services/s3cret"))]),
        target(
            "mail",
            &[
                "type = \"email\"",
                &format!("url = \"{}\"", mails.url()),
                "from = \"a@example.com\"",
                "to = \"b@example.com\"",
            ],
        ),
    ];
    let daemon = Daemon::prepare(&with(
        &Configuration::new("http://127.0.0.1:9").cron(Cron::yearly("a")),
        &targets.concat(),
    ));
    let test = |name: &str, code: i32| {
        let output = daemon.run_command(&["notify", "test", name, "--json"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        serde_json::from_str::<Value>(text.lines().next().unwrap_or("null")).unwrap()
    };
    assert_eq!(test("chat", 0)["code"], 200);
    assert_eq!(test("mail", 0)["code"], 250);
    assert!(mails.wait_for(1).await[0].text.contains("this is a test"));
    receiver.reply_always(Reply::status(404));
    let refused = test("chat", 1);
    assert_eq!((&refused["code"], &refused["delivered"]), (&404.into(), &false.into()));
    let unknown = daemon.run_command(&["notify", "test", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are: chat, mail"), "{unknown:?}");
}

#[tokio::test]
async fn a_mistake_in_a_file_of_crons_keeps_nobody_from_testing_a_target() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let (daemon, crons) = Daemon::with_folder(&server.url());
    let main = std::fs::read_to_string(daemon.config_path()).unwrap();
    let target = format!("\n[notify.chat]\ntype = \"webhook\"\nurl = \"{}\"\n", receiver.url("/chat"));
    std::fs::write(daemon.config_path(), main + &target).unwrap();
    std::fs::write(crons, "[cron.a]\nshedule = \"* * * * *\"\n").unwrap();
    let sent = daemon.run_command(&["notify", "test", "chat"]);
    let stderr = String::from_utf8_lossy(&sent.stderr);
    assert!(sent.status.success() && stderr.contains("in the configuration; `agentcron check`"), "{sent:?}");
    receiver.wait_for(1).await;
}

#[tokio::test]
async fn mail_goes_over_tls_with_a_login_to_whom_an_authority_vouches_for() {
    let mails = MailServer::start_with_tls();
    let authority = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
        format!("[webhooks]\nca_file = \"{folder}/{name}\"\n")
    };
    let target = target(
        "mail",
        &[
            "type = \"email\"",
            &format!("url = \"{}\"", mails.tls_url()),
            "user = \"me\"",
            "password = \"${{ env.SMTP_PASSWORD }}\"",
            "from = \"a@example.com\"",
            "to = [\"b@example.com\", \"Ops <c@example.com>\"]",
        ],
    );
    let configuration = Configuration::new("http://127.0.0.1:9");
    let daemon = Daemon::prepare(&with(&configuration, &(authority("ca.pem") + &target)));
    let send = |daemon: &Daemon| {
        let sent = daemon.run_under(&["env", "SMTP_PASSWORD=pa55"], &["notify", "test", "mail"]);
        format!("{}{}", String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&sent.stderr))
    };
    let refused = send(&daemon);
    assert!(refused.contains("certificate") || refused.contains("TLS"), "{refused}");
    assert!(!refused.contains("pa55"), "{refused}");
    daemon.write_config(&with(&configuration, &(authority("mail-ca.pem") + &target)));
    let sent = send(&daemon);
    let mail = &mails.wait_for(1).await[0];
    assert_eq!(mail.login.as_deref(), Some("\0me\0pa55"), "{sent}");
    assert_eq!(mail.to, ["b@example.com", "c@example.com"]);
    assert!(!sent.contains("pa55") && sent.contains("250"), "{sent}");
}
