//! A configuration file as it may be shown to strangers: without secrets, without what graphs are given, and without comments.

use std::path::Path;

use toml::{Table, Value};
use url::Url;

use super::errors::ConfigError;
use super::limits::FILE_BYTES_MAX;
use super::reference::{is_name, is_public};
use super::regular_file::read_regular;
use crate::domain::template;

/// Stands for a value that is not shown.
pub const LEFT_OUT: &str = "(left out)";

/// What graphs are given, which is left out with its keys.
const GIVEN: [&str; 4] = ["input", "config", "context", "metadata"];

/// Tables whose keys the author of the file chooses, so that a name says nothing about its value.
const HEADERS: &str = "headers";

/// No key of ours is longer.
const KEY_BYTES_MAX: usize = 24;

const NO_TOML: &str = "it is not TOML";

/// Returns the file with every value left out that may be secret or private. What is not known to be public is left out, and so is
/// what stands on the lines of these mistakes: it may have been meant for another key. A file that is no TOML is left out as a
/// whole.
pub fn redacted_file(path: &Path, mistakes: &[ConfigError]) -> String {
    let shown = redacted_table(path, mistakes)
        .and_then(|table| toml::to_string_pretty(&table).map_err(|_| NO_TOML.to_owned()));
    shown.unwrap_or_else(|problem| format!("{LEFT_OUT}: {problem}\n"))
}

/// Returns the same as a table, or why the file cannot be read.
pub(super) fn redacted_table(path: &Path, mistakes: &[ConfigError]) -> Result<Table, String> {
    let bytes = read_regular(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let own = mistakes.iter().filter(|mistake| *mistake.file == *path);
    let lines = own.filter_map(|mistake| text.lines().nth(mistake.position?.line.checked_sub(1)?));
    redacted(&text, &lines.collect::<Vec<_>>()).ok_or_else(|| NO_TOML.to_owned())
}

fn redacted(text: &str, mistaken: &[&str]) -> Option<Table> {
    let mut table: Table = text.parse().ok()?;
    redact_table(&mut table, true, mistaken);
    Some(table)
}

/// `may_show` is `false` where no key is known.
fn redact_table(table: &mut Table, may_show: bool, mistaken: &[&str]) {
    // What is longer than any key, and is none, may be a value in the wrong place.
    table.retain(|key, _| key.len() <= KEY_BYTES_MAX || is_name(key) || !is_mistaken(key, mistaken));
    for (key, value) in table {
        match GIVEN.contains(&key.as_str()) {
            true => *value = Value::String(LEFT_OUT.to_owned()),
            false => redact(value, key, may_show && key != HEADERS, mistaken),
        }
    }
}

fn redact(value: &mut Value, key: &str, may_show: bool, mistaken: &[&str]) {
    let is_shown = may_show && is_public(key);
    match value {
        Value::Table(table) => redact_table(table, may_show, mistaken),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, key, may_show, mistaken)),
        Value::String(text) if is_placeholder(text) => {}
        Value::String(text) if text.contains("://") => *text = host_of(text),
        Value::String(text) if is_mistaken(text, mistaken) => *text = LEFT_OUT.to_owned(),
        _ if is_shown => {}
        value => *value = Value::String(LEFT_OUT.to_owned()),
    }
}

/// Whether a text stands on one of these lines, or may go on there.
fn is_mistaken(text: &str, mistaken: &[&str]) -> bool {
    let written = Value::from(text).to_string();
    let written = written.trim_matches('"');
    mistaken.iter().any(|line| text.contains('\n') || line.contains(text) || line.contains(written))
}

/// Whether a text is one placeholder and nothing else.
fn is_placeholder(text: &str) -> bool {
    let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | ' ');
    inner.is_some_and(|inner| inner.chars().all(is_name))
        && template::placeholders(text).is_ok_and(|found| {
            found.len() == 1 && found.iter().all(|placeholder| placeholder.source().is_ok())
        })
}

