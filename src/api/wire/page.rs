//! What leads somebody to the web page.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request for a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PageLinkRequest {
    /// For how many seconds it is to work unless somebody uses it before; by default 60.
    #[schema(minimum = 1, maximum = 600)]
    pub lasts_seconds: Option<f64>,
}

/// A link that works once.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PageLink {
    /// The address to open, on the machine of the daemon; null if it does not listen on TCP.
    #[schema(example = "http://127.0.0.1:2025/agentcron/login#code")]
    pub url: Option<String>,
    /// The address and port of the daemon; null if it does not listen on TCP.
    pub listen: Option<String>,
    /// What is after `#` in the address. It may also be typed into the login.
    pub code: String,
    /// For how many seconds it works.
    pub lasts_seconds: u64,
}
