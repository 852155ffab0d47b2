//! The sections of the last good configuration, kept in the store as they were written: what a start with mistakes goes on
//! with. They are read by the code that reads the files.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::document::TomlDocument;
use super::environment::Environment;
use super::errors::Report;
use super::http;
use super::langgraph_json::ServerSettings;
use super::loss::Loss;
use super::notify;
use super::notify_targets::NotifyConfig;
use super::section::Section;
use super::section_reader::SectionReader;
use super::sections;
use super::settings::{BackendConfig, Config, HttpConfig, SavedSection, StoreConfig, WebhooksConfig};
use super::source_file::SourceFile;
use super::top_level::top_level;
use super::webhooks;
use crate::domain::log::LoggedRuns;
use crate::domain::template;

/// Every section that is saved, in the order of a file, and what stands for one of which no good version is known: no
/// port, nothing is deleted, and otherwise the defaults.
const SECTIONS: [(&str, &str); 7] = [
    ("shutdown_grace", ""),
    ("backend", ""),
    ("store", "[store]\nkeep = \"forever\"\nkeep_values = \"forever\"\n"),
    ("log", ""),
    ("http", "[http]\nlisten = \"off\"\n"),
    ("webhooks", ""),
    ("notify", ""),
];

/// Lists the sections: the field of each in [`Config`], with its type, and what is lost with it.
macro_rules! sections {
    ($($field:ident: $type:ty = $loss:ident;)+) => {
        /// The sections of the main file that are understood.
        #[derive(Clone, Debug, Default)]
        pub(super) struct Settings { $(pub(super) $field: Option<$type>),+ }

        impl Settings {
            /// Returns the sections that are not lost.
            pub(super) fn without(self, is_lost: impl Fn(&Loss) -> bool) -> Self {
                Self { $($field: self.$field.filter(|_| !is_lost(&Loss::$loss))),+ }
            }

            /// Returns these sections, with those of `others` where these are absent.
            pub(super) fn or(self, others: Self) -> Self {
                Self { $($field: self.$field.or(others.$field)),+ }
            }

            /// Returns what is lost with the absent sections.
            pub(super) fn absent(&self) -> Vec<Loss> {
                let absent = [$(self.$field.is_none().then_some(Loss::$loss)),+];
                absent.into_iter().flatten().collect()
            }

            fn of_config(config: &Config) -> Self {
                Self { $($field: Some(config.$field.clone())),+ }
            }
        }
    };
}

sections! {
    backend: BackendConfig = Backend;
    store: StoreConfig = Store;
    http: HttpConfig = Http;
    webhooks: WebhooksConfig = Webhooks;
    notify: NotifyConfig = Notify;
    logged_runs: LoggedRuns = Log;
    shutdown_grace: Duration = ShutdownGrace;
}

impl Settings {
    /// Reads every section, those with mistakes included as far as they can be read.
    pub(super) fn read(server: &ServerSettings, root: &mut SectionReader<'_, '_>) -> Self {
        root.report.about([Loss::Backend]);
        let backend = sections::backend(root).ok();
        root.report.about([Loss::Store]);
        let store = sections::store(root).ok();
        root.report.about([Loss::Log]);
        let logged_runs = sections::logged_runs(root).ok();
        root.report.about([Loss::Http]);
        let http = http::http(server, root).ok();
        root.report.about([Loss::Webhooks]);
        let webhooks = webhooks::webhooks(server.webhooks.clone(), root).ok();
        root.report.about([Loss::Notify]);
        let notify = notify::notify(webhooks.as_ref().map(|webhooks| &webhooks.url), root).ok();
        root.report.about([Loss::ShutdownGrace]);
        let shutdown_grace = root.duration("shutdown_grace").ok();
        Self { backend, store, http, webhooks, notify, logged_runs, shutdown_grace }
    }

    fn of_text(text: &str, base: &Path, environment: &Environment) -> Self {
        let source = SourceFile::of_text(Path::new("the last good configuration"), text);
        let mut report = Report::default();
        let Some(document) = TomlDocument::parse(&source, &mut report) else { return Self::default() };
        let section = Section::root(&document);
        let values = top_level(&section, &mut report);
        let mut root = SectionReader { section, values, base, environment, report: &mut report };
        let settings = Self::read(&ServerSettings::default(), &mut root);
        settings.without(|loss| report.has_lost(loss))
    }
}

/// What the sections were when they were last understood.
#[derive(Clone, Debug)]
pub struct LastGood {
    pub(super) known: Settings,
    /// What stands for the others.
    pub(super) otherwise: Settings,
}

