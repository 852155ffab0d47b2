//! What several daemons of one store have in common besides their crons, and what should be the same in the files of each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::Config;
use crate::domain::generation::mark;
use crate::domain::redaction::Pointer;
use crate::domain::retention::{Keep, Retention};

/// The settings that a generation of files has for every daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonSettings {
    /// Whether webhooks are recorded as suppressed and not sent.
    pub disable_webhooks: bool,
    pub retention: Retention,
}

/// The same in JSON. Times are milliseconds, and null is for ever.
#[derive(Serialize, Deserialize)]
struct Written {
    disable_webhooks: bool,
    keep: Option<u64>,
    keep_failures: Option<u64>,
    keep_values: Option<u64>,
    keep_runs_max: Option<u32>,
    redact: Vec<String>,
}

impl CommonSettings {
    /// Returns what the files say, whatever the environment of this process does.
    pub fn of_config(config: &Config) -> Self {
        Self { disable_webhooks: config.http.disabled_by_files, retention: config.store.retention.clone() }
    }

    /// Returns the text from which [`CommonSettings::of_text`] makes the same.
    pub fn to_text(&self) -> String {
        let Retention { keep, keep_failures, keep_values, keep_runs_max, redact } = &self.retention;
        let written = Written {
            disable_webhooks: self.disable_webhooks,
            keep: millis(*keep),
            keep_failures: millis(*keep_failures),
            keep_values: millis(*keep_values),
            keep_runs_max: *keep_runs_max,
            redact: redact.iter().map(Pointer::to_string).collect(),
        };
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Returns `None` for a text that is of no version known here.
    pub fn of_text(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let redact = written.redact.iter().map(|pointer| Pointer::parse(pointer));
        let retention = Retention {
            keep: keep(written.keep),
            keep_failures: keep(written.keep_failures),
            keep_values: keep(written.keep_values),
            keep_runs_max: written.keep_runs_max,
            redact: redact.collect::<Result<_, _>>().ok()?,
        };
        Some(Self { disable_webhooks: written.disable_webhooks, retention })
    }
}

fn millis(keep: Keep) -> Option<u64> {
    keep.length().map(|length| u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}

fn keep(millis: Option<u64>) -> Keep {
    millis.map_or(Keep::Forever, |millis| Keep::For(Duration::from_millis(millis)))
}

/// Returns the settings that should be the same everywhere, each with a mark of its value: a URL may hold a token.
pub fn agreed_settings(config: &Config) -> Vec<(&'static str, String)> {
    let backend = &config.backend;
    let saved = |name: &str| {
        let section = config.saved.iter().find(|(section, _)| *section == name);
        section.and_then(|(_, text)| text.as_deref())
    };
    let settings = [
        ("backend.max_concurrent_runs", Some(backend.max_concurrent_runs.to_string())),
        ("backend.url", Some(mark(backend.url.as_str()))),
        // Its secrets are not in the text. One with a mistake is reported as such.
        ("webhooks", saved("webhooks").map(|text| mark(&without_ca_file(text)))),
        ("notify", saved("notify").map(mark)),
    ];
    settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Where certificates are may differ from machine to machine.
fn without_ca_file(section: &str) -> String {
    let mut table: toml::Table = section.parse().unwrap_or_default();
    if let Some(webhooks) = table.get_mut("webhooks").and_then(toml::Value::as_table_mut) {
        webhooks.remove("ca_file");
        if webhooks.is_empty() {
            table.remove("webhooks");
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};

    fn config(text: &str, environment: &[(&str, &str)]) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agentcron.toml");
        std::fs::write(&path, text).unwrap();
        load(&path, &Environment::of_map(environment.iter().copied())).unwrap()
    }

    #[test]
    fn what_daemons_have_in_common_is_read_as_it_was_written() {
        let text = "[http]\ndisable_webhooks = true\n[store]\nkeep = \"30d\"\nkeep_failures = \"forever\"\nkeep_values = \"0\"\n\
                    keep_runs_max = 7\nredact = [\"/messages/*/content\", \"/a~1b\", \"\"]\n";
        let common = CommonSettings::of_config(&config(text, &[]));
        assert!(common.disable_webhooks && common.retention.redact.len() == 3);
        assert_eq!(CommonSettings::of_text(&common.to_text()), Some(common));
        assert_eq!(CommonSettings::of_text("{}"), None);
    }

    #[test]
    fn a_variable_of_one_process_is_nothing_that_all_have_in_common() {
        let disabled = config("", &[("env.AGENTCRON_DISABLE_WEBHOOKS", "true")]);
        assert!(disabled.http.disable_webhooks);
        assert!(!CommonSettings::of_config(&disabled).disable_webhooks);
    }

    #[test]
    fn settings_that_should_agree_are_compared_without_being_known() {
        let of = |text: &str| {
            agreed_settings(&config(
                text,
                &[("env.KEY", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), ("env.HOOK", "https://a.example/b")],
            ))
        };
        let plain = of("");
        assert_eq!(
            plain.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["backend.max_concurrent_runs", "backend.url", "webhooks", "notify"]
        );
        for (text, differs) in [
            ("[backend]\nurl = \"https://agents.example/s3cret\"", vec!["backend.url"]),
            ("[backend]\nmax_concurrent_runs = 7", vec!["backend.max_concurrent_runs"]),
            ("[webhooks]\nallowed_fields = [\"run_id\"]", vec!["webhooks"]),
            ("[webhooks.url]\nrequire_https = true", vec!["webhooks"]),
            ("[webhooks]\nca_file = \"ca.pem\"", vec![]),
            ("[webhooks]\nsigning_secrets = [\"${{ env.KEY }}\"]", vec![]),
            ("[notify.a]\ntype = \"slack\"\nurl = \"${{ env.HOOK }}\"", vec!["notify"]),
            ("[store]\nkeep = \"1d\"", vec![]),
        ] {
            let other = of(text);
            assert!(!format!("{other:?}").contains("s3cret"));
            let changed = plain.iter().zip(&other).filter(|(a, b)| a != b).map(|((name, _), _)| *name);
            assert_eq!(changed.collect::<Vec<_>>(), differs, "{text}");
        }
    }
}
