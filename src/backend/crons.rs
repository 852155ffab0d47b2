//! Reads the crons that the agent server itself keeps, so that they can be imported.

use http::Method;
use serde_json::{Value, json};

use super::call_error::CallError;
use super::client::AgentClient;
use super::twins::is_twin;
use crate::domain::bounds::IMPORTED_CRONS_MAX;

/// Crons requested at once: a page of large payloads still fits into one answer.
const PAGE: usize = 100;

impl AgentClient {
    /// Returns the crons of the server, the oldest first, up to [`IMPORTED_CRONS_MAX`]. Twins are not the server's own.
    pub async fn crons(&self) -> Result<Vec<Value>, CallError> {
        let mut crons = Vec::new();
        let mut offset = 0;
        while crons.len() < IMPORTED_CRONS_MAX {
            let body = json!({
                "limit": PAGE, "offset": offset, "sort_by": "created_at", "sort_order": "asc",
            });
            let answer = self.ask(Method::POST, "/runs/crons/search", Some(&body)).await?;
            if !answer.status.is_success() {
                return Err(answer.failure());
            }
            let Ok(Value::Array(page)) = serde_json::from_slice(&answer.body) else {
                return Err(CallError::Unreachable("its list of crons is not a list".to_owned()));
            };
            let count = page.len();
            offset += count;
            crons.extend(page.into_iter().filter(|cron| !is_twin(cron)));
            if count < PAGE {
                break;
            }
        }
        Ok(crons)
    }
}
