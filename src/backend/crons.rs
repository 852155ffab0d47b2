//! The crons that the agent server itself keeps, to take them over.

use http::Method;
use serde_json::{Value, json};

use super::client::{AgentClient, CallError};
use crate::domain::bounds::IMPORTED_CRONS_MAX;

/// Crons asked for at once: a page of large payloads still fits into one answer.
const PAGE: usize = 100;

impl AgentClient {
    /// All crons of the server, the oldest first.
    pub async fn crons(&self) -> Result<Vec<Value>, CallError> {
        let mut crons = Vec::new();
        while crons.len() < IMPORTED_CRONS_MAX {
            let body = json!({
                "limit": PAGE, "offset": crons.len(), "sort_by": "created_at", "sort_order": "asc",
            });
            let answer = self.ask(Method::POST, "/runs/crons/search", Some(&body)).await;
            let answer = answer?;
            if !answer.status.is_success() {
                return Err(CallError::Status { code: answer.status.as_u16(), detail: answer.words() });
            }
            let Ok(Value::Array(page)) = serde_json::from_slice(&answer.body) else {
                return Err(CallError::Unreachable("its list of crons is no list".to_owned()));
            };
            let count = page.len();
            crons.extend(page);
            if count < PAGE {
                break;
            }
        }
        Ok(crons)
    }
}
