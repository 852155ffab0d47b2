//! Queries what the server has (a run, a thread, the runs on a thread), posts and lifts fences, and deletes
//! threads.

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Answer;
use super::call_error::{CallError, Denial};
use super::client::AgentClient;
use super::follow::questions;
use super::mark::{DAEMON_KEY, FENCE_KEY, INSTALLATION_KEY, RUN_KEY, RunMark};
use super::run_error::run_error;
use crate::domain::bounds::{FENCE_SECONDS, LISTED_RUNS_MAX};
use crate::domain::ids::{AssistantId, BackendRunId, InstallationId, RunId, RunOwner, ThreadId};
use crate::domain::run::RunError;

/// Runs listed in one request.
const PAGE: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The status, as the server names it.
    pub status: String,
    /// The whole report, on which the body of the webhook is based.
    pub run: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ThreadReport {
    /// Whether its last run stopped at an interrupt.
    pub interrupted: bool,
    /// The questions at which it stopped; `None` if there are none.
    pub interrupts: Option<Value>,
    /// The state of the graph.
    pub values: Value,
    /// The error of its last run.
    pub error: Option<RunError>,
    pub created_at: Option<Timestamp>,
}

/// A run in the list of a thread's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRun {
    pub backend_run_id: BackendRunId,
    /// The status, as the server names it.
    pub status: String,
    pub is_fence: bool,
    /// What it bears in its metadata.
    pub mark: RunMark,
    /// Whether the server reports the metadata of this run. A server that keeps it adds some of its own.
    pub has_metadata: bool,
    pub created_at: Option<Timestamp>,
}

/// What may be concluded from the answer to a fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceAnswer {
    /// The fence was posted: nothing can start on the thread while it is there, if this server honours
    /// fences.
    Posted(BackendRunId),
    /// A run is in progress on the thread: ours, or an earlier fence.
    Busy,
    NotSupported(String),
    Denied(Denial),
    /// Nothing may be concluded.
    Unclear(String),
}

/// The result of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, and may have been gone before.
    Gone,
    /// It may still be there: the server refuses us.
    Denied(Denial),
    /// It may still be there; the text says why.
    NotYet(String),
}

impl RunReport {
    pub fn has_ended(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "running")
    }

    /// Returns how long the run took by the server's clock, until its status changed for the last time; `None` if the
    /// server does not report that.
    pub fn took(&self) -> Option<Duration> {
        let at = |key: &str| self.run[key].as_str()?.parse::<Timestamp>().ok();
        let took = at("updated_at")?.duration_since(at("created_at")?);
        took.try_into().ok().filter(|took: &Duration| !took.is_zero())
    }

    /// Returns whether the run was asked to stop before or after nodes.
    pub fn has_breakpoints(&self) -> bool {
        let asked = |key: &str| match &self.run["kwargs"][key] {
            Value::Array(nodes) => !nodes.is_empty(),
            other => !other.is_null(),
        };
        asked("interrupt_before") || asked("interrupt_after")
    }

    /// Returns who stopped the run, in the words of a server that reports it (0.17 and later).
    pub fn cancel_reason(&self) -> Option<&str> {
        self.run["cancel_reason"].as_str().filter(|reason| !reason.is_empty())
    }
}

impl ThreadReport {
    fn of(thread: &Value) -> Self {
        let by_task = thread["interrupts"].as_object().filter(|by_task| !by_task.is_empty());
        let interrupts = by_task.map(|by_task| questions(by_task.values().cloned()));
        Self {
            // The status alone is not enough: once another run is requested on the thread, it is `busy`.
            interrupted: thread["status"] == "interrupted" || interrupts.is_some(),
            interrupts,
            values: thread["values"].clone(),
            error: thread.get("error").filter(|error| !error.is_null()).map(run_error),
            created_at: thread["created_at"].as_str().and_then(|at| at.parse().ok()),
        }
    }
}

impl AgentClient {
    pub async fn run(
        &self,
        thread_id: ThreadId,
        backend_run_id: BackendRunId,
    ) -> Result<RunReport, CallError> {
        let path = format!("/threads/{thread_id}/runs/{backend_run_id}");
        let run = self.ask_json(Method::GET, &path).await?;
        match run["status"].as_str().map(str::to_owned) {
            Some(status) => Ok(RunReport { status, run }),
            None => Err(CallError::Unreachable("its report of the run has no status".to_owned())),
        }
    }