impl LastGood {
    /// Reads saved sections. `base` is the folder of the main file. One whose secrets have no value is not known.
    pub fn of_saved(saved: &[(String, String)], base: &Path, environment: &Environment) -> Self {
        let text_of =
            |name: &str| saved.iter().find(|(saved, _)| saved == name).map(|(_, text)| text.as_str());
        let text = SECTIONS.map(|(name, otherwise)| text_of(name).unwrap_or(otherwise)).concat();
        let is_missing = |loss: &Loss| {
            SECTIONS
                .iter()
                .any(|(name, _)| Loss::of_key(name).as_ref() == Some(loss) && text_of(name).is_none())
        };
        let otherwise = SECTIONS.map(|(_, otherwise)| otherwise).concat();
        Self {
            known: Settings::of_text(&text, base, environment).without(is_missing),
            otherwise: Settings::of_text(&otherwise, base, environment),
        }
    }

    /// Returns what is in force now.
    pub fn of_config(config: &Config) -> Self {
        let all = Settings::of_config(config);
        Self { known: all.clone().without(|loss| config.unknown.contains(loss)), otherwise: all }
    }
}

/// Returns the settings that hold without any configuration: those of an empty file, which has no mistakes.
pub fn webhooks_by_default() -> Option<WebhooksConfig> {
    Settings::of_text("", Path::new(""), &Environment::of_map([])).webhooks
}

/// Returns the sections that are not lost as they are saved. What the agent server's file says is merged into them.
pub(super) fn saved(
    root: &Section<'_>,
    server: &ServerSettings,
    settings: &Settings,
    report: &Report,
) -> Vec<SavedSection> {
    let mut whole = root.json();
    let mut merge = |section: &str, key: &str, value: Value| {
        let section = whole.entry(section).or_insert_with(|| json!({}));
        section
            .as_object_mut()
            .into_iter()
            .for_each(|section| drop(section.insert(key.to_owned(), value.clone())));
    };
    if server.disable_webhooks {
        merge("http", "disable_webhooks", json!(true));
    }
    if let Some(fields) = settings.webhooks.as_ref().and_then(|webhooks| webhooks.allowed_fields.as_ref()) {
        merge("webhooks", "allowed_fields", json!(fields));
    }
    // Nothing is sent under the last good version of `[webhooks]`.
    if let Some(webhooks) = whole.get_mut("webhooks").and_then(Value::as_object_mut) {
        webhooks.remove("signing_secrets");
        webhooks.remove("headers");
    }
    let understood =
        SECTIONS.iter().filter(|(name, _)| Loss::of_key(name).is_none_or(|loss| !report.has_lost(&loss)));
    let text = |name: &str| match whole.get(name) {
        None => Some(String::new()),
        Some(value) if holds_secret(name, value) => None,
        Some(value) => toml::to_string(&json!({ name: value })).ok(),
    };
    understood.map(|(name, _)| (*name, text(name))).collect()
}

/// Returns whether this is a URL with nothing between its user and its host.
fn is_url_without_password(text: &str) -> bool {
    let user = text.split_once("://").map(|(_, rest)| rest.rsplit_once('@').map_or("", |(user, _)| user));
    user.is_some_and(|user| !user.contains([':', '/'])) && !text.contains("password=")
}

/// Returns whether a place for a secret has anything but a placeholder, which may follow a scheme as in `Bearer …`.
fn holds_secret(name: &str, section: &Value) -> bool {
    let list = |key| section.get(key).and_then(Value::as_array).into_iter().flatten();
    let table = |key| section.get(key).and_then(Value::as_object).into_iter().flat_map(Map::values);
    let is_secret = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        let scheme =
            text.split_once(' ').filter(|(word, _)| word.chars().all(|char| char.is_ascii_alphabetic()));
        let text = scheme.map_or(text, |(_, rest)| rest);
        let found = template::placeholders(text).unwrap_or_default();
        found.first().is_none_or(|placeholder| placeholder.range != (0..text.len()))
    };
    match name {
        "store" => {
            let texts = ["url", "listen_url", "password"].into_iter().filter_map(|key| section.get(key));
            // A URL may be without a password, and one that is not is filled in as a whole.
            texts
                .filter(|text| text.as_str().is_none_or(|text| !is_url_without_password(text)))
                .any(is_secret)
        }
        "backend" => section.get("api_key").into_iter().chain(table("headers")).any(is_secret),
        "http" => list("api_keys").chain(table("keys").filter_map(|key| key.get("key"))).any(is_secret),
        "notify" => {
            let targets = section.as_object().into_iter().flat_map(Map::values);
            let secrets = |target: &Value| {
                let is_email = target.get("type").and_then(Value::as_str) == Some("email");
                let keys = ["url", "routing_key", "topic", "token", "password"].into_iter();
                keys.filter(|key| *key != "url" || !is_email).filter_map(|key| target.get(key)).any(is_secret)
            };
            targets.into_iter().any(secrets)
        }
        _ => false,
    }
}
