//! Looking at what the server has: a run, a thread, the runs on a thread; the fence; deletion.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::{AgentClient, CallError};
use super::follow::run_error;
use crate::domain::bounds::{FENCE_SECONDS, LISTED_RUNS_MAX};
use crate::domain::ids::{AssistantId, BackendRunId, RunId, ThreadId};
use crate::domain::run::RunError;

/// The metadata key of a fence: a run that bears it is never ours.
const FENCE_KEY: &str = "agentcron_fence";
/// The metadata key of our runs.
pub const RUN_KEY: &str = "agentcron_run_id";
/// Runs listed in one request.
const PAGE: usize = 100;

/// A run, as the server reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The server's word for where it is.
    pub status: String,
    /// All of it: it is the body of the webhook.
    pub run: Value,
}

/// A thread, as the server reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadReport {
    /// Whether its last run stopped at an interrupt.
    pub interrupted: bool,
    /// Its state.
    pub values: Value,
    /// The error of its last run.
    pub error: Option<RunError>,
}

/// A run in the list of a thread's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRun {
    /// Its id there.
    pub backend_run_id: BackendRunId,
    /// The server's word for where it is.
    pub status: String,
    /// Whether it is a fence.
    pub is_fence: bool,
    /// Our run id in its metadata; `None` as well if this server does not report metadata.
    pub run_id: Option<RunId>,
    /// Whether this server reports metadata.
    pub has_metadata: bool,
}

/// What posting a fence came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceAnswer {
    /// The fence stands: nothing can start on that thread while it does.
    Stands(BackendRunId),
    /// Something is going on that thread: our run, or an earlier fence.
    Busy,
    /// This server does not take fences.
    NotSupported(String),
    /// Ask again later.
    Unclear(String),
}

/// What deleting a thread came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, now or before.
    Gone,
    /// It is still there.
    NotYet(String),
}

impl RunReport {
    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "pending" | "running")
    }
}

impl ThreadReport {
    fn of(thread: &Value) -> Self {
        Self {
            // The status alone will not do: once something else is asked of the thread, it says `busy`.
            interrupted: thread["status"] == "interrupted"
                || thread["interrupts"].as_object().is_some_and(|interrupts| !interrupts.is_empty()),
            values: thread["values"].clone(),
            error: thread.get("error").filter(|error| !error.is_null()).map(run_error),
        }
    }
}

impl AgentClient {
    /// Asks for a run.
    pub async fn run(
        &self,
        thread_id: ThreadId,
        backend_run_id: BackendRunId,
    ) -> Result<RunReport, CallError> {
        let path = format!("/threads/{thread_id}/runs/{backend_run_id}");
        let run = self.ask_json(Method::GET, &path).await?;
        match run["status"].as_str().map(str::to_owned) {
            Some(status) => Ok(RunReport { status, run }),
            None => Err(CallError::Unreachable("its answer about the run has no status".to_owned())),
        }
    }

    /// Asks for a thread.
    pub async fn thread(&self, thread_id: ThreadId) -> Result<ThreadReport, CallError> {
        Ok(ThreadReport::of(&self.ask_json(Method::GET, &format!("/threads/{thread_id}")).await?))
    }

    /// Asks for a thread, but for its values: for one that is too large to be read as a whole. A server that cannot
    /// leave them out answers [`CallError::TooLarge`] or an error of its own.
    pub async fn thread_without_values(&self, thread_id: ThreadId) -> Result<ThreadReport, CallError> {
        // No `error`: the server does not let it be selected.
        let select = ["thread_id", "status", "interrupts"];
        let body = json!({ "ids": [thread_id.to_string()], "limit": 1, "select": select });
        let answer = self.ask(Method::POST, "/threads/search", Some(&body)).await?;
        if !answer.status.is_success() {
            return Err(CallError::Status { code: answer.status.as_u16(), detail: answer.words() });
        }
        let threads: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = thread_id.to_string();
        let mut threads = threads.as_array().into_iter().flatten();
        match threads.find(|thread| thread["thread_id"] == id.as_str()) {
            Some(thread) => Ok(ThreadReport::of(thread)),
            None => Err(CallError::NotFound(": the search for this thread finds nothing".to_owned())),
        }
    }

