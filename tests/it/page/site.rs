//! A daemon with a bit of everything to show: runs that ended well and badly, one that goes on, webhooks that arrived, that
//! failed and whose receiver is gone.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use rusqlite::Connection;

use crate::support::agent_server::AgentServerOnPort;
use crate::support::configuration::{Configuration, Cron};
use crate::support::daemon::Daemon;
use crate::support::free_port::free_address;
use crate::support::growing_list::PATIENCE;
use crate::support::history::RunRecord;
use crate::support::loopback_server::{LoopbackServer, serve_router};
use crate::support::visitor::Visitor;

pub(crate) const ACT: &str = "act-key-of-16-characters";
pub(crate) const READ: &str = "read-key-of-16-characters";
pub(crate) const CLIENT: &str = "client-key-of-16-characters";
pub(crate) const KEYS: &str = "[http.keys.ops]\nkey = \"act-key-of-16-characters\"\naccess = \"act\"\n\
                    [http.keys.screen]\nkey = \"read-key-of-16-characters\"\naccess = \"read\"\n\
                    [http.keys.ui]\nkey = \"client-key-of-16-characters\"\naccess = \"client\"";

pub(crate) struct Site {
    pub(crate) server: AgentServerOnPort,
    receivers: LoopbackServer,
    pub(crate) daemon: Daemon,
    pub(crate) address: SocketAddr,
}

impl Site {
    /// Starts a daemon with these lines in `[http]` and waits until all has happened.
    pub(crate) async fn start(http: &str) -> Self {
        let site = Self::prepare(http);
        site.daemon.wait_for_stderr("daemon ready").await;
        for cron in ["ends", "fails", "gone", "goes"] {
            site.daemon.json(&["trigger", cron]);
        }
        site.daemon.wait_for_history("runs of every kind", has_all).await;
        site.daemon
            .wait_until("the webhooks", || {
                let all = site.daemon.webhook_states();
                all.len() == 3 && all.iter().all(|(_, attempts)| *attempts > 0)
            })
            .await;
        // What is on record from here on was done by the test.
        let database = Connection::open(site.daemon.database()).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database.execute("DELETE FROM acts", []).unwrap();
        site
    }

    fn prepare(http: &str) -> Self {
        let server = AgentServerOnPort::start();
        let receivers = Router::new()
            .route("/ok", any(async || StatusCode::OK))
            .route("/gone", any(async || StatusCode::GONE))
            .fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "come later"));
        let receivers = LoopbackServer::start(0, |listener| serve_router(listener, receivers));
        let address = free_address();
        let daemon = Daemon::start(&configuration(&server.url(), &receivers, address, http));
        Self { server, receivers, daemon, address }
    }

    /// Replaces the lines in `[http]`; the crons stay.
    pub(crate) fn write_http(&self, http: &str) {
        let configuration = configuration(&self.server.url(), &self.receivers, self.address, http);
        self.daemon.write_config(&configuration);
    }

    pub(crate) fn url_of_gone(&self) -> String {
        format!("http://{}/gone", self.receivers.address())
    }

    /// Returns the newest run of a cron.
    pub(crate) fn run_of(&self, cron: &str) -> RunRecord {
        let runs = self.daemon.history();
        runs.into_iter().rev().find(|run| run.cron_name == cron).unwrap_or_else(|| panic!("no run of {cron}"))
    }

    /// Returns somebody who has shown nothing.
    pub(crate) async fn stranger(&self) -> Visitor {
        Visitor::new(self.address).ready().await
    }

    /// Returns somebody who came in by a link of `agentcron open`.
    pub(crate) async fn operator(&self) -> Visitor {
        let mut visitor = self.stranger().await;
        visitor.log_in(&self.daemon).await;
        visitor
    }

    /// Returns the holder of a key, who logged in.
    pub(crate) async fn holder(&self, key: &str) -> Visitor {
        let mut visitor = self.stranger().await;
        let shown = visitor.log_in_with(key).await;
        assert_eq!(shown.status, 200, "{key}: {}", shown.text);
        visitor
    }
}

fn has_all(runs: &[RunRecord]) -> bool {
    let ended = |name: &str| runs.iter().any(|run| run.cron_name == name && run.phase == "ended");
    let goes = runs.iter().any(|run| run.cron_name == "goes" && run.phase == "running");
    goes && ["ends", "fails", "gone"].into_iter().all(ended)
}

fn configuration(server: &str, receivers: &LoopbackServer, address: SocketAddr, http: &str) -> Configuration {
    let receiver = |path: &str| format!("http://{}/{path}", receivers.address());
    // They run when they are told to.
    let rare = |name| Cron::bare(name).with("schedule = \"0 9 29 2 *\"");
    Configuration::new(server).http(&format!("listen = \"{address}\"")).http(http).crons([
        rare("ends").says("a word of the reader").webhook(&receiver("ok")),
        rare("fails").says("boom").webhook(&receiver("later")),
        rare("gone").webhook(&receiver("gone")),
        rare("goes").says("sleep 600"),
        Cron::bare("steady").with("schedule = \"0 9 * * *\"\ntimezone = \"Europe/Berlin\""),
    ])
}

impl Daemon {
    /// Returns the state of every webhook and how often it was tried.
    pub(crate) fn webhook_states(&self) -> Vec<(String, i64)> {
        let sql = "SELECT status, attempts FROM deliveries ORDER BY created_at, delivery_id";
        self.query(sql, |row| Ok((row.get(0)?, row.get(1)?)))
    }
}
