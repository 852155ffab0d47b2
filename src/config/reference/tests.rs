//! The reference, the structs that the parser reads and the defaults of the code say the same.

use std::path::Path;

use serde::de::value::Error;
use serde::de::{self, DeserializeOwned, Visitor};
use serde_json::{Map, Value};

use super::*;
use crate::config::document::TomlDocument;
use crate::config::errors::Report;
use crate::config::fields::CronFields;
use crate::config::section::{NO_ADVICE, Section};
use crate::config::source_file::SourceFile;
use crate::config::webhook_url_policy::RawUrlPolicy;
use crate::config::{Config, Environment, load};

/// Calls `$check` with each section that is read into a struct, and with that struct as its type. Returns the results.
macro_rules! for_each_struct {
    ($check:ident) => {
        [$check::<RawUrlPolicy>(&WEBHOOKS_URL), $check::<CronFields>(&DEFAULTS), $check::<CronFields>(&CRON)]
    };
}

#[test]
fn the_reference_has_exactly_the_keys_of_the_structs() {
    fn check<T: DeserializeOwned>(section: &'static SectionReference) {
        let names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
        assert_eq!(names, field_names::<T>(), "[{}]", section.name);
    }
    for_each_struct!(check);
}

#[test]
fn retry_has_exactly_the_keys_and_the_defaults_of_the_reference() {
    let of = |retry: &str| loaded(&CRON, CRON.key("retry").unwrap(), Some(retry));
    let least = settings(&of("{ max = 2 }"));
    for key in RETRY.keys.iter().filter(|key| key.default != DefaultValue::Required) {
        let with = |value: &str| settings(&of(&format!("{{ max = 2, {} = {value} }}", key.name)));
        assert_ne!(with(key.example), least, "{}", key.name);
        if let DefaultValue::Toml(default) = key.default {
            assert_eq!(with(default), least, "{}", key.name);
        }
    }
    let text = text_with(&CRON, CRON.key("retry").unwrap(), Some("{ max = 2, tries = 3 }"));
    let error = load_text(&text).unwrap_err().to_string();
    let names: Vec<String> = RETRY.keys.iter().map(|key| format!("`{}`", key.name)).collect();
    assert!(error.contains(&format!("expected one of {}", names.join(", "))), "{error}");
}

#[test]
fn the_parser_accepts_exactly_the_keys_of_the_reference() {
    for section in reference().iter().filter(|section| section.key_names == KeyNames::Fixed) {
        let known = section.keys.iter().map(|key| key.name);
        let unknown = known.clone().map(|name| format!("{name}_"));
        for (name, is_known) in
            known.map(|name| (name.to_owned(), true)).chain(unknown.map(|name| (name, false)))
        {
            // `nan` fits no type, so a known key is a mistake, too, but a different one.
            let shown = messages::<Map<String, Value>>(section, &format!("{name} = nan"));
            assert_eq!(!shown.contains("unknown key"), is_known, "[{}] {shown}", section.name);
        }
    }
}

#[test]
fn the_types_of_the_reference_are_those_of_the_structs() {
    fn check<T: DeserializeOwned + Default>(section: &SectionReference) {
        for key in section.keys {
            for value in VALUES {
                let written = format!("{} = {value}", key.name);
                let shown = messages::<T>(section, &written);
                let is_taken = T::deserialize(json(&written)).is_ok();
                assert_eq!(shown.is_empty(), is_taken, "[{}] {written}: {shown}", section.name);
                assert!(!shown.contains("cannot be read"), "[{}] {written}", section.name);
            }
        }
    }
    for_each_struct!(check);
}

#[test]
fn the_code_takes_every_value_that_has_the_type_of_the_reference() {
    for section in reference().iter().filter(|section| section.key_names == KeyNames::Fixed) {
        for (key, value) in section.keys.iter().flat_map(|key| VALUES.map(|value| (key, value))) {
            let text = text_with(section, key, Some(value));
            let shown = load_text(&text).map_or_else(|errors| errors.to_string(), |_| String::new());
            assert!(!shown.contains("cannot be read"), "{text}\n{shown}");
        }
    }
}

/// One value of each shape. The number is within the bounds of every key; the struct knows no bounds.
pub(in crate::config) const VALUES: [&str; 12] =
    ["\"*\"", "true", "-1", "1024", "1.5", "2026-01-01", "[]", "[\"a\"]", "[1024]", "[true]", "[[]]", "{}"];

