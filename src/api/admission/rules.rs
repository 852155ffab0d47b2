//! What the configuration says about who may call.

use super::keys::KeyDigests;
use crate::config::HttpConfig;
use crate::domain::access::{ClientCrons, PageAccess};
use crate::domain::origin::OriginPattern;

/// The rules in use, which a reload replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    /// Over TCP one of these keys is required. If there are none, programs on this machine need no key.
    pub(in crate::api) keys: KeyDigests,
    /// The web pages that may call.
    pub(super) allow_origins: Vec<OriginPattern>,
    pub(in crate::api) client_crons: ClientCrons,
    /// What people may do on the web page.
    pub(in crate::api) page: PageAccess,
    /// Whether `/healthz` and `/readyz` need no key.
    pub(super) open_probes: bool,
}

impl AccessRules {
    pub fn of_config(http: &HttpConfig) -> Self {
        Self {
            keys: KeyDigests::of(&http.keys),
            allow_origins: http.allow_origins.clone(),
            client_crons: http.client_crons,
            page: http.page,
            open_probes: http.open_probes,
        }
    }

    /// Returns the rules that follow when these are in use and the configuration is reloaded. The last key stays: a port
    /// without keys must be on loopback, and the port itself changes with a restart only.
    pub fn reloaded(&self, http: &HttpConfig) -> Self {
        let next = Self::of_config(http);
        match next.keys.is_empty() {
            true => Self { keys: self.keys.clone(), ..next },
            false => next,
        }
    }

    /// Returns whether callers over TCP need a key.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns whether this origin is named in the configuration.
    pub(super) fn allows(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.allow_origins.iter().any(|pattern| pattern.matches(origin)))
    }
}
