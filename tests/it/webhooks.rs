//! Webhooks arrive, however long the receiver is away, and tell no secret to anybody else.

use std::time::Duration;

use futures_util::future::join_all;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::history::{Recorded, RecordedWebhook};
use super::support::receiver::{Receiver, Reply};
use super::support::span::Span;

/// The second rung of the ladder is 5 s, the third 30 s more, each up to a fifth longer.
const PATIENCE: Duration = Duration::from_secs(90);

const TOKEN: &str = "t0p-s3cr3t-t0k3n";
const KEY: &str = "k3y-t0-th3-b4ck3nd";

#[tokio::test]
async fn a_receiver_that_fails_twice_is_told_the_same_a_third_time() {
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(500), Reply::status(500)]);
    let run = tell(&receiver, "").await;
    assert_eq!(run.webhook, Some(RecordedWebhook { status: "delivered".to_owned(), attempts: 3 }));
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for request in &received {
        assert_eq!(request.header("webhook-id"), format!("msg_{}", run.run_id));
        assert_eq!(request.body, received[0].body, "in the same bytes");
    }
    let waits = [received[1].arrived - received[0].arrived, received[2].arrived - received[1].arrived];
    assert!(waits[0] >= Duration::from_secs(5) && waits[1] >= Duration::from_secs(30), "{waits:?}");
}

#[tokio::test]
async fn a_receiver_that_was_down_is_told_when_it_is_up() {
    let server = AgentServerOnPort::start();
    let mut receiver = Receiver::start();
    let cron = Cron::new("case", &Span::once()).tells(&receiver.url("/hook"));
    receiver.stop();
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let was_tried =
        |run: &Recorded| run.webhook == Some(RecordedWebhook { status: "pending".to_owned(), attempts: 1 });
    daemon.wait_for_history("the first attempt", |runs| runs.iter().any(was_tried)).await;
    // The duty is in the store, not in the process.
    daemon.kill9();
    receiver.start_again();
    daemon.start_again();
    let runs = daemon.wait_until_settled(1).await;
    assert_eq!(runs[0].webhook, Some(RecordedWebhook { status: "delivered".to_owned(), attempts: 2 }));
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("webhook-id"), format!("msg_{}", runs[0].run_id));
    assert_eq!(received[0].json()["metadata"]["cron_name"], "case");
}

#[tokio::test]
async fn a_webhook_fails_only_where_it_should() {
    let cases: Vec<(&str, Reply, &str, i64, &str)> = vec![
        ("gone for good", Reply::status(410), "gone", 1, ""),
        ("a redirect is not followed", Reply::status(302).header("location", "/other"), "pending", 1, ""),
        ("no content", Reply::status(204), "delivered", 1, ""),
        ("disabled", Reply::status(200), "suppressed", 0, "disable_webhooks = true"),
    ];
    join_all(cases.into_iter().map(async |(name, reply, status, attempts, http)| {
        let receiver = Receiver::start();
        receiver.reply_always(reply);
        let server = AgentServerOnPort::start();
        let cron = Cron::new("case", &Span::once()).tells(&receiver.url("/hook"));
        let daemon = Daemon::start(&Configuration::new(&server.url()).http(http).cron(cron));
        let expected = Some(RecordedWebhook { status: status.to_owned(), attempts });
        let is_so = |run: &Recorded| run.webhook == expected && run.status == "success";
        daemon.wait_for_history(name, |runs| runs.iter().any(is_so)).await;
        let received = receiver.received();
        assert_eq!(received.len(), usize::try_from(attempts).unwrap(), "{name}: {received:?}");
        assert!(received.iter().all(|request| request.path == "/hook"), "{name}: {received:?}");
    }))
    .await;
}

#[tokio::test]
async fn no_secret_gets_into_log_history_or_store() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(500)]);
    let down = Receiver::start();
    let url = |receiver: &Receiver| receiver.url("/hook?token=${{ env.HOOK_TOKEN }}");
    let span = Span::once();
    let crons = [
        Cron::new("told", &span).tells(&url(&receiver)),
        Cron::new("fails", &span).says("boom").tells(&url(&receiver)),
        Cron::new("unheard", &span).tells(&url(&down)),
    ];
    drop(down);
    let configuration =
        Configuration::new(&server.url()).backend("api_key = \"${{ env.BACKEND_KEY }}\"").crons(crons);
    let mut daemon = Daemon::prepare(&configuration);
    daemon.start_with(&[("HOOK_TOKEN", TOKEN), ("BACKEND_KEY", KEY), ("AGENTCRON_LOG", "trace")]);
    let attempted = |run: &Recorded| run.webhook.as_ref().is_some_and(|webhook| webhook.attempts > 0);
    daemon
        .wait_for_history("three attempts", |runs| runs.iter().filter(|run| attempted(run)).count() == 3)
        .await;
    let received = receiver.wait_for(2).await;
    assert!(received.iter().all(|request| request.path == format!("/hook?token={TOKEN}")), "{received:?}");
    assert_no_secret(&daemon);
    let run_ids: Vec<String> = daemon.history().into_iter().map(|run| run.run_id).collect();
    let asked = [vec!["history"], vec!["history", "--json"], vec!["list"], vec!["status"], vec!["check"]];
    let shown = run_ids.iter().flat_map(|run_id| [vec!["show", run_id], vec!["show", run_id, "--json"]]);
    for arguments in asked.into_iter().chain(shown) {
        let output = daemon.run_command(&arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && !text.is_empty(), "{arguments:?}: {text}");
        assert!(!text.contains(TOKEN) && !text.contains(KEY), "a secret in {arguments:?}: {text}");
    }
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
    assert!(daemon.stderr().contains("TRACE"), "the log is at trace");
    assert_no_secret(&daemon);
}

/// In no file of the daemon: log, database, write-ahead log.
fn assert_no_secret(daemon: &Daemon) {
    for entry in std::fs::read_dir(daemon.folder()).unwrap() {
        let path = entry.unwrap().path();
        // The socket is no file.
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in [TOKEN, KEY] {
            let at = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
            let around = at.map(|at| {
                let (from, to) = (at.saturating_sub(200), (at + 100).min(bytes.len()));
                String::from_utf8_lossy(&bytes[from..to]).into_owned()
            });
            assert_eq!(around, None, "a secret in {}", path.display());
        }
    }
}

/// One run and its webhook.
async fn tell(receiver: &Receiver, http: &str) -> Recorded {
    let server = AgentServerOnPort::start();
    let cron = Cron::new("case", &Span::once()).tells(&receiver.url("/hook"));
    let daemon = Daemon::start(&Configuration::new(&server.url()).http(http).cron(cron));
    daemon.wait_until_settled_within(PATIENCE, 1).await.remove(0)
}