    pub async fn thread(&self, thread_id: ThreadId) -> Result<ThreadReport, CallError> {
        Ok(ThreadReport::of(&self.ask_json(Method::GET, &format!("/threads/{thread_id}")).await?))
    }

    /// Queries a thread without its values, for a thread that is too large to be read as a whole.
    ///
    /// # Errors
    /// A server that cannot leave the values out causes [`CallError::TooLarge`], or an error of its own.
    pub async fn thread_without_values(&self, thread_id: ThreadId) -> Result<ThreadReport, CallError> {
        // The server does not allow `error` to be selected.
        let select = ["thread_id", "status", "interrupts"];
        let body = json!({ "ids": [thread_id.to_string()], "limit": 1, "select": select });
        let answer = self.ask(Method::POST, "/threads/search", Some(&body)).await?;
        if !answer.status.is_success() {
            return Err(answer.failure());
        }
        let threads: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = thread_id.to_string();
        let mut threads = threads.as_array().into_iter().flatten();
        match threads.find(|thread| thread["thread_id"] == id.as_str()) {
            Some(thread) => Ok(ThreadReport::of(thread)),
            None => Err(CallError::NotFound(": the search for this thread found nothing".to_owned())),
        }
    }

    /// Returns the id of an assistant that is named by its id or by its graph; `None` if there is no such
    /// assistant. On a server without routes for assistants (`http.disable_assistants`) that is not known, and
    /// the id is the one that the server would derive.
    pub async fn assistant(&self, name: &str) -> Result<Option<AssistantId>, CallError> {
        let derived = AssistantId::of_word(name);
        let is_an_id = name.parse::<AssistantId>().is_ok();
        let may_lack_route = match self.ask_json(Method::GET, &format!("/assistants/{derived}")).await {
            Ok(_) => return Ok(Some(derived)),
            Err(CallError::NotFound(_)) if is_an_id => return Ok(None),
            // Not every server derives the ids of assistants as LangGraph's own does.
            Err(CallError::NotFound(_)) => false,
            Err(CallError::PlainNotFound(_)) => true,
            Err(error) => return Err(error),
        };
        let body = json!({ "graph_id": name, "limit": 1, "sort_by": "created_at", "sort_order": "asc" });
        let answer = self.ask(Method::POST, "/assistants/search", Some(&body)).await?;
        match answer.status {
            status if status.is_success() => {
                let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                Ok(found[0]["assistant_id"].as_str().and_then(|id| id.parse().ok()))
            }
            StatusCode::UNPROCESSABLE_ENTITY => Ok(None),
            _ => match answer.failure() {
                // A search names the graph that is missing, so this route is missing as well.
                CallError::PlainNotFound(_) if may_lack_route => Ok(Some(derived)),
                CallError::NotFound(_) | CallError::PlainNotFound(_) => Ok(None),
                failure => Err(failure),
            },
        }
    }

    /// Returns the threads that the server made for a stateless run of ours. The server copies a run's
    /// metadata to the thread; where it does not, none is found.
    pub async fn threads_of(
        &self,
        run_id: RunId,
        installation_id: InstallationId,
    ) -> Result<Vec<ThreadId>, CallError> {
        let ours = json!({ RUN_KEY: run_id.to_string(), INSTALLATION_KEY: installation_id.to_string() });
        let body = json!({ "metadata": ours, "limit": 10, "select": ["thread_id"] });
        let answer = self.ask(Method::POST, "/threads/search", Some(&body)).await?;
        let threads = match answer.status {
            status if status.is_success() => serde_json::from_slice::<Value>(&answer.body),
            _ => return Err(answer.failure()),
        };
        let Ok(Value::Array(threads)) = threads else {
            return Err(CallError::Unreachable("its list of threads is not a list".to_owned()));
        };
        let id = |thread: &Value| thread["thread_id"].as_str()?.parse().ok();
        Ok(threads.iter().filter_map(id).collect())
    }

