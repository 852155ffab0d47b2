//! What a run is asked to do: the parts that are needed to start it, to follow it and to send its webhook. A
//! run is made for a cron, or for a client that asked the agent server for it through us.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff;
use super::cron::{Cron, CronSource, Mode, OnRunCompleted, Request, Target, Template};
use super::ids::ThreadId;
use super::retention::Retention;
use super::run::Run;

/// Who a run is made for, and what it is asked to do.
#[derive(Clone, Debug)]
pub enum RunSpec {
    /// For a cron, by this version of its definition: we start it.
    Cron(Arc<Cron>),
    /// For a client of the agent server's API: the client's own request starts it, and is forwarded once and
    /// never again.
    Client(Box<ClientRunSpec>),
}

/// What a client has asked for, without the parts that only the agent server needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRunSpec {
    request: Request,
    webhook: Template,
}

impl ClientRunSpec {
    /// Returns the spec of a client's run. `thread_id` is the thread that the client named; without one the
    /// agent server makes a thread, which is kept or deleted according to `completed`. No placeholder in the
    /// webhook's URL is filled.
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

    pub fn request(&self) -> &Request {
        &self.request
    }

    pub fn webhook(&self) -> &Template {
        &self.webhook
    }
}

impl RunSpec {
    /// Returns what the agent server is asked to do.
    pub fn request(&self) -> &Request {
        match self {
            RunSpec::Cron(cron) => &cron.request,
            RunSpec::Client(client) => &client.request,
        }
    }

    /// Returns the URL that is notified of the end, if there is one.
    pub fn webhook(&self) -> Option<&Template> {
        match self {
            RunSpec::Cron(cron) => cron.webhook.as_ref(),
            RunSpec::Client(client) => Some(&client.webhook),
        }
    }

    /// Returns whether it is defined in a file. Only then are environment variables and credentials filled in:
    /// a client of the API must not learn them.
    pub fn is_from_file(&self) -> bool {
        match self {
            RunSpec::Cron(cron) => cron.source == CronSource::File,
            RunSpec::Client(_) => false,
        }
    }

    /// Returns how long a run that started at `started_at` may take, and since when that counts; `None` means that there is
    /// no limit. The cron's `timeout` counts from the start of the first run of the occurrence.
    pub fn time_limit(&self, run: &Run, started_at: Timestamp) -> Option<(Timestamp, Duration)> {
        let RunSpec::Cron(cron) = self else { return None };
        let timeout_each = cron.policy.retry.as_ref().and_then(|retry| retry.timeout_each);
        let limits =
            [(run.first_started_at.unwrap_or(started_at), cron.policy.timeout), (started_at, timeout_each)];
        let limits = limits.into_iter().filter_map(|(from, limit)| Some((from, limit?)));
        limits.min_by_key(|(from, limit)| backoff::after(*from, *limit))
    }

    /// Returns how long its history is kept, with the rules for everything that has none of its own.
    pub fn retention(&self, of_store: &Retention) -> Retention {
        match self {
            RunSpec::Cron(cron) => of_store.with(&cron.policy.retention),
            RunSpec::Client(_) => of_store.clone(),
        }
    }

    /// Returns how many failures in a row pause the cron; `None` means that none do.
    pub fn pause_after_failures(&self) -> Option<u32> {
        match self {
            RunSpec::Cron(cron) => cron.policy.pause_after_failures,
            RunSpec::Client(_) => None,
        }
    }
}
