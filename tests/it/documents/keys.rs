//! `docs/configuration.md` lists every key that the code knows, and no other: its tables are written from the reference
//! of the configuration, and its mistakes are made and reported.

use std::path::Path;

use agentcron::config::{self, DefaultValue, KeyReference, RETRY, SectionReference, reference};

use super::examples::environment_for;
use super::generated::{assert_up_to_date, table};

const PAGE: &str = "docs/configuration.md";

/// For each key, something that is wrong with it.
pub(super) const MISTAKES: &[(&str, &str, &str)] = &[
    ("", "include", r#""crons*/daily.toml""#),
    ("", "langgraph_json", r#""nowhere.json""#),
    ("", "shutdown_grace", "20"),
    ("backend", "url", r#""agents.example.com""#),
    ("backend", "api_key", r#""""#),
    ("backend", "request_timeout", r#""0s""#),
    ("backend", "max_concurrent_runs", "0"),
    ("backend", "ca_file", r#""""#),
    ("backend.headers", "forwarded", r#""for=10.0.0.1""#),
    ("store", "path", r#""""#),
    ("store", "url", r#""mysql://db.internal/agentcron""#),
    ("store", "password", r#""""#),
    ("store", "listen_url", r#""postgres://db-direct.internal""#),
    ("store", "ca_file", r#""""#),
    ("store", "values_bytes_max", "-1"),
    ("store", "keep", r#""0d""#),
    ("store", "keep_failures", r#""365""#),
    ("store", "keep_values", r#""10m""#),
    ("store", "keep_runs_max", "0"),
    ("store", "redact", r#"["messages/*/content"]"#),
    ("store.backup", "schedule", r#""30 3 * *""#),
    ("store.backup", "dir", r#""""#),
    ("store.backup", "keep", "0"),
    ("log", "runs", r#""errors""#),
    ("http", "listen", r#""0.0.0.0:2025""#),
    ("http", "api_keys", r#"["short"]"#),
    ("http", "allow_origins", r#"["https://app.example.com/"]"#),
    ("http", "client_crons", r#""yes""#),
    ("http", "page", r#""yes""#),
    ("http", "socket", r#""""#),
    ("http", "socket_group", r#""ops staff""#),
    ("http", "open_probes", r#""no""#),
    ("http", "disable_webhooks", r#""yes""#),
    ("http.keys.NAME", "key", r#""short""#),
    ("http.keys.NAME", "access", r#""write""#),
    ("webhooks", "signing_secrets", r#"["whsec_c2hvcnQ="]"#),
    ("webhooks", "env_prefix", "5"),
    ("webhooks", "allowed_fields", r#"["runid"]"#),
    ("webhooks", "body_bytes_max", "100"),
    ("webhooks", "ca_file", r#""""#),
    ("webhooks.url", "require_https", r#""yes""#),
    ("webhooks.url", "allowed_domains", r#"["*.*.example.com"]"#),
    ("webhooks.url", "allowed_ports", "[70000]"),
    ("webhooks.url", "max_url_length", "0"),
    ("webhooks.url", "disable_loopback", "1"),
    ("webhooks.url", "disable_private_ips", r#""no""#),
    ("webhooks.headers", "webhook-id", r#""mine""#),
    ("notify.NAME", "type", r#""discord""#),
    ("notify.NAME", "url", r#""hooks.slack.com/services/T0""#),
    ("notify.NAME", "on", r#"["failed"]"#),
    ("notify.NAME", "crons", "[]"),
    ("notify.NAME", "routing_key", r#""""#),
    ("notify.NAME", "topic", r#""""#),
    ("notify.NAME", "token", r#""""#),
    ("notify.NAME", "user", r#""agentcron""#),
    ("notify.NAME", "password", r#""s3cret""#),
    ("notify.NAME", "from", r#""agentcron""#),
    ("notify.NAME", "to", r#"["ops"]"#),
    ("notify.NAME", "every", r#""1s""#),
    ("cron.NAME", "schedule", r#""0 25 * * *""#),
    ("cron.NAME", "timezone", r#""Europe/Berln""#),
    ("cron.NAME", "assistant_id", r#""""#),
    ("cron.NAME", "thread_id", r#""inbox""#),
    ("cron.NAME", "thread", r#""""#),
    ("cron.NAME", "input", r#"{ city = "${{ env.CITY }}" }"#),
    ("cron.NAME", "config", r#""fast""#),
    ("cron.NAME", "context", "5"),
    ("cron.NAME", "metadata", r#"{ cron_name = "mine" }"#),
    ("cron.NAME", "webhook", r#""/hooks/agent""#),
    ("cron.NAME", "ping", r#""hc-ping.com/digest""#),
    ("cron.NAME", "start_time", r#""2027-01-01T09:00:00""#),
    ("cron.NAME", "end_time", r#""tomorrow""#),
    ("cron.NAME", "enabled", r#""no""#),
    ("cron.NAME", "interrupt_before", r#""review""#),
    ("cron.NAME", "interrupt_after", r#"[""]"#),
    ("cron.NAME", "multitask_strategy", r#""enqueue""#),
    ("cron.NAME", "on_run_completed", r#""drop""#),
    ("cron.NAME", "durability", r#""always""#),
    ("cron.NAME", "stream_mode", r#"["value"]"#),
    ("cron.NAME", "stream_subgraphs", r#""yes""#),
    ("cron.NAME", "stream_resumable", "1"),
    ("cron.NAME", "checkpoint_during", r#""no""#),
    ("cron.NAME", "feedback_keys", r#""helpful""#),
    ("cron.NAME", "mode", r#""batch""#),
    ("cron.NAME", "overlap", r#""que""#),
    ("cron.NAME", "catchup", r#""last""#),
    ("cron.NAME", "catchup_window", r#""0s""#),
    ("cron.NAME", "start_deadline", r#""10""#),
    ("cron.NAME", "timeout", "600"),
    ("cron.NAME", "jitter", r#""5 parsecs""#),
    ("cron.NAME", "exclude", r#"["2026-12-32"]"#),
    ("cron.NAME", "pause_after_failures", "0"),
    ("cron.NAME", "retry", "{ max = 2, tries = 3 }"),
    ("cron.NAME", "keep", r#""30m""#),
    ("cron.NAME", "keep_failures", r#""ever""#),
    ("cron.NAME", "keep_values", r#""101y""#),
    ("cron.NAME", "keep_runs_max", "0"),
    ("cron.NAME", "redact", r#"["/a~b"]"#),
    ("cron.NAME", "was", r#""the old one""#),
];

/// Returns all sections except `[defaults]`, whose keys are described under `[cron.NAME]`.
fn sections() -> impl Iterator<Item = &'static SectionReference> {
    reference().iter().copied().filter(|section| section.name != "defaults")
}

#[test]
fn every_key_is_documented_and_no_other() {
    let tables = sections()
        .chain([&RETRY])
        .map(|section| (format!("keys: {}", section.name), table(HEAD, section.keys.iter().map(row))));
    assert_up_to_date(PAGE, "keys: ", tables.collect());
}

const HEAD: &[&str] = &["key", "type", "default", "example", "what it does"];

fn row(key: &KeyReference) -> Vec<String> {
    let default = match key.default {
        DefaultValue::Required => "**required**".to_owned(),
        DefaultValue::Toml(value) => format!("`{value}`"),
        DefaultValue::Absent(effect) => effect.to_owned(),
    };
    let value_type = key.value_type.to_string();
    vec![format!("`{}`", key.name), value_type, default, format!("`{}`", key.example), key.meaning.to_owned()]
}

#[test]
fn every_mistake_is_reported_as_documented() {
    let of_section = |section: &SectionReference| {
        let mistakes = MISTAKES.iter().filter(|(name, _, _)| *name == section.name);
        let rows = mistakes.map(|(name, key, value)| {
            let line = format!("{key} = {value}");
            vec![format!("`{line}`"), message(name, key, &line).replace('|', "\\|")]
        });
        (format!("mistakes: {}", section.name), table(&["you write", "you get"], rows))
    };
    assert_up_to_date(PAGE, "mistakes: ", sections().map(of_section).collect());
}

#[test]
fn every_key_has_a_mistake_and_every_example_loads() {
    for section in sections() {
        for key in section.keys {
            let is_made = |(name, made, _): &(&str, &str, &str)| *name == section.name && *made == key.name;
            assert!(MISTAKES.iter().any(is_made) || key.name == "NAME", "no mistake with {}", key.name);
            let mut text = configuration(section.name, key.name, &format!("{} = {}", key.name, key.example));
            if key.name == "multitask_strategy" {
                text.push_str("thread = \"inbox\"\n");
            }
            let loaded = load(&text);
            assert!(loaded.is_ok(), "{}.{}:\n{}", section.name, key.name, loaded.unwrap_err());
        }
    }
}

/// Returns a configuration in which this line is the only one of interest; the line is the first one after its header.
pub(super) fn configuration(section: &str, key: &str, line: &str) -> String {
    let others = |needed: &[(&str, &str)]| -> String {
        let needed = needed.iter().filter(|(name, _)| *name != key);
        needed.map(|(name, value)| format!("{name} = {value}\n")).collect()
    };
    let cron = [("schedule", "\"@daily\""), ("assistant_id", "\"agent\"")];
    let of_backup = [("schedule", "\"@daily\""), ("dir", "\"/backups\"")];
    let of_key = [("key", "\"another-key-of-16-characters\""), ("access", "\"act\"")];
    match section {
        "" => format!("{line}\n[cron.a]\n{}", others(&cron)),
        "cron.NAME" => format!("[cron.a]\n{line}\n{}", others(&cron)),
        "http.keys.NAME" => format!("[{section}]\n{line}\n{}[cron.a]\n{}", others(&of_key), others(&cron)),
        "store" if ["password", "listen_url", "ca_file"].contains(&key) => {
            let url = "url = \"postgres://agentcron@db.internal/agentcron\"";
            format!("[{section}]\n{line}\n{url}\n[cron.a]\n{}", others(&cron))
        }
        "notify.NAME" => {
            let email = [
                ("url", "\"smtps://mail.example.com\""),
                ("from", "\"a@example.com\""),
                ("to", "\"b@example.com\""),
            ];
            let login = [("user", "\"user\""), ("password", "\"secret\"")];
            let is_alone = line.contains("\"agentcron\"") || line.contains("s3cret");
            let needed = match key {
                "type" => others(&[("url", "\"https://hooks.example.com/x\"")]),
                "every" => others(&[("type", "\"ping\""), ("url", "\"https://hc-ping.com/x\"")]),
                "routing_key" => "type = \"pagerduty\"\n".to_owned(),
                "topic" => "type = \"ntfy\"\n".to_owned(),
                "token" => "type = \"ntfy\"\ntopic = \"mine\"\n".to_owned(),
                "from" | "to" => format!("type = \"email\"\n{}", others(&email)),
                "user" | "password" if is_alone => format!("type = \"email\"\n{}", others(&email)),
                "user" | "password" => format!("type = \"email\"\n{}{}", others(&email), others(&login)),
                _ => format!("type = \"slack\"\n{}", others(&[("url", "\"https://hooks.example.com/x\"")])),
            };
            format!("[{section}]\n{line}\n{needed}[cron.a]\n{}", others(&cron))
        }
        "store.backup" => {
            let cron = "[cron.a]\nschedule = \"@daily\"\nassistant_id = \"agent\"\n";
            format!("[{section}]\n{line}\n{}{cron}", others(&of_backup))
        }
        _ => format!("[{section}]\n{line}\n[cron.a]\n{}", others(&cron)),
    }
}

fn load(text: &str) -> Result<(), config::ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("agentcron.toml");
    std::fs::write(&main, text).unwrap();
    std::fs::write(folder.path().join("langgraph.json"), "{}").unwrap();
    let environment = if text.contains("env.CITY") { environment_for("") } else { environment_for(text) };
    config::load(&main, &environment).map(drop)
}

/// Returns what is said about this line, without the place.
fn message(section: &str, key: &str, line: &str) -> String {
    let errors = load(&configuration(section, key, line)).expect_err(line).0;
    let line_number = if section.is_empty() { 1 } else { 2 };
    let error =
        errors.iter().find(|error| error.position.is_none_or(|position| position.line == line_number));
    let error = error.unwrap_or_else(|| panic!("{line}: {errors:?}"));
    let folder = error.file.parent().unwrap_or(Path::new("")).display().to_string();
    let hint = error.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{hint}", error.message).replace(&format!("{folder}/"), "")
}
