//! Which values the runs and the webhook of a cron need, and which of those this process lacks.

use super::environment::Environment;
use super::fields::CronFields;
use crate::domain::missing_values::Names;
use crate::domain::template::{self, PlaceholderSource};

/// The names of the values that a cron needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeededValues {
    pub by_runs: Names,
    pub by_webhook: Names,
}

impl NeededValues {
    /// Returns what a stored definition needs.
    pub fn of_definition(body: &str) -> Self {
        let mut needed = Self::default();
        if template::is_template(body) {
            let fields: CronFields = serde_json::from_str(body).unwrap_or_default();
            fields.each_payload_text(&mut |_, _, text| needed.by_runs.extend(names_in(text)));
            let urls = fields.webhook.iter().chain(&fields.ping);
            needed.by_webhook.extend(urls.flat_map(|url| names_in(url)));
        }
        needed
    }

    pub fn is_empty(&self) -> bool {
        self.by_runs.is_empty() && self.by_webhook.is_empty()
    }
}

/// Returns the names of variables and credentials in a text with placeholders.
pub fn names_in(text: &str) -> Vec<String> {
    let found = template::placeholders(text).unwrap_or_default();
    let of_environment = found.into_iter().filter(|placeholder| match placeholder.source() {
        Ok(PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_)) => true,
        Ok(PlaceholderSource::Firing(_)) | Err(_) => false,
    });
    of_environment.map(|placeholder| placeholder.name.to_owned()).collect()
}

impl Environment {
    /// Returns those of these names that have no value here.
    pub fn lacks<'n>(&self, names: impl IntoIterator<Item = &'n String>) -> Names {
        names.into_iter().filter(|name| self.lookup(name).is_err()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cron_needs_is_in_its_payload_and_its_webhook() {
        let body = r#"{"schedule":"@daily","assistant_id":"a","input":{"a":["${{ env.A }} ${{ cron.name }}"]},
            "metadata":{"b":"${{credential.b}}"},"webhook":"https://x.example/${{ env.HOOK }}"}"#;
        let needed = NeededValues::of_definition(body);
        assert_eq!(Vec::from_iter(&needed.by_runs), ["credential.b", "env.A"]);
        assert_eq!(Vec::from_iter(&needed.by_webhook), ["env.HOOK"]);
        assert!(NeededValues::of_definition(r#"{"schedule":"@daily","assistant_id":"a"}"#).is_empty());
        let environment = Environment::of_map([("env.A", "x")]);
        assert_eq!(Vec::from_iter(environment.lacks(&needed.by_runs)), ["credential.b"]);
    }
}