    /// Returns the runs on a thread, the newest first; none if there is no such thread.
    pub async fn runs_on(&self, thread_id: ThreadId) -> Result<Vec<ListedRun>, CallError> {
        let mut listed = Vec::new();
        while listed.len() < LISTED_RUNS_MAX {
            let path = format!(
                "/threads/{thread_id}/runs?limit={PAGE}&offset={}&select=run_id&select=status&select=metadata\
                 &select=created_at",
                listed.len()
            );
            let page = match self.ask_json(Method::GET, &path).await {
                Ok(Value::Array(page)) => page,
                Ok(_) => return Err(CallError::Unreachable("its list of runs is not a list".to_owned())),
                Err(CallError::NotFound(_)) => break,
                Err(error) => return Err(error),
            };
            let count = page.len();
            listed.extend(page.iter().filter_map(listed_run));
            if count < PAGE {
                break;
            }
        }
        Ok(listed)
    }

    /// Posts the fence: a run that waits for ten years and would stop before its first step.
    pub async fn fence(&self, thread_id: ThreadId, assistant_id: &str, owner: RunOwner) -> FenceAnswer {
        let body = json!({
            "assistant_id": assistant_id,
            "if_not_exists": "create",
            "multitask_strategy": "reject",
            "after_seconds": FENCE_SECONDS,
            "interrupt_before": "*",
            "metadata": {
                FENCE_KEY: true,
                INSTALLATION_KEY: owner.installation_id.to_string(),
                DAEMON_KEY: owner.daemon_id.to_string(),
            },
            // Once more, for servers that report the input of a run, but not its metadata.
            "input": { FENCE_KEY: true },
        });
        match self.ask(Method::POST, &format!("/threads/{thread_id}/runs"), Some(&body)).await {
            Ok(answer) => judge_fence(&answer),
            Err(error) => FenceAnswer::Unclear(error.to_string()),
        }
    }

    /// Removes a fence that is no longer needed. It is cancelled first: a server that only deletes it leaves
    /// the thread `busy` for good.
    pub async fn lift_fence(&self, thread_id: ThreadId, fence: BackendRunId) -> Result<Deleted, CallError> {
        match self.cancel(thread_id, fence).await {
            Ok(()) | Err(CallError::NotFound(_) | CallError::PlainNotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.delete(&format!("/threads/{thread_id}/runs/{fence}")).await
    }

    /// Deletes a thread and everything on it.
    pub async fn delete_thread(&self, thread_id: ThreadId) -> Result<Deleted, CallError> {
        self.delete(&format!("/threads/{thread_id}")).await
    }

    async fn delete(&self, path: &str) -> Result<Deleted, CallError> {
        let answer = self.ask(Method::DELETE, path, None).await?;
        Ok(match answer.status {
            status if status.is_success() || status == StatusCode::GONE => Deleted::Gone,
            _ => match answer.failure() {
                CallError::NotFound(_) => Deleted::Gone,
                CallError::Denied(denial) => Deleted::Denied(denial),
                failure => Deleted::NotYet(failure.to_string()),
            },
        })
    }
}

fn judge_fence(answer: &Answer) -> FenceAnswer {
    if let Some(denial) = answer.denial() {
        return FenceAnswer::Denied(denial);
    }
    let detail = || format!("the agent server answered {}{}", answer.status.as_u16(), answer.message());
    match answer.status {
        status if status.is_success() => {
            let run: Option<Value> = serde_json::from_slice(&answer.body).ok();
            match run.and_then(|run| run["run_id"].as_str()?.parse().ok()) {
                Some(fence) => FenceAnswer::Posted(fence),
                None => FenceAnswer::Unclear(detail()),
            }
        }
        StatusCode::CONFLICT => FenceAnswer::Busy,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::NOT_FOUND => {
            FenceAnswer::NotSupported(detail())
        }
        _ => FenceAnswer::Unclear(detail()),
    }
}

fn listed_run(run: &Value) -> Option<ListedRun> {
    let metadata = &run["metadata"];
    Some(ListedRun {
        backend_run_id: run["run_id"].as_str()?.parse().ok()?,
        status: run["status"].as_str().unwrap_or_default().to_owned(),
        is_fence: [metadata, &run["input"]].iter().any(|object| object.get(FENCE_KEY).is_some()),
        mark: RunMark::of(metadata),
        has_metadata: metadata.as_object().is_some_and(|metadata| !metadata.is_empty()),
        created_at: run["created_at"].as_str().and_then(|at| at.parse().ok()),
    })
}
