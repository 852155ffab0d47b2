//! The credentials under which agentcron acts at the agent server.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::secrets::Secrets;

pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The headers that let agentcron in: `backend.api_key` as `x-api-key`, and `backend.headers`. `Debug` shows no value.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    headers: HeaderMap,
    secrets: Secrets,
}

impl Credentials {
    /// Returns a key, which is sent as `x-api-key`.
    pub fn of_api_key(key: HeaderValue) -> Self {
        let mut credentials = Self::default();
        credentials.add(X_API_KEY, key);
        credentials
    }

    /// Returns the credentials of a client, which stand somewhere in its headers.
    pub fn of_client(headers: HeaderMap) -> Self {
        Self { headers, secrets: Secrets::default() }
    }

    /// Returns these credentials together with others.
    pub fn and(mut self, others: Self) -> Self {
        self.headers.extend(others.headers);
        Self { secrets: self.secrets.and(others.secrets), ..self }
    }

    /// Adds a header. What follows the scheme in its value, as in `Bearer …`, is a secret as well as the whole.
    pub(super) fn add(&mut self, name: HeaderName, mut value: HeaderValue) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        text.split_once(' ').into_iter().for_each(|(_, token)| self.add_secret(token.trim()));
        self.add_secret(&text);
        value.set_sensitive(true);
        self.headers.insert(name, value);
    }

    /// Adds a secret that was filled into a header.
    pub(super) fn add_secret(&mut self, secret: &str) {
        self.secrets.add(secret);
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns everything that an answer may quote of the headers and that must not be shown.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.headers == other.headers
    }
}