#[test]
fn the_tables_within_a_section_have_sections() {
    for section in reference() {
        let within: Vec<&str> = reference().iter().filter_map(|other| inner_name(section, other)).collect();
        assert_eq!(section.tables, within, "[{}]", section.name);
    }
}

fn inner_name(outer: &SectionReference, inner: &SectionReference) -> Option<&'static str> {
    let name = match (outer.name, inner.name) {
        (_, "") => return None,
        ("", "cron.NAME") => "cron",
        ("http", "http.keys.NAME") => "keys",
        ("", "notify.NAME") => "notify",
        ("", name) => name,
        (outer, name) => name.strip_prefix(outer)?.strip_prefix('.')?,
    };
    (!name.contains('.') && outer.name != "cron").then_some(name)
}

#[test]
fn every_example_is_accepted_and_has_an_effect() {
    for section in reference() {
        for key in section.keys {
            let with = loaded(section, key, Some(key.example));
            if key.default != DefaultValue::Required {
                let without = settings(&loaded(section, key, None));
                assert_ne!(settings(&with), without, "[{}] {} = {}", section.name, key.name, key.example);
            }
        }
    }
}

#[test]
fn the_defaults_of_the_reference_are_those_of_the_code() {
    for section in reference() {
        for key in section.keys {
            match key.default {
                DefaultValue::Toml(default) => {
                    let (with, without) = (loaded(section, key, Some(default)), loaded(section, key, None));
                    assert_eq!(settings(&with), settings(&without), "[{}] {}", section.name, key.name);
                }
                DefaultValue::Required => {
                    let name = if section.name == "defaults" { "cron.NAME" } else { section.name };
                    let text = format!("[{name}]\n{}", other_keys(name, key.name));
                    let error = load_text(&text).unwrap_err().to_string();
                    assert!(error.contains(&format!("has no {}", key.name)), "{error}");
                }
                DefaultValue::Absent(_) => drop(loaded(section, key, None)),
            }
        }
    }
}

#[test]
fn every_key_is_described_in_one_line() {
    for section in reference() {
        let meanings = section.keys.iter().map(|key| key.meaning).chain([section.meaning]);
        for meaning in meanings {
            assert!(meaning.ends_with('.') && !meaning.contains('\n'), "{meaning}");
        }
        for key in section.keys {
            let is_example_secret = key.example.contains("${{");
            assert!(!is_example_secret || key.secrecy == Secrecy::MayHoldSecret, "{}", key.name);
            assert!(!key.value_type.to_string().is_empty());
        }
    }
}

