//! A daemon that does not work as it should is noticed: the service manager hears of it as long as all of its loops live, and a
//! panic leaves its trace.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::support::agent_server::AgentServerOnPort;
use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;

/// How long a loop may be busy, as the service manager says. The daemon says twice in that time that it lives.
const WITHIN: Duration = Duration::from_secs(4);
const STUCK: &str = "a loop of the daemon is stuck";

/// A daemon under a service manager of ours, with a cron that is due every second.
struct Service {
    daemon: Daemon,
    manager: UnixDatagram,
    _server: AgentServerOnPort,
}

impl Service {
    fn start(http: &str, environment: &[(&str, &str)]) -> Self {
        let server = AgentServerOnPort::start();
        let cron = Cron::bare("often").with("schedule = \"* * * * * *\"");
        let mut daemon = Daemon::prepare(&Configuration::new(&server.url()).http(http).cron(cron));
        let path = daemon.folder().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let within = WITHIN.as_micros().to_string();
        let own = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", &within)];
        daemon.start_with(&[&own, environment].concat());
        Self { daemon, manager, _server: server }
    }

    /// Returns how often the daemon has said that it lives since the last call.
    fn signs_of_life(&self) -> usize {
        let mut message = [0; 4096];
        let received = std::iter::from_fn(|| {
            self.manager.recv(&mut message).ok().map(|length| message[..length].to_vec())
        });
        received.filter(|message| message.starts_with(b"WATCHDOG=1")).count()
    }

    /// Waits until the daemon has found a loop that is stuck, and makes sure that it does not say any more that it lives.
    async fn expect_silence(&self) {
        self.daemon.wait_for_stderr(STUCK).await;
        self.signs_of_life();
        tokio::time::sleep(WITHIN).await;
        assert_eq!(self.signs_of_life(), 0, "it was due twice");
    }
}

#[tokio::test]
async fn while_all_loops_live_the_service_manager_hears_of_it() {
    let service = Service::start("", &[]);
    for _ in 0..3 {
        service.daemon.wait_until("a sign of life", || service.signs_of_life() > 0).await;
    }
    assert!(!service.daemon.stderr().contains(STUCK));
}

#[tokio::test]
async fn a_loop_that_hangs_is_told_and_the_service_manager_hears_no_more() {
    let address = free_address();
    let service = Service::start(&format!("listen = \"{address}\""), &[("HANG_AT", "occurrences_due:3")]);
    service.expect_silence().await;
    assert!(service.daemon.stderr().contains("name=runner"), "{}", service.daemon.stderr());
    let status = &service.daemon.json(&["status"])[0];
    let is_stuck = |one: &&serde_json::Value| one["what"] == "loop_stuck";
    let found = status["attention"].as_array().unwrap().iter().find(is_stuck).unwrap();
    assert!(found["text"].as_str().unwrap().starts_with("the runner does not go on"), "{found}");
    let metrics = Client::new(address).get("/metrics").await.text();
    assert!(metrics.contains("\nagentcron_loops_stuck 1\n"), "{metrics}");
    assert_eq!(Client::new(address).get("/healthz").await.status, 503);
}

#[tokio::test]
async fn a_runtime_that_hangs_as_a_whole_is_noticed_too() {
    let service = Service::start("", &[("BLOCK_AT", "occurrences_due:3"), ("TOKIO_WORKER_THREADS", "1")]);
    service.expect_silence().await;
    assert!(service.daemon.stderr().contains("name=runtime"), "{}", service.daemon.stderr());
}

/// Returns what status says of a panic.
fn panicked(daemon: &Daemon) -> Option<String> {
    let status = daemon.json(&["status"]).remove(0);
    let found = status["attention"].as_array().unwrap().iter().find(|one| one["what"] == "panicked")?;
    Some(found["text"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_panic_in_a_request_ends_no_daemon_and_is_in_the_log_in_status_and_in_the_metrics() {
    let (server, address) = (AgentServerOnPort::start(), free_address());
    let configuration = Configuration::new(&server.url()).http(&format!("listen = \"{address}\""));
    let mut daemon = Daemon::prepare(&configuration);
    daemon.start_with(&[("PANIC_AT", "client_run_committed")]);
    let client = Client::new(address).ready().await;
    assert_eq!(panicked(&daemon), None);
    let run = serde_json::json!({ "assistant_id": "agent", "webhook": "https://a.example/hook" });
    let answer = client.post("/runs", &run).await;
    assert!(answer.status >= 500, "{} {}", answer.status, answer.text());
    daemon.wait_for_stderr("panicked; this is a bug").await;
    let metrics = || async { client.get("/metrics").await.text() };
    while !metrics().await.contains("\nagentcron_panics_total 1\n") {}
    let text = panicked(&daemon).unwrap();
    assert_eq!(
        text,
        "this is a bug, at src/crash.rs:89: requested by PANIC_AT at client_run_committed"
            .replace("89", &line_of(&text))
    );
    assert_eq!(daemon.stderr().matches("requested by PANIC_AT").count(), 1, "{}", daemon.stderr());
    daemon.assert_alive();
    // The next daemon shows it too, and so does the command while none runs.
    daemon.kill9();
    assert_eq!(panicked(&daemon), Some(text.clone()));
    daemon.start_again();
    Client::new(address).ready().await;
    assert_eq!(panicked(&daemon), Some(text));
}

/// Returns the number of a line in `src/crash.rs:89: …`.
fn line_of(text: &str) -> String {
    text.split(".rs:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect()
}
