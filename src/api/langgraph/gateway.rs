//! What handling a request in front of the agent server needs.

use std::time::Duration;

use super::agent_server::AgentServer;
use super::streamed_body::StreamedBodies;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;

#[derive(Clone)]
pub struct Gateway {
    pub api: Api,
    /// If `None`, requests that would be forwarded fail.
    pub agent_server: Option<AgentServer>,
    /// How long the agent server may take for the head of a response that does not wait for a run.
    pub request_timeout: Duration,
    pub(super) streamed_bodies: StreamedBodies,
}

impl Gateway {
    pub fn new(api: Api, agent_server: Option<AgentServer>, request_timeout: Duration) -> Self {
        Self { api, agent_server, request_timeout, streamed_bodies: StreamedBodies::default() }
    }

    /// Waits until everything is finished that must be. No new requests may arrive meanwhile.
    pub(in crate::api) async fn drain(&self) {
        self.api.to_finish.close();
        self.api.to_finish.wait().await;
    }

    pub(super) fn agent_server(&self) -> Result<&AgentServer, ErrorResponse> {
        let message = || "there is no agent server to forward this request to".to_owned();
        self.agent_server.as_ref().ok_or_else(|| ErrorResponse::bad_gateway(message()))
    }
}
