//! `webhook listen`, `test` and `doctor`, the commands that need no daemon, as an operator runs them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::support::listener::Listener;
use super::support::receiver::{Receiver, Reply};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A folder with a configuration, and the commands that an operator runs on it.
struct Operator {
    folder: tempfile::TempDir,
}

impl Operator {
    fn new(webhook: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "webhooks.signing_secrets = [\"{SECRET}\"]\n\
             webhooks.headers.x-key = \"${{{{ env.LG_WEBHOOK_KEY }}}}\"\n\
             webhooks.url.disable_loopback = false\n\
             [cron.daily]\nschedule = \"0 9 * * *\"\nassistant_id = \"agent\"\nwebhook = \"{webhook}\"\n"
        );
        std::fs::write(folder.path().join("agentcron.toml"), text).unwrap();
        Self { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.folder.path().join("agentcron.toml");
        command(&config, arguments).output().unwrap()
    }

    /// Returns the exit code and the one object that was printed.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.run(&[arguments, &["--json"]].concat());
        let object = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), object.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }
}

fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    command.env_remove("AGENTCRON_WEBHOOK_SECRET").env("NO_COLOR", "1").env("TZ", "UTC");
    command.env("LG_WEBHOOK_KEY", "k3y-f0r-r3c31v3rs");
    command.args(["webhook"]).args(arguments).arg("--config").arg(config);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[tokio::test]
async fn a_test_webhook_is_signed_and_sent_like_a_real_one() {
    let receiver = Receiver::start();
    let operator = Operator::new(&receiver.url("/hook?token=sesame"));
    let (exit_code, report) = operator.json(&["test", "--cron", "daily"]);
    assert_eq!(
        (exit_code, &report["delivered"], &report["code"]),
        (0, &true.into(), &200.into()),
        "{report}"
    );
    let received = receiver.wait_for(1).await.remove(0);
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(&received.body, &received.headers).unwrap();
    assert_eq!(received.header("webhook-id"), report["webhook_id"].as_str().unwrap());
    assert!(received.header("webhook-id").starts_with("msg_test_"));
    assert_eq!(
        (received.path.as_str(), received.header("x-key")),
        ("/hook?token=sesame", "k3y-f0r-r3c31v3rs")
    );
    let body = received.json();
    assert_eq!(
        (&body["metadata"]["agentcron_test"], &body["metadata"]["cron_name"]),
        (&true.into(), &"daily".into())
    );
    assert_eq!((&body["status"], &body["assistant_id"]), (&"success".into(), &"agent".into()));
}

