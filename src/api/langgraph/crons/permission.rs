//! Who may have which cron. An agent server without users has nobody whose crons could be mixed up. On any
//! other, a client's crons run under our credentials, so the operator must have allowed them (`http.client_crons`), and
//! the agent server itself decides about each, asked with the client's own credentials.

use std::collections::HashSet;

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use super::messages;
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::langgraph::hop_by_hop;
use crate::backend::{TwinError, Twins};
use crate::domain::access::{Caller, ClientCrons};
use crate::domain::ids::CronId;

/// What the sender of a request may do with crons.
pub(super) enum Permission {
    All,
    /// What the agent server lets them.
    AsTheAgentServerSays(Box<Twins>),
}

impl FromRequestParts<Api> for Permission {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ErrorResponse> {
        let caller = parts.extensions.get::<Caller>().unwrap_or(&Caller::Local);
        if matches!(caller, Caller::Socket { .. }) {
            return Ok(Permission::All);
        }
        if *caller == Caller::Local && api.backend.has_credentials() && is_change(parts) {
            let message = "this cron would run under the credentials of [backend], and nobody has shown a key: set \
                           http.api_keys or [http.keys.NAME] and send a key, or use the Unix socket";
            return Err(ErrorResponse::forbidden(message));
        }
        if api.access.now().client_crons == ClientCrons::Service {
            let twins = api.backend.twins_of(own_headers(&parts.headers));
            return Ok(Permission::AsTheAgentServerSays(Box::new(twins)));
        }
        match api.backend.knows_users().await {
            Ok(false) => Ok(Permission::All),
            Ok(true) => {
                let message = "the agent server knows users, and crons of clients would run under the credentials of \
                               agentcron instead of the client's: if that is meant, the operator can set \
                               http.client_crons = \"service\"";
                Err(ErrorResponse::forbidden(message))
            }
            Err(error) => Err(messages::server_unclear("whether it knows users", &error)),
        }
    }
}

impl Permission {
    pub(super) async fn see(&self, cron_id: CronId) -> Result<(), ErrorResponse> {
        match self {
            Permission::All => Ok(()),
            Permission::AsTheAgentServerSays(twins) => twins.see(cron_id).await.map_err(ErrorResponse::from),
        }
    }

    pub(super) async fn delete(&self, cron_id: CronId) -> Result<(), ErrorResponse> {
        match self {
            Permission::All => Ok(()),
            Permission::AsTheAgentServerSays(twins) => {
                twins.delete(cron_id).await.map_err(ErrorResponse::from)
            }
        }
    }

    /// Returns the crons that the client may see; `None` means all.
    pub(super) async fn visible(&self) -> Result<Option<HashSet<CronId>>, ErrorResponse> {
        match self {
            Permission::All => Ok(None),
            Permission::AsTheAgentServerSays(twins) => Ok(Some(twins.visible().await?)),
        }
    }
}

impl From<TwinError> for ErrorResponse {
    fn from(error: TwinError) -> Self {
        match error {
            TwinError::Refused { status, detail } => ErrorResponse { status, detail },
            TwinError::Unclear(error) => messages::server_unclear("whether you may do this", &error),
        }
    }
}

fn is_change(parts: &Parts) -> bool {
    let path = parts.uri.path();
    parts.method != Method::GET && !path.ends_with("/search") && !path.ends_with("/count")
}

/// Returns what a request says about its sender: all headers but those about this request and this connection.
fn own_headers(headers: &HeaderMap) -> HeaderMap {
    let mut own = headers.clone();
    hop_by_hop::remove(&mut own);
    for name in [ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST] {
        own.remove(name);
    }
    own
}
