//! The service manager hears of a daemon as long as all of its loops live, and no longer.

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
