//! The alerts and the dashboard in `contrib/` name only metrics and labels that the daemon has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::api::get;
use super::root;
use crate::support::agent_server::AgentServerOnPort;
use crate::support::daemon::Daemon;

/// Labels that Prometheus adds, and one of histograms.
const OF_PROMETHEUS: [&str; 5] = ["instance", "job", "le", "alertname", "alertstate"];

const CRONS: &str = r#"
    [cron.works]
    schedule = "* * * * * *"
    assistant_id = "agent"
    input = { messages = [] }

    [cron.rests]
    schedule = "* * * * * *"
    assistant_id = "agent"
"#;

/// The labels of each metric.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Returns what a daemon has after runs that succeeded, and occurrences that were skipped.
async fn scraped() -> Metrics {
    let server = AgentServerOnPort::start();
    let config = format!(
        "http.listen = \"off\"\nbackend.url = \"{}\"\nstore.path = \"agentcron.db\"\n{CRONS}",
        server.url()
    );
    let daemon = Daemon::start(&config);
    daemon.wait_for_stderr("daemon ready").await;
    daemon.json(&["pause", "rests"]);
    let wanted = [
        "agentcron_cron_run_duration_seconds_count{",
        "agentcron_cron_occurrences_skipped_total{",
        "agentcron_cron_last_success_timestamp_seconds{",
    ];
    let has_all = |text: &String| wanted.iter().all(|wanted| text.contains(wanted));
    let patience = std::time::Duration::from_secs(60);
    let text =
        daemon.wait_within(patience, "a run and a skip", || Some(get(&daemon, "/metrics")).filter(has_all));
    parsed(&text.await)
}

fn parsed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
            metrics.entry(family.to_owned()).or_default();
            continue;
        }
        let Some((series, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with('#')) else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = metrics.get_mut(family).unwrap();
        family.extend(labels_in(labels).into_iter().map(str::to_owned));
        let labels = family.clone();
        metrics.entry(name.to_owned()).or_default().extend(labels);
    }
    metrics
}

/// Returns the names before `=`, `!=`, `=~` and `!~` up to the closing brace.
fn labels_in(selector: &str) -> Vec<&str> {
    let (mut labels, mut quoted, mut begin) = (Vec::new(), false, 0);
    for (at, character) in selector.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '}' if !quoted => break,
            ',' if !quoted => begin = at + 1,
            '=' | '!' if !quoted => {
                labels.extend(Some(selector[begin..at].trim()).filter(|label| !label.is_empty()));
                begin = at + 1;
            }
            _ => {}
        }
    }
    labels.retain(|label| label.chars().all(|character| character.is_ascii_lowercase() || character == '_'));
    labels
}

/// Returns what an expression or a text says that no scrape has.
fn unknown_in(text: &str, metrics: &Metrics) -> Vec<String> {
    let mut unknown = Vec::new();
    let all_labels: BTreeSet<&str> =
        metrics.values().flatten().map(String::as_str).chain(OF_PROMETHEUS).collect();
    let is_of_word = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let mut rest = text;
    while let Some(begin) = rest.find(is_of_word) {
        let word = &rest[begin..];
        let (word, behind) = word.split_at(word.find(|c| !is_of_word(c)).unwrap_or(word.len()));
        rest = behind;
        let is_metric = word.starts_with("agentcron_") && !word.contains(':') && word != "agentcron_";
        let labels = match (is_metric, word) {
            (true, _) => {
                let known = metrics.get(word);
                unknown.extend(known.is_none().then(|| word.to_owned()));
                let selector = behind.strip_prefix('{').map(labels_in).unwrap_or_default();
                // One without a sample may have the labels of the others.
                let is_known = |label: &&str| match known {
                    Some(known) if !known.is_empty() => {
                        known.contains(*label) || OF_PROMETHEUS.contains(label)
                    }
                    Some(_) | None => all_labels.contains(label),
                };
                unknown.extend(
                    selector.iter().filter(|label| !is_known(label)).map(|l| format!("{word}{{{l}}}")),
                );
                continue;
            }
            (false, "by" | "on" | "without" | "group_left") => {
                let list = behind.trim_start().strip_prefix('(').and_then(|list| list.split(')').next());
                list.unwrap_or_default().split(',').map(str::trim).collect()
            }
            (false, "labels") if behind.starts_with('.') => {
                behind[1..].split(|c| !is_of_word(c)).take(1).collect::<Vec<_>>()
            }
            (false, _) => continue,
        };
        let named = labels.into_iter().filter(|label| !label.is_empty());
        unknown
            .extend(named.filter(|label| !all_labels.contains(label)).map(|label| format!("label {label}")));
    }
    unknown
}

/// Returns every text in a JSON document.
fn texts(json: &Value) -> Vec<&str> {
    match json {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[tokio::test]
async fn alerts_and_the_dashboard_name_metrics_and_labels_that_exist() {
    let metrics = scraped().await;
    let read = |path: &str| std::fs::read_to_string(root().join("contrib").join(path)).unwrap();
    for path in ["prometheus/rules.yml", "prometheus/rules_test.yml"] {
        assert_eq!(unknown_in(&read(path), &metrics), Vec::<String>::new(), "{path}");
    }
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    let texts = texts(&dashboard);
    assert!(texts.iter().filter(|text| text.contains("agentcron_")).count() > 20);
    for text in texts {
        assert_eq!(unknown_in(text, &metrics), Vec::<String>::new(), "in {text}");
        // The legend of a series.
        if let Some(label) = text.strip_prefix("{{").and_then(|rest| rest.split("}}").next()) {
            assert!(metrics.values().any(|labels| labels.contains(label)), "{text}");
        }
    }
}

#[test]
fn what_no_scrape_has_is_found() {
    let text = "# HELP agentcron_a A.\nagentcron_a_bucket{le=\"1\",cron=\"a,b=}\"} 1\n# HELP agentcron_b B.\n# HELP \
                agentcron_d D.\nagentcron_d{what=\"x\"} 1\n";
    let metrics = parsed(text);
    for (expression, unknown) in [
        ("rate(agentcron_a_bucket{cron=~\"x\", le!=\"1\"}[5m])", ""),
        ("sum by (cron, le) (agentcron_b{instance=\"a\"}) > on (job) group_left () agentcron_a", ""),
        ("{{ $labels.cron }} failed; agentcron:recorded, and agentcron_cannot", "agentcron_cannot"),
        ("agentcron_c", "agentcron_c"),
        ("agentcron_b{cron=\"a\"}", ""),
        ("agentcron_b{code=\"a\"}", "agentcron_b{code}"),
        ("agentcron_d{cron=\"a\"}", "agentcron_d{cron}"),
        ("sum by (cron, code) (agentcron_a)", "label code"),
        ("{{ $labels.code }}", "label code"),
    ] {
        assert_eq!(unknown_in(expression, &metrics).join(" "), unknown, "{expression}");
    }
}
