//! Webhooks are delivered even after the receiver was down, and secrets reach nobody but the receiver.

use std::time::Duration;

use futures_util::future::join_all;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::history::{RunRecord, WebhookRecord};
use super::support::receiver::{Receiver, Reply};
use super::support::span::Span;

const PATIENCE: Duration = Duration::from_secs(90);

const TOKEN: &str = "t0p-s3cr3t-t0k3n";
const KEY: &str = "k3y-t0-th3-b4ck3nd";

#[tokio::test]
async fn a_receiver_that_fails_twice_gets_the_same_webhook_a_third_time() {
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(500), Reply::status(500)]);
    let run = deliver(&receiver).await;
    assert_eq!(run.webhook, Some(WebhookRecord { status: "delivered".to_owned(), attempts: 3 }));
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for request in &received {
        assert_eq!(request.header("webhook-id"), format!("msg_{}", run.run_id));
        assert_eq!(request.body, received[0].body, "the bytes are the same");
    }
    let waits = [received[1].arrived - received[0].arrived, received[2].arrived - received[1].arrived];
    // It is asked whether it is back before the turns of the webhook, which are after 5 s and 30 s.
    let is_probe = |wait: &Duration| (Duration::from_secs(2)..Duration::from_secs(5)).contains(wait);
    assert!(waits.iter().any(is_probe) && waits.iter().min() >= Some(&Duration::from_secs(2)), "{waits:?}");
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_its_webhook_when_it_is_up() {
    let server = AgentServerOnPort::start();
    let mut receiver = Receiver::start();
    let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
    receiver.stop();
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let was_tried =
        |run: &RunRecord| run.webhook == Some(WebhookRecord { status: "pending".to_owned(), attempts: 1 });
    daemon.wait_for_history("the first attempt", |runs| runs.iter().any(was_tried)).await;
    // The delivery is in the store, so it survives the process.
    daemon.kill9();
    receiver.start_again();
    daemon.start_again();
    let runs = daemon.wait_until_finished(1).await;
    assert_eq!(runs[0].webhook, Some(WebhookRecord { status: "delivered".to_owned(), attempts: 2 }));
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
        let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
        let daemon = Daemon::start(&Configuration::new(&server.url()).http(http).cron(cron));
        let expected = Some(WebhookRecord { status: status.to_owned(), attempts });
        let is_so = |run: &RunRecord| run.webhook == expected && run.status == "success";
        daemon.wait_for_history(name, |runs| runs.iter().any(is_so)).await;
        let received = receiver.received();
        assert_eq!(received.len(), usize::try_from(attempts).unwrap(), "{name}: {received:?}");
        assert!(received.iter().all(|request| request.path == "/hook"), "{name}: {received:?}");
    }))
    .await;
}

#[tokio::test]
async fn no_secret_reaches_the_log_the_history_or_the_store() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(500)]);
    let down = Receiver::start();
    let url = |receiver: &Receiver| receiver.url("/hook?token=${{ env.HOOK_TOKEN }}");
    let span = Span::once();
    let crons = [
        Cron::new("delivered", &span).webhook(&url(&receiver)),
        Cron::new("fails", &span).says("boom").webhook(&url(&receiver)),
        Cron::new("receiver-down", &span).webhook(&url(&down)),
    ];
    drop(down);
    let configuration =
        Configuration::new(&server.url()).backend("api_key = \"${{ env.BACKEND_KEY }}\"").crons(crons);
    let mut daemon = Daemon::prepare(&configuration);
    daemon.start_with(&[("HOOK_TOKEN", TOKEN), ("BACKEND_KEY", KEY), ("AGENTCRON_LOG", "trace")]);
    let attempted = |run: &RunRecord| run.webhook.as_ref().is_some_and(|webhook| webhook.attempts > 0);
    daemon
        .wait_for_history("three attempts", |runs| runs.iter().filter(|run| attempted(run)).count() == 3)
        .await;
    let received = receiver.wait_for(2).await;
    assert!(received.iter().all(|request| request.path == format!("/hook?token={TOKEN}")), "{received:?}");
    assert_no_secret(&daemon);
    let run_ids: Vec<String> = daemon.history().into_iter().map(|run| run.run_id).collect();
    let commands = [vec!["history"], vec!["history", "--json"], vec!["list"], vec!["status"], vec!["check"]];
    let shown = run_ids.iter().flat_map(|run_id| [vec!["show", run_id], vec!["show", run_id, "--json"]]);
    for arguments in commands.into_iter().chain(shown) {
        let output = daemon.run_command(&arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        // Status exits with 5 if something needs a person.
        assert!(matches!(output.status.code(), Some(0 | 5)) && !text.is_empty(), "{arguments:?}: {text}");
        assert!(
            !text.contains(TOKEN) && !text.contains(KEY),
            "a secret in the output of {arguments:?}: {text}"
        );
    }
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
    assert!(daemon.stderr().contains("TRACE"), "the log is at trace");
    assert_no_secret(&daemon);
}

/// Checks that no file of the daemon has a secret: log, database, write-ahead log.
fn assert_no_secret(daemon: &Daemon) {
    for entry in std::fs::read_dir(daemon.folder()).unwrap() {
        let path = entry.unwrap().path();
        // The socket cannot be read.
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

/// Starts one run and waits until its webhook is delivered.
async fn deliver(receiver: &Receiver) -> RunRecord {
    let server = AgentServerOnPort::start();
    let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    daemon.wait_until_finished_within(PATIENCE, 1).await.remove(0)
}
