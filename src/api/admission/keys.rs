//! The keys of callers.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::X_API_KEY;
use crate::config::ApiKey;
use crate::domain::access::Caller;

/// The keys by their SHA-256 digests: how long it takes to compare digests reveals nothing about the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct KeyDigests(Vec<([u8; 32], Caller)>);

impl KeyDigests {
    pub(super) fn of(keys: &[ApiKey]) -> Self {
        let digest = |key: &ApiKey| {
            let caller = Caller::Key { name: key.name.clone(), access: key.access };
            (Sha256::digest(key.secret.expose()).into(), caller)
        };
        Self(keys.iter().map(digest).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes our keys from the headers and returns the holder of the first. Other keys, such as one for the agent
    /// server, stay.
    pub(super) fn remove_from(&self, headers: &mut HeaderMap) -> Option<Caller> {
        if self.0.is_empty() {
            return None;
        }
        let in_own_header = headers.get_all(X_API_KEY).iter().find_map(|value| self.holder(value.as_bytes()));
        let as_bearer = headers
            .get_all(AUTHORIZATION)
            .iter()
            .filter_map(bearer_token)
            .find_map(|token| self.holder(token));
        if in_own_header.is_some() {
            headers.remove(X_API_KEY);
        }
        if as_bearer.is_some() {
            headers.remove(AUTHORIZATION);
        }
        in_own_header.or(as_bearer)
    }

    /// Returns the digests, each with its holder.
    pub(in crate::api) fn each(&self) -> impl Iterator<Item = &([u8; 32], Caller)> {
        self.0.iter()
    }

    /// Returns the holder of this key.
    pub(in crate::api) fn holder(&self, key: &[u8]) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.0.iter().find(|(known, _)| *known == digest).map(|(_, caller)| caller.clone())
    }
}

/// Returns the token in `Bearer …`; the scheme may be in any case (RFC 9110 §11.1).
fn bearer_token(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
