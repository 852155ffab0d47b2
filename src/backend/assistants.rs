//! Reads which assistants the agent server has, and what they take, so that a first cron can name one.

use http::Method;
use serde_json::{Value, json};

use super::call_error::CallError;
use super::client::AgentClient;

/// An assistant of the agent server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assistant {
    pub id: String,
    /// The graph that it runs.
    pub graph_id: String,
    /// Whether the server has made it of the graph. Then the graph's name stands for it.
    pub is_of_server: bool,
}

impl Assistant {
    /// Returns the word by which a cron names it.
    pub fn word(&self) -> &str {
        if self.is_of_server { &self.graph_id } else { &self.id }
    }

    fn of(listed: &Value) -> Option<Self> {
        Some(Self {
            id: listed["assistant_id"].as_str()?.to_owned(),
            graph_id: listed["graph_id"].as_str()?.to_owned(),
            is_of_server: listed["metadata"]["created_by"] == "system",
        })
    }
}

impl AgentClient {
    /// Returns the assistants of the server, the oldest first, up to `limit`. What has no id is none of them.
    pub async fn assistants(&self, limit: usize) -> Result<Vec<Assistant>, CallError> {
        let body = json!({ "limit": limit, "sort_by": "created_at", "sort_order": "asc" });
        let answer = self.ask(Method::POST, "/assistants/search", Some(&body)).await?;
        if !answer.status.is_success() {
            return Err(answer.failure());
        }
        let Ok(Value::Array(listed)) = serde_json::from_slice(&answer.body) else {
            return Err(CallError::Unreachable("its list of assistants is not a list".to_owned()));
        };
        Ok(listed.iter().filter_map(Assistant::of).take(limit).collect())
    }

    /// Returns the JSON Schema of what an assistant takes as its input; null if the server does not say.
    pub async fn input_schema(&self, assistant: &Assistant) -> Result<Value, CallError> {
        let id = url::form_urlencoded::byte_serialize(assistant.id.as_bytes()).collect::<String>();
        let mut schemas = self.ask_json(Method::GET, &format!("/assistants/{id}/schemas")).await?;
        Ok(schemas["input_schema"].take())
    }
}
