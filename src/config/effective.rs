//! Every key of the main file with the value that it has by that file, or by default, as it may be shown to strangers.

use std::path::Path;

use toml::{Table, Value};

use super::errors::ConfigError;
use super::redacted_file::{LEFT_OUT, redacted_table};
use super::reference::{KeyNames, KeyReference, SectionReference, reference};

/// Returns a line for each key: its value, without secrets and without what stands on the lines of these mistakes, or its
/// default.
pub fn effective_settings(main: &Path, mistakes: &[ConfigError]) -> String {
    match redacted_table(main, mistakes) {
        Ok(table) => lines(&table),
        Err(problem) => format!("{LEFT_OUT}: {problem}\n"),
    }
}

fn lines(table: &Table) -> String {
    let is_listed =
        |section: &&&SectionReference| section.key_names == KeyNames::Fixed && !section.name.contains("NAME");
    let lines = reference().iter().filter(is_listed).flat_map(|section| {
        let values = inner(table, section.name);
        section.keys.iter().map(move |key| line(section, key, values))
    });
    lines.collect()
}

fn line(section: &SectionReference, key: &KeyReference, values: Option<&Table>) -> String {
    let dot = if section.name.is_empty() { "" } else { "." };
    let name = format!("{}{dot}{}", section.name, key.name);
    match values.and_then(|values| values.get(key.name)) {
        Some(value) => format!("{name} = {value}\n"),
        None => format!("{name}: not set ({})\n", key.default),
    }
}

/// Returns the table of a section, which may be in other tables.
fn inner<'a>(table: &'a Table, name: &str) -> Option<&'a Table> {
    let mut names = name.split('.').filter(|name| !name.is_empty());
    names.try_fold(table, |table, name| table.get(name).and_then(Value::as_table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_value_or_its_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agentcron.toml");
        let text = r#"
            shutdown_grace = "7s"
            [backend]
            url = "https://user:s3cret@agents.example/s3cret"
            api_key = "s3cret"
            [store.backup]
            keep = 3
            [cron.digest]
            schedule = "s3cret"
        "#;
        std::fs::write(&path, text).unwrap();
        let shown = effective_settings(&path, &[]);
        assert!(!shown.contains("s3cret"), "{shown}");
        for line in [
            "shutdown_grace = \"7s\"",
            "backend.url = \"https://agents.example/…\"",
            "backend.api_key = \"(left out)\"",
            "backend.request_timeout: not set (\"30s\")",
            "store.backup.keep = 3",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "no {line} in {shown}");
        }
        std::fs::write(&path, "a = ").unwrap();
        assert_eq!(effective_settings(&path, &[]), "(left out): it is not TOML\n");
    }
}
