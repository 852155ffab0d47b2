//! Twins of clients' crons. On a server that knows users, each cron of a client has a twin there: a cron with the same
//! request, but switched off and without a webhook, made with the client's own credentials. It never fires. The server
//! judges by it who may see, change and delete the cron, with its own rules and its own words.

use std::collections::HashSet;

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::call_error::CallError;
use super::client::AgentClient;
use crate::config::Credentials;
use crate::domain::bounds::{API_CRONS_MAX, SEARCH_LIMIT_MAX};
use crate::domain::ids::{AssistantId, CronId, ThreadId};

/// The metadata key by which a twin is known from the server's own crons.
const TWIN_KEY: &str = "agentcron_twin";

/// The server, asked with the credentials of one client.
#[derive(Clone, Debug)]
pub struct Twins(AgentClient);

/// What the server made of a request for a cron.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    pub cron_id: CronId,
    pub assistant_id: AssistantId,
    /// The metadata of the cron; the server may have added to it, such as who its owner is.
    pub metadata: Map<String, Value>,
}

/// Why there is no twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwinError {
    /// The server refused, with this message for the client.
    Refused { status: StatusCode, detail: String },
    /// The server did not answer, or not in a way that can be understood.
    Unclear(CallError),
}

impl AgentClient {
    /// Returns whether the server demands credentials: a request without any is refused.
    pub async fn demands_credentials(&self) -> Result<bool, CallError> {
        let nobody = ThreadId(uuid::Uuid::nil()).to_string();
        let answer = self.as_stranger(&nobody).await?;
        Ok(matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// Returns whether the server knows users: it demands credentials, or it admits guests and hides from them what we
    /// see. Without credentials of ours we are a guest as well, and have nothing to hide.
    pub async fn knows_users(&self) -> Result<bool, CallError> {
        if self.demands_credentials().await? {
            return Ok(true);
        }
        if !self.has_credentials() {
            return Ok(false);
        }
        // The oldest thread is the least likely to be deleted between two questions.
        let oldest =
            json!({ "limit": 1, "select": ["thread_id"], "sort_by": "created_at", "sort_order": "asc" });
        let answer = self.ask(Method::POST, "/threads/search", Some(&oldest)).await?;
        let threads: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(thread_id) = threads[0]["thread_id"].as_str() else { return Ok(false) };
        if self.as_stranger(thread_id).await?.status.is_success() {
            return Ok(false);
        }
        Ok(self.ask(Method::GET, &format!("/threads/{thread_id}"), None).await?.status.is_success())
    }

    /// Asks for a thread without credentials.
    async fn as_stranger(&self, thread_id: &str) -> Result<Answer, CallError> {
        let stranger = self.with_credentials(Credentials::default());
        let answer = stranger.ask(Method::GET, &format!("/threads/{thread_id}"), None).await?;
        match answer.status {
            status if status.is_server_error() => Err(answer.failure()),
            _ => Ok(answer),
        }
    }

    /// Returns the twins of a client with these headers, which hold its credentials.
    pub fn twins_of(&self, client: HeaderMap) -> Twins {
        Twins(self.with_credentials(Credentials::of_client(client)))
    }
}

impl Twins {
    /// Makes the twin of a cron, as the client asks for the cron.
    pub async fn create(
        &self,
        thread_id: Option<ThreadId>,
        request: &Map<String, Value>,
    ) -> Result<Twin, TwinError> {
        let path = match thread_id {
            Some(thread_id) => format!("/threads/{thread_id}/runs/crons"),
            None => "/runs/crons".to_owned(),
        };
        let mut request = switched_off(request);
        let metadata = request.entry("metadata").or_insert_with(|| json!({}));
        if let Value::Object(metadata) = metadata {
            metadata.insert(TWIN_KEY.to_owned(), json!(true));
        }
        twin(&self.ask(Method::POST, &path, Some(request)).await?)
    }

    /// Asks whether the client may see a cron.
    pub async fn see(&self, cron_id: CronId) -> Result<(), TwinError> {
        self.ask(Method::GET, &format!("/runs/crons/{cron_id}"), None).await.map(drop)
    }

    /// Changes a twin as the client asks for it.
    pub async fn change(&self, cron_id: CronId, patch: &Map<String, Value>) -> Result<Twin, TwinError> {
        let path = format!("/runs/crons/{cron_id}");
        twin(&self.ask(Method::PATCH, &path, Some(switched_off(patch))).await?)
    }

    pub async fn delete(&self, cron_id: CronId) -> Result<(), TwinError> {
        self.ask(Method::DELETE, &format!("/runs/crons/{cron_id}"), None).await.map(drop)
    }

    /// Returns the crons that the client may see.
    pub async fn visible(&self) -> Result<HashSet<CronId>, TwinError> {
        let mut visible = HashSet::new();
        for offset in (0..API_CRONS_MAX).step_by(SEARCH_LIMIT_MAX) {
            let search = json!({
                "metadata": { TWIN_KEY: true }, "select": ["cron_id"], "limit": SEARCH_LIMIT_MAX, "offset": offset,
                "sort_by": "created_at", "sort_order": "asc",
            });
            let search = search.as_object().cloned().unwrap_or_default();
            let answer = self.ask(Method::POST, "/runs/crons/search", Some(search)).await?;
            let Ok(Value::Array(page)) = serde_json::from_slice(&answer.body) else {
                return Err(unclear("its list of crons is not a list"));
            };
            visible.extend(page.iter().filter_map(|cron| cron["cron_id"].as_str()?.parse::<CronId>().ok()));
            if page.len() < SEARCH_LIMIT_MAX {
                break;
            }
        }
        Ok(visible)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Map<String, Value>>,
    ) -> Result<Answer, TwinError> {
        let body = body.map(Value::Object);
        let answer = self.0.ask(method, path, body.as_ref()).await;
        let answer = answer.map_err(|error| TwinError::Unclear(error.into()))?;
        match answer.status {
            status if status.is_success() => Ok(answer),
            status if status.is_client_error() => {
                Err(TwinError::Refused { status, detail: detail(&answer.body) })
            }
            _ => Err(TwinError::Unclear(answer.failure())),
        }
    }
}

/// Returns the request without its webhook, for a cron that does not fire.
fn switched_off(request: &Map<String, Value>) -> Map<String, Value> {
    let mut request = request.clone();
    request.remove("webhook");
    request.insert("enabled".to_owned(), json!(false));
    request
}

fn twin(answer: &Answer) -> Result<Twin, TwinError> {
    let cron: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut metadata = cron["metadata"].as_object().cloned().unwrap_or_default();
    metadata.remove(TWIN_KEY);
    let id = |key: &str| cron[key].as_str().unwrap_or_default().to_owned();
    match (id("cron_id").parse(), id("assistant_id").parse()) {
        (Ok(cron_id), Ok(assistant_id)) => Ok(Twin { cron_id, assistant_id, metadata }),
        _ => Err(unclear("its cron has no id")),
    }
}

fn unclear(problem: &str) -> TwinError {
    TwinError::Unclear(CallError::Unreachable(problem.to_owned()))
}

/// Returns the server's own message, or its whole body if that is not JSON.
fn detail(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body).map(|mut body| body["detail"].take()) {
        Ok(Value::String(detail)) => detail,
        Ok(Value::Null) | Err(_) => String::from_utf8_lossy(body).into_owned(),
        Ok(other) => other.to_string(),
    }
}

/// Whether a cron of the server is a twin.
pub(super) fn is_twin(cron: &Value) -> bool {
    cron["metadata"][TWIN_KEY] == true
}