    /// The id of an assistant that is named by its id or by its graph; `None` if there is no such assistant.
    pub async fn assistant(&self, word: &str) -> Result<Option<AssistantId>, CallError> {
        let derived = AssistantId::of_word(word);
        match self.ask_json(Method::GET, &format!("/assistants/{derived}")).await {
            Ok(_) => return Ok(Some(derived)),
            Err(CallError::NotFound(_)) if word.parse::<AssistantId>().is_ok() => return Ok(None),
            // Not every server derives ids as the usual one does.
            Err(CallError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let body = json!({ "graph_id": word, "limit": 1, "sort_by": "created_at", "sort_order": "asc" });
        let answer = self.ask(Method::POST, "/assistants/search", Some(&body)).await;
        let answer = answer?;
        match answer.status {
            status if status.is_success() => {
                let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                Ok(found[0]["assistant_id"].as_str().and_then(|id| id.parse().ok()))
            }
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Ok(None),
            status => Err(CallError::Status { code: status.as_u16(), detail: answer.words() }),
        }
    }

    /// The threads that the server has made for a stateless run of ours. It hands the run's metadata on to the thread;
    /// one that does not, or that has no search, finds none.
    pub async fn threads_of(&self, run_id: RunId) -> Result<Vec<ThreadId>, CallError> {
        let body =
            json!({ "metadata": { RUN_KEY: run_id.to_string() }, "limit": 10, "select": ["thread_id"] });
        let answer = self.ask(Method::POST, "/threads/search", Some(&body)).await?;
        let threads = match answer.status {
            status if status.is_success() => serde_json::from_slice::<Value>(&answer.body),
            StatusCode::NOT_FOUND => return Err(CallError::NotFound(answer.words())),
            status => return Err(CallError::Status { code: status.as_u16(), detail: answer.words() }),
        };
        let Ok(Value::Array(threads)) = threads else {
            return Err(CallError::Unreachable("its list of threads is no list".to_owned()));
        };
        let id = |thread: &Value| thread["thread_id"].as_str()?.parse().ok();
        Ok(threads.iter().filter_map(id).collect())
    }

    /// The runs on a thread, newest first; none if there is no such thread.
    pub async fn runs_on(&self, thread_id: ThreadId) -> Result<Vec<ListedRun>, CallError> {
        let mut listed = Vec::new();
        while listed.len() < LISTED_RUNS_MAX {
            let path = format!(
                "/threads/{thread_id}/runs?limit={PAGE}&offset={}&select=run_id&select=status&select=metadata",
                listed.len()
            );
            let page = match self.ask_json(Method::GET, &path).await {
                Ok(Value::Array(page)) => page,
                Ok(_) => return Err(CallError::Unreachable("its list of runs is no list".to_owned())),
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
    pub async fn fence(&self, thread_id: ThreadId, assistant_id: &str) -> FenceAnswer {
        let body = json!({
            "assistant_id": assistant_id,
            "if_not_exists": "create",
            "multitask_strategy": "reject",
            "after_seconds": FENCE_SECONDS,
            "interrupt_before": "*",
            "metadata": { FENCE_KEY: true },
            // Once more, for servers that tell of a run what it was given, but not its metadata.
            "input": { FENCE_KEY: true },
        });
        match self.ask(Method::POST, &format!("/threads/{thread_id}/runs"), Some(&body)).await {
            Ok(answer) => judge_fence(&answer),
            Err(error) => FenceAnswer::Unclear(error.to_string()),
        }
    }

    /// Takes a fence away that has served. Cancelled first: a server that only deletes it leaves its thread `busy`
    /// for good.
    pub async fn lift_fence(&self, thread_id: ThreadId, fence: BackendRunId) -> Result<Deleted, CallError> {
        match self.cancel(thread_id, fence).await {
            Ok(()) | Err(CallError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.delete(&format!("/threads/{thread_id}/runs/{fence}")).await
    }

    /// Deletes a thread and all that is on it.
    pub async fn delete_thread(&self, thread_id: ThreadId) -> Result<Deleted, CallError> {
        self.delete(&format!("/threads/{thread_id}")).await
    }

    async fn delete(&self, path: &str) -> Result<Deleted, CallError> {
        let answer = self.ask(Method::DELETE, path, None).await?;
        Ok(match answer.status {
            status if status.is_success() => Deleted::Gone,
            StatusCode::NOT_FOUND | StatusCode::GONE => Deleted::Gone,
            status => Deleted::NotYet(format!("backend answered {}{}", status.as_u16(), answer.words())),
        })
    }
}

fn judge_fence(answer: &Answer) -> FenceAnswer {
    let detail = || format!("backend answered {}{}", answer.status.as_u16(), answer.words());
    match answer.status {
        status if status.is_success() => {
            let run: Option<Value> = serde_json::from_slice(&answer.body).ok();
            match run.and_then(|run| run["run_id"].as_str()?.parse().ok()) {
                Some(fence) => FenceAnswer::Stands(fence),
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
        is_fence: [metadata, &run["input"]].iter().any(|place| place.get(FENCE_KEY).is_some()),
        run_id: metadata[RUN_KEY].as_str().and_then(|id| id.parse().ok()),
        has_metadata: metadata.is_object(),
    })
}
