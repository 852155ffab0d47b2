//! The embedded agent server on a port.

use agentcron::backend::embedded::{EmbeddedServer, LedgerEntry};

use super::loopback_server::{LoopbackServer, serve_router};

pub(crate) struct AgentServerOnPort {
    agents: EmbeddedServer,
    serving: LoopbackServer,
}

impl AgentServerOnPort {
    pub(crate) fn start() -> Self {
        Self::start_on(0)
    }

    pub(crate) fn start_on(port: u16) -> Self {
        let agents = new_agent_server();
        let router = agents.router();
        Self { agents, serving: LoopbackServer::start(port, |listener| serve_router(listener, router)) }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.serving.address()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn ledger(&self) -> Vec<LedgerEntry> {
        self.agents.ledger()
    }

    /// Stops listening. Its threads and runs stay and continue, as on a server that has a database.
    pub(crate) fn stop(&mut self) {
        self.serving.stop();
    }

    pub(crate) fn start_again(&mut self) {
        let router = self.agents.router();
        self.serving.start_again(|listener| serve_router(listener, router));
    }

    /// Starts again without any thread or run, as a server does that keeps them in memory. The ledger is empty as well.
    pub(crate) fn start_again_empty(&mut self) {
        self.agents = new_agent_server();
        self.start_again();
    }
}

fn new_agent_server() -> EmbeddedServer {
    #[expect(clippy::disallowed_methods, reason = "a server on a real port runs in real time")]
    EmbeddedServer::new(jiff::Timestamp::now)
}

#[test]
fn a_stopped_server_refuses_and_comes_back_on_its_port_with_its_memory() {
    let mut server = AgentServerOnPort::start();
    let address = server.address();
    let thread = "/threads/22222222-2222-4222-8222-222222222222";
    let run = r#"{"assistant_id": "agent", "if_not_exists": "create"}"#;
    let (status, _) = super::real_server::http(address, "POST", &format!("{thread}/runs"), run).unwrap();
    assert_eq!(status, 200);
    server.stop();
    assert!(super::real_server::http(address, "GET", "/ok", "").is_err());
    server.start_again();
    assert_eq!(super::real_server::http(address, "GET", thread, "").unwrap().0, 200);
    server.stop();
    server.start_again_empty();
    assert_eq!(super::real_server::http(address, "GET", thread, "").unwrap().0, 404);
}
