//! What `webhook list` and `webhook show` report about a signed webhook that was refused once.

use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::receiver::{Receiver, Reply};
use super::support::span::Span;

#[tokio::test]
async fn a_webhook_is_shown_attempt_by_attempt() {
    let server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    receiver.reply_next([Reply::status(503)]);
    let configuration = Configuration::new(&server.url())
        .top("webhooks.signing_secrets = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]")
        .cron(Cron::new("notified", &Span::once()).webhook(&receiver.url("/hook?token=sesame")));
    let daemon = Daemon::start(&configuration);
    daemon.wait_until_finished(1).await;
    let run_id = daemon.history().remove(0).run_id;

    let listed =
        &daemon.json(&["webhook", "list", "--status", "delivered", "--cron", "notified", "--url", "/hook"]);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["status"], &listed[0]["attempts_made"]), (&"delivered".into(), &2.into()));
    assert_eq!(listed[0]["webhook_id"], format!("msg_{run_id}"));
    for nothing in [["--status", "failed"], ["--cron", "other"], ["--url", "sesame"]] {
        assert_eq!(daemon.json(&[&["webhook", "list"], &nothing[..]].concat()).len(), 0, "{nothing:?}");
    }

    let shown = &daemon.json(&["webhook", "show", &format!("msg_{run_id}")])[0];
    let [first, second] = shown["attempts"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!((&first["code"], &second["code"]), (&503.into(), &200.into()));
    for attempt in [first, second] {
        assert!(attempt["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{attempt}");
        assert!(attempt["first_byte_ms"].is_u64() && attempt["total_ms"].is_i64(), "{attempt}");
        assert_eq!((&attempt["dns_ms"], &attempt["tls_ms"]), (&Value::Null, &Value::Null), "{attempt}");
    }

    let text = |arguments: &[&str]| {
        let output = daemon.run_command(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let delivery_id = listed[0]["delivery_id"].as_str().unwrap();
    let shown_text = text(&["webhook", "show", &delivery_id[..8]]);
    for part in ["HTTP 503 from 127.0.0.1:", "-> retried at", "HTTP 200 from", "-> delivered", "/hook?…"] {
        assert!(shown_text.contains(part), "no {part:?} in:\n{shown_text}");
    }
    let table = text(&["webhook", "list", "--run", &run_id]);
    assert!(table.contains("delivered") && table.contains(&delivery_id[..8]), "{table}");
    assert!(!shown_text.contains("sesame") && !table.contains("sesame"));
    assert_eq!(daemon.run_command(&["webhook", "show", "zzz"]).status.code(), Some(2));
    assert_eq!(daemon.run_command(&["webhook", "show", "00000000"]).status.code(), Some(1));
    assert_eq!(daemon.run_command(&["webhook", "list", "--status", "good"]).status.code(), Some(2));
}
