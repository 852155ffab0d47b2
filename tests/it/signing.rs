//! Webhooks are signed so that the libraries of receivers can verify them, and the secrets appear nowhere.

use standardwebhooks::Webhook;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::receiver::{Receiver, Reply};
use super::support::span::Span;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const TOKEN: &str = "t0p-s3cr3t-h34d3r";

#[tokio::test]
async fn each_secret_verifies_each_attempt_and_no_secret_appears() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(500)]);
    let configuration = Configuration::new(&server.url())
        .top("webhooks.signing_secrets = [\"${{ env.NEW_SECRET }}\", \"${{ env.OLD_SECRET }}\"]")
        .top("webhooks.headers.authorization = \"Bearer ${{ env.LG_WEBHOOK_TOKEN }}\"")
        .cron(Cron::new("signed", &Span::once()).webhook(&receiver.url("/hook")));
    let mut daemon = Daemon::prepare(&configuration);
    daemon.start_with(&[
        ("NEW_SECRET", NEW),
        ("OLD_SECRET", OLD),
        ("LG_WEBHOOK_TOKEN", TOKEN),
        ("AGENTCRON_LOG", "trace"),
    ]);
    let received = receiver.wait_for(2).await;
    for request in &received {
        for secret in [OLD, NEW] {
            Webhook::new(secret).unwrap().verify(&request.body, &request.headers).unwrap();
        }
        assert_eq!(request.header("webhook-signature").split(' ').count(), 2);
        assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
        let other = Webhook::new("whsec_6Xb/dCcHpPea21PS1N9VY/NZW723CEc7").unwrap();
        assert!(other.verify(&request.body, &request.headers).is_err());
    }
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    daemon.wait_until_finished(1).await;
    let run_id = daemon.history().remove(0).run_id;
    for arguments in [vec!["check"], vec!["history"], vec!["show", &run_id], vec!["show", &run_id, "--json"]]
    {
        let output = daemon.run_command(&arguments);
        assert_no_secret(&String::from_utf8([output.stdout, output.stderr].concat()).unwrap());
    }
    daemon.terminate();
    daemon.wait_for_exit().await;
    for entry in std::fs::read_dir(daemon.folder()).unwrap() {
        assert_no_secret(&String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
}

fn assert_no_secret(text: &str) {
    for secret in [OLD.trim_start_matches("whsec_"), NEW.trim_start_matches("whsec_"), TOKEN] {
        assert!(!text.contains(secret), "a secret appears");
    }
}