/// Returns the configuration with nothing but a value for this key, and what it needs to be valid.
fn loaded(section: &SectionReference, key: &KeyReference, value: Option<&str>) -> Config {
    let text = text_with(section, key, value);
    load_text(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

pub(in crate::config) fn text_with(
    section: &SectionReference,
    key: &KeyReference,
    value: Option<&str>,
) -> String {
    let line = value.map(|value| format!("{} = {value}\n", key.name)).unwrap_or_default();
    let others = match (section.name, value) {
        // Some keys are needed by the types that have them.
        ("notify.NAME", None) if key.name != "type" => other_keys(section.name, "on"),
        (name, _) => other_keys(name, key.name),
    };
    let cron = other_keys("cron.NAME", if section.name == "defaults" { key.name } else { "" });
    let text = match section.name {
        "" => format!("{line}[cron.NAME]\n{cron}"),
        "cron.NAME" => format!("[cron.NAME]\n{line}{others}"),
        name => format!("[{name}]\n{line}{others}[cron.NAME]\n{cron}"),
    };
    match (key.default, value) {
        (DefaultValue::Required, None) => format!("{text}{} = {}\n", key.name, key.example),
        _ => text,
    }
}

/// Returns the keys that a cron needs besides one of its keys.
fn other_keys(section: &str, key: &str) -> String {
    let required = match section {
        "store" if ["password", "listen_url", "ca_file"].contains(&key) => {
            ["url = \"postgres://agentcron@db.internal/agentcron\"\n"].as_slice()
        }
        "cron.NAME" => ["schedule = \"0 0 * * *\"\n", "assistant_id = \"agent\"\n"].as_slice(),
        "store.backup" => ["schedule = \"0 0 * * *\"\n", "dir = \"/backups\"\n"].as_slice(),
        "http.keys.NAME" => ["key = \"another-key-of-16-characters\"\n", "access = \"act\"\n"].as_slice(),
        "notify.NAME" => target_keys(key),
        _ => &[],
    };
    let thread = match key {
        "multitask_strategy" => "thread = \"mine\"\n",
        _ => "",
    };
    let others = required.iter().filter(|line| line.split(' ').next() != Some(key)).copied();
    others.chain([thread]).collect()
}

/// Returns what makes a target of a type that has this key.
fn target_keys(key: &str) -> &'static [&'static str] {
    match key {
        "routing_key" => &["type = \"pagerduty\"\n", "routing_key = \"R1\"\n"],
        "every" => &["type = \"ping\"\n", "url = \"https://hc-ping.com/x\"\n"],
        "url" | "topic" | "token" => &["type = \"ntfy\"\n", "topic = \"other\"\n"],
        "user" | "password" | "from" | "to" => &[
            "type = \"email\"\n",
            "url = \"smtps://mail.example.com\"\n",
            "user = \"user\"\n",
            "password = \"secret\"\n",
            "from = \"a@example.com\"\n",
            "to = \"b@example.com\"\n",
        ],
        _ => &["type = \"slack\"\n", "url = \"https://hooks.example/x\"\n"],
    }
}

/// Loads the text as a main file.
pub(in crate::config) fn load_text(text: &str) -> Result<Config, crate::config::ConfigErrors> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("langgraph.json"), "{}").unwrap();
    let path = directory.path().join("agentcron.toml");
    std::fs::write(&path, text).unwrap();
    let environment = Environment::of_map([
        ("credential.langgraph_api_key", "key"),
        ("credential.langgraph_token", "token"),
        ("credential.agentcron_api_key", "0123456789abcdef"),
        ("credential.agentcron_db", "password"),
        ("credential.webhook_secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"),
        ("credential.slack_hook", "https://hooks.example/y"),
        ("credential.pagerduty_key", "R0"),
        ("credential.ntfy_token", "token"),
        ("credential.smtp_password", "password"),
        ("env.CUSTOMER", "customer"),
        ("env.HOOK_TOKEN", "token"),
        ("env.DIGEST_PING", "key"),
        ("env.LG_WEBHOOK_TOKEN", "token"),
    ]);
    let mut config = load(&path, &environment)?;
    for path in config.sources.files.iter_mut().chain(&mut config.sources.patterns) {
        *path = path.strip_prefix(directory.path()).unwrap().to_owned();
    }
    Ok(config)
}

/// Shows every setting, but not where it is written.
fn settings(config: &Config) -> String {
    let Config {
        backend, store, logged_runs, http, webhooks, notify, shutdown_grace, crons, sources, ..
    } = config;
    let crons: Vec<_> = crons.iter().map(|definition| definition.cron()).collect();
    format!(
        "{backend:?}\n{store:?}\n{logged_runs:?}\n{http:?}\n{webhooks:?}\n{notify:?}\n{shutdown_grace:?}\n{crons:?}\n{sources:?}"
    )
}

/// Reads one line as a section, and returns the messages.
pub(in crate::config) fn messages<T: DeserializeOwned + Default>(
    section: &SectionReference,
    line: &str,
) -> String {
    let source = SourceFile::of_text(Path::new("x"), line);
    let mut report = Report::default();
    let document = TomlDocument::parse(&source, &mut report).unwrap();
    Section::root(&document).read::<T>(section, NO_ADVICE, &mut report);
    crate::config::ConfigErrors(report.finish().0).to_string()
}

fn json(toml: &str) -> Value {
    let table: Map<String, Value> = toml::from_str::<toml::Table>(toml)
        .unwrap()
        .into_iter()
        .map(|(key, value)| match value {
            toml::Value::Datetime(time) => (key, Value::String(time.to_string())),
            value => (key, serde_json::to_value(value).unwrap()),
        })
        .collect();
    Value::Object(table)
}

/// Returns the keys of a struct, as serde knows them.
fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let _ = T::deserialize(NamesOnly(&mut names));
    names
}

/// Learns the names of the fields, and has no values for them: it always returns an error.
struct NamesOnly<'n>(&'n mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for NamesOnly<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("names only"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(de::Error::custom("names only"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
