//! A client that asks for more runs than there is room for holds up neither the crons from files nor the daemon.

use agentcron::backend::embedded::EmbeddedServer;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::support::client::{Client, ClientResponse};
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::loopback_server::{LoopbackServer, serve_router};

const KEY: &str = "key-of-the-greedy-client";

/// The daemon of the test, and a client of it. It has places for two runs.
struct Crowded {
    _server: LoopbackServer,
    daemon: Daemon,
    client: Client,
}

async fn crowded() -> Crowded {
    #[expect(clippy::disallowed_methods, reason = "a server on a real port runs in real time")]
    let agents = EmbeddedServer::new(jiff::Timestamp::now);
    // Clients that make crons need to know the assistant's id.
    let assistants = Router::new().route("/assistants/{assistant_id}", get(async || Json(json!({}))));
    let router = agents.router().merge(assistants);
    let server = LoopbackServer::start(0, |listener| serve_router(listener, router));
    let address = free_address();
    let often = Cron::bare("often").with("schedule = \"* * * * * *\"").runs_every_occurrence();
    let configuration = Configuration::new(&format!("http://{}", server.address()))
        .backend("max_concurrent_runs = 2")
        .http(&format!("listen = \"{address}\"\napi_keys = [\"{KEY}\"]"))
        .cron(often);
    let daemon = Daemon::start(&configuration);
    let client = Client::new(address).with("x-api-key", KEY).ready().await;
    Crowded { _server: server, daemon, client }
}

impl Crowded {
    /// Makes the cron `greedy`, whose runs are long and may overlap, and waits until one of them is running.
    async fn occupy_a_place(&self) {
        let cron = json!({
            "assistant_id": "agent", "schedule": "0 0 1 1 *", "overlap": "allow", "metadata": {"name": "greedy"},
            "input": {"messages": [{"role": "user", "content": "sleep 600"}]},
        });
        let made = self.client.post("/runs/crons", &cron).await;
        assert_eq!(made.status, 200, "{}", made.text());
        assert_eq!(self.trigger().await.status, 200);
        self.daemon.wait_until("a long run", || self.count("running") == 1).await;
    }

    async fn trigger(&self) -> ClientResponse {
        self.client.post("/v1/crons/greedy/trigger", &json!({})).await
    }

    /// Returns how many runs of `greedy` are in this phase.
    fn count(&self, phase: &str) -> usize {
        let runs = self.daemon.history();
        runs.iter().filter(|run| run.cron_name == "greedy" && run.phase == phase).count()
    }
}

#[tokio::test]
async fn a_client_with_long_runs_does_not_starve_a_cron_from_a_file() {
    let crowded = crowded().await;
    let daemon = &crowded.daemon;
    crowded.occupy_a_place().await;
    for _ in 0..40 {
        assert_eq!(crowded.trigger().await.status, 200);
    }
    let since = super::support::span::now();
    let of_file = |status: &str| {
        let runs = daemon.history();
        runs.iter().filter(|run| run.scheduled_for > since && run.status == status).count()
    };
    daemon.wait_until("three occurrences to succeed", || of_file("success") >= 3).await;
    assert_eq!(of_file("error"), 0, "{:#?}", daemon.history());
    assert_eq!((crowded.count("running"), crowded.count("pending")), (1, 40), "the other place is kept");
}

#[tokio::test]
async fn one_trigger_too_many_is_refused_with_429_and_says_what_to_do() {
    let crowded = crowded().await;
    crowded.occupy_a_place().await;
    for _ in 0..100 {
        assert_eq!(crowded.trigger().await.status, 200);
    }
    let refused = crowded.trigger().await;
    assert_eq!((refused.status, &refused.headers["retry-after"]), (429, &"10".parse().unwrap()));
    let detail = "100 triggered runs of greedy wait to start, and at most 100 may; nothing was done; try again once some \
                  of them have started, or cancel some";
    assert_eq!(refused.detail(), detail);
    let command = crowded.daemon.run_command(&["trigger", "greedy"]);
    assert_eq!(command.status.code(), Some(1));
    let said = String::from_utf8(command.stderr).unwrap();
    assert!(said.contains(detail), "{said}");
}
