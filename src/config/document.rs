//! TOML text -> tables that know where everything stands; syntax errors with the line and a caret.

use toml::de::{DeTable, DeValue};

use super::errors::{ConfigError, Report, quoted};
use super::fields::CronFields;
use super::limits::{DEPTH_MAX, SYNTAX_ERRORS_MAX};
use super::source::Source;

/// A file's tables, pointing into its text.
pub(super) struct Document<'s> {
    /// The file.
    pub(super) source: &'s Source,
    /// Its top-level table.
    pub(super) root: DeTable<'s>,
}

impl<'s> Document<'s> {
    /// Parses a file. With a syntax error the rest cannot be trusted, so there is no document then; a key that
    /// stands twice is not that bad.
    pub(super) fn parse(source: &'s Source, report: &mut Report) -> Option<Self> {
        let (root, errors) = DeTable::parse_recoverable(&source.text);
        let root = root.into_inner();
        let is_duplicate = |error: &toml::de::Error| error.message() == "duplicate key";
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            report.error(if is_duplicate(error) {
                duplicate(source, &root, error)
            } else {
                syntax(source, error)
            });
        }
        errors.iter().all(is_duplicate).then_some(Self { source, root })
    }
}

fn syntax(source: &Source, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(source.text.len(), |span| span.start);
    let mut error = source.error(offset, format!("not TOML: {}", error.message()), None);
    if let Some(position) = error.position {
        let line = masked(source, position.line);
        // A tab stays a tab, so that the caret stands under its column.
        let indent = line.chars().take(position.column - 1).map(|char| if char == '\t' { '\t' } else { ' ' });
        error.excerpt = Some(format!("{line}\n{}^", indent.collect::<String>()));
    }
    error
}

fn duplicate(source: &Source, root: &DeTable<'_>, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or_default();
    let written = source.text.get(span.clone()).unwrap_or_default();
    let key = written.trim_matches(|char| char == '"' || char == '\'');
    let first = last_key_before(root, key, span.start, DEPTH_MAX).map(|offset| source.position(offset).line);
    let first = first.or_else(|| same_header_before(source, source.position(span.start).line));
    let first = first.map_or(String::new(), |line| format!(": it stands in line {line} already"));
    source.error(span.start, format!("key {} stands twice{first}", quoted(key)), None)
}

/// The line of the first of two equal table headers; the table itself remembers the second only.
fn same_header_before(source: &Source, line: usize) -> Option<usize> {
    let header = source.line(line).trim();
    (1..line).find(|earlier| header.starts_with('[') && source.line(*earlier).trim() == header)
}

/// The key of that name that stands nearest before an offset: the first one of two in the same table.
fn last_key_before(table: &DeTable<'_>, key: &str, offset: usize, depth_left: usize) -> Option<usize> {
    let depth_left = depth_left.checked_sub(1)?;
    let mut last =
        table.get_key_value(key).map(|(found, _)| found.span().start).filter(|start| *start < offset);
    for value in table.values() {
        let tables: &mut dyn Iterator<Item = &DeTable<'_>> = match value.get_ref() {
            DeValue::Table(table) => &mut std::iter::once(table),
            DeValue::Array(items) => &mut items.iter().filter_map(|item| item.get_ref().as_table()),
            _ => continue,
        };
        for table in tables {
            last = last.max(last_key_before(table, key, offset, depth_left));
        }
    }
    last
}

/// Keys of crons whose values may hold a token.
const DELICATE: &[&str] = &["webhook", "input", "config", "context", "metadata"];
/// Keys of other tables whose values cannot; the rest is masked.
const HARMLESS: &[&str] = &[
    "include",
    "langgraph_json",
    "shutdown_grace",
    "request_timeout",
    "max_concurrent_runs",
    "ca_file",
    "path",
    "values_bytes_max",
    "listen",
    "socket",
    "disable_webhooks",
    "require_https",
    "allowed_domains",
    "allowed_ports",
    "max_url_length",
    "disable_loopback",
    "disable_private_ips",
    "env_prefix",
    "allowed_fields",
    "body_bytes_max",
];

fn is_harmless(key: &str) -> bool {
    HARMLESS.contains(&key) || (CronFields::NAMES.contains(&key) && !DELICATE.contains(&key))
}

/// A line as it may be shown: what could be a secret has its letters and digits masked.
fn masked(source: &Source, number: usize) -> String {
    let line = source.line(number);
    let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
    let harmless = value.is_some_and(|value| is_harmless(key.trim()) && !value.contains('='));
    let shown_bytes = match line.find(['=', '"', '\'']) {
        _ if harmless => line.len(),
        Some(_) if value.is_none() && !key.trim_start().starts_with('[') => 0,
        Some(at) => at,
        None if may_continue(source, number) => 0,
        None => line.len(),
    };
    let (shown, hidden) = line.split_at(shown_bytes);
    let hidden = hidden.chars().map(|char| if char.is_alphanumeric() { '*' } else { char });
    shown.chars().chain(hidden).take(200).collect()
}

/// Whether a line may be the rest of a value that began further up.
fn may_continue(source: &Source, number: usize) -> bool {
    let after_equals = number > 1 && source.line(number - 1).trim_end().ends_with('=');
    after_equals || source.text.contains("\"\"\"") || source.text.contains("'''")
}
