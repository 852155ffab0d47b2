//! What a run is to do, as far as whoever starts it, follows it and tells of its end must know: for its cron, or for a
//! client who asked the agent server for it through us.

use std::sync::Arc;
use std::time::Duration;

use super::cron::{Cron, CronSource, Mode, OnRunCompleted, Request, Target, Template};
use super::ids::ThreadId;

/// For whom a run is, and what it is to do.
#[derive(Clone, Debug)]
pub enum RunSpec {
    /// For a cron, by this version of its definition: we start it.
    Cron(Arc<Cron>),
    /// For a client of the agent server's API: its own request starts it, which is passed on once and never again.
    Client(Box<ClientRunSpec>),
}

/// What a client has asked for, without what only the agent server needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRunSpec {
    request: Request,
    webhook: Template,
}

impl ClientRunSpec {
    /// `thread_id` is the thread that the client named; without one the agent server makes its own, which is treated
    /// by `completed`. The webhook's URL is what it is: no placeholder is to be found in it.
    pub fn new(
        assistant_id: String,
        thread_id: Option<ThreadId>,
        completed: OnRunCompleted,
        webhook: Template,
    ) -> Self {
        let target = thread_id.map_or(Target::Stateless(completed), Target::Thread);
        let request = Request {
            assistant_id,
            target,
            mode: Mode::Background,
            payload: serde_json::Map::new(),
            metadata: serde_json::Map::new(),
            multitask_strategy: None,
        };
        Self { request, webhook }
    }

    /// Which assistant, and on which thread.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Whom to tell.
    pub fn webhook(&self) -> &Template {
        &self.webhook
    }
}

impl RunSpec {
    /// What the agent server is asked to do.
    pub fn request(&self) -> &Request {
        match self {
            RunSpec::Cron(cron) => &cron.request,
            RunSpec::Client(client) => &client.request,
        }
    }

    /// Whom to tell of the end.
    pub fn webhook(&self) -> Option<&Template> {
        match self {
            RunSpec::Cron(cron) => cron.webhook.as_ref(),
            RunSpec::Client(client) => Some(&client.webhook),
        }
    }

    /// Whether it stands in a file: what comes through the API must not learn what the daemon's environment holds.
    pub fn is_from_file(&self) -> bool {
        match self {
            RunSpec::Cron(cron) => cron.source == CronSource::File,
            RunSpec::Client(_) => false,
        }
    }

    /// How long it may take.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            RunSpec::Cron(cron) => cron.policy.timeout,
            RunSpec::Client(_) => None,
        }
    }

    /// How many failures in a row pause the cron.
    pub fn pause_after_failures(&self) -> Option<u32> {
        match self {
            RunSpec::Cron(cron) => cron.policy.pause_after_failures,
            RunSpec::Client(_) => None,
        }
    }
}
