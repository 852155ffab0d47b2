//! The fields of a form that acts; a name may occur more than once.

use serde_json::Value;

use crate::api::error_response::ErrorResponse;
use crate::domain::act::PageAct;

pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(form: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(form);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Returns the first value of a field, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the values of a field that are not empty.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(found, value)| found == name && !value.trim().is_empty());
        pairs.map(|(_, value)| value.trim())
    }

    pub(super) fn demand(&self, name: &str) -> Result<&str, ErrorResponse> {
        self.get(name).ok_or_else(|| ErrorResponse::invalid(format!("{name}: it is missing")))
    }

    pub(super) fn act(&self) -> Result<PageAct, ErrorResponse> {
        self.demand("act")?.parse().map_err(|error| ErrorResponse::invalid(format!("act: {error}")))
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ErrorResponse> {
        let parse = |text: &str| {
            text.parse().map_err(|_| ErrorResponse::invalid(format!("{name}: expected a number")))
        };
        self.get(name).map(parse).transpose()
    }

    /// Returns the input in this field; null if there is none.
    pub(super) fn json(&self, name: &str) -> Result<Value, ErrorResponse> {
        let Some(text) = self.get(name) else { return Ok(Value::Null) };
        serde_json::from_str(text).map_err(|error| ErrorResponse::invalid(format!("{name}: {error}")))
    }
}