#[tokio::test]
async fn a_test_webhook_that_is_not_delivered_says_what_would_follow() {
    let receiver = Receiver::start();
    let operator = Operator::new("http://127.0.0.1:2026/");
    for (reply, message) in [
        (Reply::status(503), "would retry after 5"),
        (Reply::status(401), "would retry after 5 min"),
        (Reply::status(410), "would not retry, and would record it as gone"),
        (Reply::status(302), "would retry after 5 min"),
    ] {
        receiver.reply_next([reply]);
        let output = operator.run(&["test", &receiver.url("/hook?token=sesame")]);
        let printed = text(&output);
        assert!(output.status.code() == Some(1) && printed.contains(message), "{message}: {printed}");
        assert!(!printed.contains("sesame") && !printed.contains("k3y-f0r"), "{printed}");
    }
    let refused = operator.json(&["test", "http://169.254.169.254/"]);
    assert!(refused.0 == 1 && refused.1["decision"].as_str().unwrap().ends_with("blocked"), "{refused:?}");
    for wrong in
        [&["test"][..], &["test", "--cron", "dayly"], &["test", "http://127.0.0.1/", "--cron", "daily"]]
    {
        assert_eq!(operator.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn the_doctor_checks_against_the_configuration_or_against_the_defaults() {
    let receiver = Receiver::start();
    let operator = Operator::new(&receiver.url("/hook?token=sesame"));
    let empty_folder = tempfile::tempdir().unwrap();
    let url = receiver.url("/hook?token=sesame");
    let (exit_code, report) = operator.json(&["doctor", &url]);
    assert_eq!(
        (exit_code, &report["verdict"], &report["rule"]),
        (0, &"allow".into(), &Value::Null),
        "{report}"
    );
    assert_eq!(report["addresses"][0]["address"], "127.0.0.1");
    assert_eq!((&report["ping"], &report["connection"]["problem"]), (&Value::Null, &Value::Null), "{report}");
    let without =
        command(&empty_folder.path().join("none.toml"), &["doctor", &url, "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&without.stdout).unwrap();
    assert_eq!((without.status.code(), &report["verdict"]), (Some(1), &"deny".into()), "{report}");
    let address =
        serde_json::json!({ "address": "127.0.0.1", "verdict": "deny", "rule": "disable_loopback" });
    assert_eq!(
        (&report["rule"], &report["addresses"]),
        (&"disable_loopback".into(), &serde_json::json!([address]))
    );
    assert!(
        text(&without).contains("using the defaults") && !text(&without).contains("sesame"),
        "{}",
        text(&without)
    );
    for (name, rule) in [
        ("10.0.0.7", Value::Null),
        ("169.254.169.254", "metadata".into()),
        ("fd00:ec2::254", "metadata".into()),
    ] {
        // The second address makes the name refused, so no address of a private network is contacted.
        let also = format!("hooks.example:{name}");
        let (_, report) = operator.json(&[
            "doctor",
            "http://hooks.example/",
            "--resolve",
            &also,
            "--resolve",
            "hooks.example:169.254.0.1",
        ]);
        assert_eq!(report["addresses"][0]["rule"], rule, "{report}");
        assert_eq!(
            (&report["verdict"], report["addresses"].as_array().unwrap().len()),
            (&"deny".into(), 2),
            "{report}"
        );
    }
    assert_eq!(receiver.received().len(), 0, "nothing is sent without --send");
    assert_eq!(operator.run(&["doctor", &url, "--resolve", "nonsense"]).status.code(), Some(2));
}

#[tokio::test]
async fn the_doctor_compares_the_receivers_clock_with_ours() {
    let receiver = Receiver::start();
    let operator = Operator::new(&receiver.url("/hook"));
    let date = |seconds: i64| {
        let at = super::support::span::now() + jiff::SignedDuration::from_secs(seconds);
        at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for (seconds, message) in [
        (0, "clock is right"),
        (-120, "warning: the receiver's clock is 2 min"),
        (400, "error: the receiver's clock is 6 min"),
    ] {
        receiver.reply_next([
            Reply::status(200).header("date", &date(seconds)),
            Reply::status(200).header("date", &date(seconds)),
        ]);
        let output = operator.run(&["doctor", "--cron", "daily", "--send"]);
        assert!(output.status.success() && text(&output).contains(message), "{message}: {}", text(&output));
        let (_, report) = operator.json(&["doctor", "--cron", "daily", "--send"]);
        let skew = report["skew_seconds"].as_i64().unwrap();
        // On a busy machine, time passes between the date and the response.
        assert!((skew - seconds).abs() < 30, "{report}");
        assert_eq!(report["ping"]["delivered"], true);
    }
}

#[tokio::test]
async fn the_doctor_shows_untrusted_certificates() {
    let operator = Operator::new("http://127.0.0.1:2026/");
    let server = super::support::tls::SelfSigned::start();
    let (exit_code, report) = operator.json(&["doctor", &server.url()]);
    assert_eq!((exit_code, &report["tls"]["trusted"]), (0, &false.into()), "{report}");
    let shown = &report["tls"]["chain"][0];
    assert_eq!(
        (&shown["subject"], shown["days_left"].as_i64() > Some(30_000)),
        (&"CN=localhost".into(), true),
        "{report}"
    );
    assert!(report["tls"]["problem"].as_str().unwrap().contains("certificate"), "{report}");
    assert!(text(&operator.run(&["doctor", &server.url()])).contains("not trusted: "));
}

#[tokio::test]
async fn receivers_have_root_certificates_of_their_own() {
    let server = super::support::tls::SelfSigned::showing("receiver.pem", "receiver.key");
    let url = format!("https://hooks.example:{}/", server.port());
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
    for (table, trusted) in [("webhooks", true), ("backend", false)] {
        let operator = Operator::new("http://127.0.0.1:2026/");
        let config = operator.folder.path().join("agentcron.toml");
        let written = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{table}.ca_file = \"{authority}\"\n{written}")).unwrap();
        let arguments = ["doctor", &url, "--resolve", "hooks.example:127.0.0.1"];
        let (exit_code, report) = operator.json(&arguments);
        assert_eq!((exit_code, &report["tls"]["trusted"]), (0, &trusted.into()), "{table}: {report}");
        assert_eq!(report["tls"]["chain"][0]["issuer"], "CN=agentcron test authority", "{report}");
    }
}

#[tokio::test]
async fn the_listener_reports_whether_signatures_are_right() {
    let listener = Listener::start(&[], &[("AGENTCRON_WEBHOOK_SECRET", SECRET)]);
    let operator = Operator::new(&listener.url());
    assert_eq!(operator.json(&["test", "--cron", "daily"]).0, 0);
    let report = listener.wait_for(1).await.remove(0);
    assert_eq!(
        (&report["signature"], &report["cron_name"], &report["test"]),
        (&"ok".into(), &"daily".into(), &true.into())
    );
    let config = operator.folder.path().join("agentcron.toml");
    let other =
        std::fs::read_to_string(&config).unwrap().replace(SECRET, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    std::fs::write(&config, other).unwrap();
    assert_eq!(operator.json(&["test", "--cron", "daily"]).0, 0);
    assert_eq!(listener.wait_for(2).await[1]["signature"], "wrong");
    let address = listener.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let (status, _) =
        super::support::real_server::http(address, "POST", "/x?token=sesame", "no JSON").unwrap();
    let report = &listener.wait_for(3).await[2];
    assert_eq!((status, &report["signature"], &report["path"]), (200, &"none".into(), &"/x?…".into()));
    let summary = listener.end().await;
    assert_eq!((&summary["requests"], &summary["not_verified"]), (&3.into(), &1.into()), "{summary}");
}

#[tokio::test]
async fn the_listener_uses_the_secrets_of_the_configuration() {
    let operator = Operator::new("http://127.0.0.1:2026/");
    let config = operator.folder.path().join("agentcron.toml");
    let config = config.to_str().unwrap();
    // The placeholder in the header must have a value, as for the daemon.
    let key = ("LG_WEBHOOK_KEY", "k3y-f0r-r3c31v3rs");
    let listener = Listener::start(&["--secret-from-config", "--full", "--config", config], &[key]);
    assert_eq!(operator.json(&["test", &listener.url()]).0, 0);
    let report = listener.wait_for(1).await.remove(0);
    assert_eq!(
        (&report["signature"], &report["body"]["metadata"]["agentcron_test"]),
        (&"ok".into(), &true.into())
    );
    let unsigned = std::fs::read_to_string(config).unwrap().lines().skip(1).collect::<Vec<_>>().join("\n");
    std::fs::write(config, unsigned).unwrap();
    let refused = operator.run(&["listen", "--secret-from-config", "--port", "0"]);
    assert!(
        refused.status.code() == Some(2) && text(&refused).contains("signing_secrets"),
        "{}",
        text(&refused)
    );
}

#[tokio::test]
async fn a_failure_applies_to_the_first_requests_of_each_webhook() {
    let listener = Listener::start(&["--fail", "500x2"], &[]);
    // Installing a provider again fails, which is harmless: the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut statuses = Vec::new();
    for webhook_id in ["msg_a", "msg_a", "msg_b", "msg_a", "msg_b", "msg_b"] {
        let request = client.post(listener.url()).header("webhook-id", webhook_id).body("{}");
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 500, 200, 500, 200]);
    let arrivals: Vec<_> =
        listener.wait_for(6).await.iter().map(|request| request["arrivals"].as_u64().unwrap()).collect();
    assert_eq!(arrivals, [1, 2, 1, 3, 2, 3]);
}

#[test]
fn an_invalid_secret_of_the_listener_is_not_quoted() {
    let empty_folder = tempfile::tempdir().unwrap();
    let config = empty_folder.path().join("none.toml");
    for secret in ["whsec_hunter2", "hunter2"] {
        let output = command(&config, &["listen", "--port", "0", "--secret", secret]).output().unwrap();
        assert!(output.status.code() == Some(2) && !text(&output).contains("hunter2"), "{}", text(&output));
    }
    let help =
        command(&config, &["listen", "--help"]).env("AGENTCRON_WEBHOOK_SECRET", SECRET).output().unwrap();
    assert!(!text(&help).contains(SECRET));
}