/// Returns scheme, host and port of a URL. User, password, path and query may hold a token.
pub fn host_of(url: &str) -> String {
    let parsed = Url::parse(url).ok().filter(|url| !url.host_str().unwrap_or_default().is_empty());
    let Some(parsed) = parsed.filter(|_| !url.contains("${{")) else { return LEFT_OUT.to_owned() };
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    let rest = if parsed.path().len() > 1 || parsed.query().is_some() { "/…" } else { "" };
    format!("{}://{}{port}{rest}", parsed.scheme(), parsed.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_not_known_to_be_public_is_left_out() {
        let text = r#"
            # a comment with s3cret
            include = "crons.d/*.toml"
            api_kye = "s3cret"
            [backend]
            url = "https://user:s3cret@agents.example:8443/s3cret?token=s3cret"
            api_key = "s3cret"
            max_concurrent_runs = 10
            headers = { authorization = "Bearer s3cret", timezone = "s3cret", good = "${{ credential.key }}" }
            [http]
            listen = "127.0.0.1:2025"
            api_keys = ["${{ credential.agentcron_api_key }}", "s3cret", "s3cret${{ env.X }}", "${{ s3cret }}"]
            keys.anna = { key = "s3cret", access = "read" }
            [webhooks]
            signing_secrets = ["whsec_s3cret"]
            [cron.digest]
            schedule = "0 9 * * *"
            assistant_id = "agent"
            input = { timezone = "s3cret", s3cret = [{ schedule = "s3cret" }], count = 5 }
            webhook = "https://hooks.example/services/s3cret"
            retry = { max = 2, secret = "s3cret" }
            unknown = 12345
        "#;
        let shown = toml::to_string_pretty(&redacted(text, &[]).unwrap()).unwrap();
        assert!(!shown.contains("s3cret"), "{shown}");
        expect![[r#"
            api_kye = "(left out)"
            include = "crons.d/*.toml"

            [backend]
            api_key = "(left out)"
            max_concurrent_runs = 10
            url = "https://agents.example:8443/…"

            [backend.headers]
            authorization = "(left out)"
            good = "${{ credential.key }}"
            timezone = "(left out)"

            [cron.digest]
            assistant_id = "agent"
            input = "(left out)"
            schedule = "0 9 * * *"
            unknown = "(left out)"
            webhook = "https://hooks.example/…"

            [cron.digest.retry]
            max = "(left out)"
            secret = "(left out)"

            [http]
            api_keys = [
                "${{ credential.agentcron_api_key }}",
                "(left out)",
                "(left out)",
                "(left out)",
            ]
            listen = "127.0.0.1:2025"

            [http.keys.anna]
            access = "read"
            key = "(left out)"

            [webhooks]
            signing_secrets = ["(left out)"]
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn what_stands_on_a_mistaken_line_is_left_out() {
        let text = r#"
            shutdown_grace = "s3cret"
            s3cret-s3cret-s3cret-s3cret = 1
            include = ["crons.d/*.toml", 's3cret"x']
            [cron.digest]
            assistant_id = "agent"
            timezone = """
            s3cret"""
        "#;
        let mistaken: Vec<&str> = [1, 2, 3, 6].map(|line| text.lines().nth(line).unwrap()).to_vec();
        let shown = toml::to_string_pretty(&redacted(text, &mistaken).unwrap()).unwrap();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("assistant_id = \"agent\"") && shown.contains("[cron.digest]"), "{shown}");
        assert!(toml::to_string(&redacted(text, &[]).unwrap()).unwrap().contains("s3cret"));
    }

    #[test]
    fn of_a_url_only_the_host_is_shown() {
        for (url, shown) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("http://u:p@a.example:81/x?y#z", "http://a.example:81/…"),
            ("https://${{ env.HOST }}/x", LEFT_OUT),
            ("a b://c", LEFT_OUT),
        ] {
            assert_eq!(host_of(url), shown);
        }
        assert_eq!(redacted("a = ", &[]), None);
    }
}
