//! Finds out whether a run that the server calls a success stopped at a breakpoint. Neither the run nor `join`
//! shows that; only the thread does.

use http::Method;
use serde_json::{Value, json};

use super::call_error::CallError;
use super::client::AgentClient;
use crate::domain::ids::{BackendRunId, ThreadId};

impl AgentClient {
    /// Returns whether the graph had more nodes to run when this run ended. Its own last checkpoint shows it,
    /// whatever other runs have done to the thread since.
    ///
    /// # Errors
    /// The server has neither the history of threads nor a search for them.
    pub async fn stopped_early(
        &self,
        thread_id: ThreadId,
        backend_run_id: BackendRunId,
    ) -> Result<bool, CallError> {
        let body = json!({ "limit": 1, "metadata": { "run_id": backend_run_id.to_string() } });
        let path = format!("/threads/{thread_id}/history");
        let history = match self.ask(Method::POST, &path, Some(&body)).await.map_err(CallError::from) {
            Ok(answer) if answer.status.is_success() => {
                serde_json::from_slice(&answer.body).unwrap_or_default()
            }
            // The values of the checkpoint are part of it.
            Ok(_) | Err(CallError::TooLarge { .. }) => Value::Null,
            Err(error) => return Err(error),
        };
        match history[0]["next"].as_array() {
            Some(next) => Ok(!next.is_empty()),
            None => Ok(self.thread_without_values(thread_id).await?.interrupted),
        }
    }

    /// Returns whether the graph of an assistant was compiled with breakpoints, those of its subgraphs
    /// included.
    pub async fn graph_has_breakpoints(&self, assistant_id: &str) -> Result<bool, CallError> {
        let graph =
            self.ask_json(Method::GET, &format!("/assistants/{assistant_id}/graph?xray=true")).await?;
        let mut nodes = graph["nodes"].as_array().into_iter().flatten();
        Ok(nodes.any(|node| !node["metadata"]["__interrupt"].is_null()))
    }
}
