//! Reads the keys at the top of the main file, and says what is lost with one that does not belong there.

use std::sync::Arc;

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::errors::Report;
use super::loss::Loss;
use super::nearest::nearest;
use super::reference;
use super::section::Section;
use super::section_reader::with_defaults;

/// Reads the keys at the top of the main file.
pub(super) fn top_level(root: &Section<'_>, report: &mut Report) -> Map<String, Value> {
    let before = |name: &str, value: &DeValue<'_>, report: &mut Report| {
        let known = Loss::of_key(name).filter(|_| reference::TOP_LEVEL.key(name).is_some());
        report.about(known.map_or_else(|| losses_of_unknown(root, name, value), |loss| vec![loss]));
    };
    let values = root.read_each(&reference::TOP_LEVEL, top_level_advice, report, before);
    with_defaults(values, &reference::TOP_LEVEL)
}

/// Returns what may be meant by a key at the top of the main file that does not belong there. A table may be any of those
/// that are absent, the one that it is called nearly like, or a part of one; and it had perhaps a cron in it. Any may have
/// had the switch of all webhooks. Anything else may be a key of any table, or one of those that belong here.
fn losses_of_unknown(root: &Section<'_>, name: &str, value: &DeValue<'_>) -> Vec<Loss> {
    use reference::{BACKEND, CRON, HTTP, LOG, NOTIFY, STORE, WEBHOOKS};
    let tables = [
        ("http", &HTTP),
        ("webhooks", &WEBHOOKS),
        ("backend", &BACKEND),
        ("store", &STORE),
        ("log", &LOG),
        ("notify", &NOTIFY),
        ("defaults", &CRON),
    ];
    let is_table = value.as_table().is_some();
    let is_near = |table: &str| nearest(name, [table]).is_some();
    let may_be = tables.iter().filter(|(table, reference)| match (is_table, *table) {
        (true, "http" | "webhooks") => true,
        (true, "defaults" | "log" | "notify") => is_near(table),
        (true, table) => !root.has(table) || is_near(table),
        (false, _) => nearest(name, reference.names()).is_some(),
    });
    let mut losses: Vec<Loss> = may_be.filter_map(|(table, _)| Loss::of_key(table)).collect();
    if is_table {
        losses.push(Loss::File(Arc::clone(&root.document.source.file)));
    } else {
        let here = ["include", "langgraph_json", "shutdown_grace"].into_iter().filter(|key| is_near(key));
        losses.extend(here.filter_map(Loss::of_key));
        losses.extend(name.contains("webhook").then_some(Loss::Webhooks));
    }
    losses
}

fn top_level_advice(key: &str) -> Option<&'static str> {
    match key {
        "crons" => Some("write [cron.NAME]"),
        "url" | "api_key" => Some("it belongs under [backend]"),
        "schedule" | "assistant_id" | "timezone" => Some("it belongs under [cron.NAME] or [defaults]"),
        _ => None,
    }
}
