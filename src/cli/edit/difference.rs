//! What an edit changes: the crons by name, key by key, and the names of other settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Original;
use crate::cli::terminal::{Failure, Session};
use crate::config::{CronDefinition, Loaded, is_public, without_links};
use crate::domain::bounds::DIFFERENCE_CHARS_SHOWN;
use crate::present::{Tone, counted};
use crate::store::{KeyChange, differences};

/// What becomes of one cron.
#[derive(Debug, PartialEq, Eq)]
enum CronChange {
    Added { schedule: String },
    Removed,
    Changed { former_name: Option<String>, keys: Vec<KeyChange> },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    crons: BTreeMap<String, CronChange>,
    /// The keys of the main file that differ, besides the crons. `[defaults]` shows in the crons.
    settings: Vec<String>,
}

impl Difference {
    pub(super) fn of(before: &Loaded, after: &Loaded, original: &Original, bytes: &[u8]) -> Self {
        let mut settings = Vec::new();
        if without_links(&before.path) == original.file {
            let (old, new) = (table(&original.bytes), table(bytes));
            add_keys(&old, &new, "", &mut settings);
        }
        Self { crons: of_crons(before.definitions(), after.definitions()), settings }
    }

    /// Prints the change. Values of keys that may hold a secret are not shown.
    pub(super) fn print(&self, session: &mut Session) -> Result<(), Failure> {
        if session.output.is_json() {
            return Ok(());
        }
        for (name, change) in &self.crons {
            match change {
                CronChange::Added { schedule } => {
                    let line = session.output.paint(Tone::Good, &format!("+ {name}"));
                    session.output.line(&format!("{line}  {schedule}"))?;
                }
                CronChange::Removed => {
                    let line = session.output.paint(Tone::Bad, &format!("- {name}"));
                    session.output.line(&line)?;
                }
                CronChange::Changed { former_name, keys } => {
                    let was = former_name.as_ref().map(|was| format!(" (was {was})")).unwrap_or_default();
                    let line = session.output.paint(Tone::Attention, &format!("~ {name}{was}"));
                    session.output.line(&line)?;
                    keys.iter().try_for_each(|change| print_key(change, session))?;
                }
            }
        }
        for key in &self.settings {
            let line = session.output.paint(Tone::Attention, &format!("~ {key}"));
            session.output.line(&line)?;
        }
        if self.crons.is_empty() && self.settings.is_empty() {
            session.output.line("it means the same as before")?;
        }
        Ok(())
    }

    /// Returns how much is changed, as a phrase.
    pub(super) fn in_short(&self) -> String {
        let count =
            |is_meant: fn(&CronChange) -> bool| self.crons.values().filter(|change| is_meant(change)).count();
        let of_crons = [
            (count(|change| matches!(change, CronChange::Added { .. })), "added"),
            (count(|change| matches!(change, CronChange::Changed { .. })), "changed"),
            (count(|change| matches!(change, CronChange::Removed)), "removed"),
        ];
        let crons = of_crons.into_iter().filter(|(count, _)| *count > 0);
        let crons = crons.map(|(count, what)| format!("{} {what}", counted(count as u64, "cron")));
        let settings = self.settings.len() as u64;
        let settings = (settings > 0).then(|| format!("{} changed", counted(settings, "setting")));
        let all: Vec<String> = crons.chain(settings).collect();
        if all.is_empty() { "nothing has another meaning".to_owned() } else { all.join(", ") }
    }

    /// Returns the crons as the command shows them in JSON.
    pub(super) fn json(&self) -> Vec<Value> {
        let object = |(name, change): (&String, &CronChange)| match change {
            CronChange::Added { .. } => json!({ "cron_name": name, "change": "added" }),
            CronChange::Removed => json!({ "cron_name": name, "change": "removed" }),
            CronChange::Changed { keys, .. } => {
                let keys: Vec<&str> = keys.iter().map(|change| change.key.as_str()).collect();
                json!({ "cron_name": name, "change": "changed", "keys": keys })
            }
        };
        self.crons.iter().map(object).collect()
    }
}

fn of_crons<'d>(
    before: impl Iterator<Item = &'d CronDefinition>,
    after: impl Iterator<Item = &'d CronDefinition>,
) -> BTreeMap<String, CronChange> {
    // A cron that is renamed is the same one: its identity follows from its first name.
    let identity = |cron: &CronDefinition| cron.was.clone().unwrap_or_else(|| cron.name.clone());
    let mut former: BTreeMap<String, &CronDefinition> = before.map(|cron| (identity(cron), cron)).collect();
    let mut changes = BTreeMap::new();
    for cron in after {
        let change = match former.remove(&identity(cron)) {
            None => CronChange::Added { schedule: cron.fields().schedule.unwrap_or_default() },
            Some(old) if (&old.name, &old.body) == (&cron.name, &cron.body) => continue,
            Some(old) => CronChange::Changed {
                former_name: (old.name != cron.name).then(|| old.name.clone()),
                keys: differences(&fields(cron), &fields(old)),
            },
        };
        changes.insert(cron.name.clone(), change);
    }
    changes.extend(former.into_values().map(|cron| (cron.name.clone(), CronChange::Removed)));
    changes
}

fn fields(cron: &CronDefinition) -> Map<String, Value> {
    serde_json::from_str(&cron.body).unwrap_or_default()
}

fn print_key(KeyChange { key, old, new }: &KeyChange, session: &mut Session) -> Result<(), Failure> {
    if !is_public(key) {
        let how = match (old, new) {
            (None, _) => "is new",
            (_, None) => "is gone",
            (Some(_), Some(_)) => "is another",
        };
        return Ok(session.output.line(&format!("    {key} {how}"))?);
    }
    let shown = |tone: Tone, value: &Option<Value>, session: &Session| match value {
        Some(value) => session.output.paint(tone, &in_short(value)),
        None => "by default".to_owned(),
    };
    let (old, new) = (shown(Tone::Bad, old, session), shown(Tone::Good, new, session));
    Ok(session.output.line(&format!("    {key}: {old} → {new}"))?)
}

fn in_short(value: &Value) -> String {
    let text = value.to_string();
    let end = text.char_indices().nth(DIFFERENCE_CHARS_SHOWN).map(|(end, _)| end);
    end.map_or_else(|| text.clone(), |end| format!("{}…", &text[..end]))
}

/// Returns the tables of a file that has passed the check; nothing of one that has not, such as the former one.
fn table(bytes: &[u8]) -> toml::Table {
    std::str::from_utf8(bytes).ok().and_then(|text| toml::from_str(text).ok()).unwrap_or_default()
}

/// Adds the names of the keys that two tables do not have alike, those of tables within them among them.
fn add_keys(old: &toml::Table, new: &toml::Table, outer: &str, keys: &mut Vec<String>) {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let empty = toml::Table::new();
    for name in
        names.into_iter().filter(|name| !outer.is_empty() || !["cron", "defaults"].contains(&name.as_str()))
    {
        let full_name = if outer.is_empty() { name.clone() } else { format!("{outer}.{name}") };
        let (old, new) = (old.get(name), new.get(name));
        let within = |value: Option<&toml::Value>| value.is_none_or(toml::Value::is_table);
        if within(old) && within(new) {
            let of =
                |value: Option<&toml::Value>| value.and_then(toml::Value::as_table).unwrap_or(&empty).clone();
            add_keys(&of(old), &of(new), &full_name, keys);
        } else if old != new {
            keys.push(full_name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_cron_is_added_removed_changed_or_renamed() {
        let cron = |name: &str, rest: &str| {
            CronDefinition::of_body(
                name,
                &format!(r#"{{"schedule": "@daily", "assistant_id": "agent"{rest}}}"#),
            )
        };
        let before = [cron("a", ""), cron("b", ""), cron("c", ""), cron("d", "")];
        let after =
            [cron("a", ""), cron("b", r#", "timeout": "5m""#), cron("e", r#", "was": "c""#), cron("f", "")];
        let refs =
            |crons: &[Arc<CronDefinition>]| crons.iter().map(|cron| (**cron).clone()).collect::<Vec<_>>();
        let (before, after) = (refs(&before), refs(&after));
        let difference = Difference { crons: of_crons(before.iter(), after.iter()), settings: Vec::new() };
        assert_eq!(difference.in_short(), "1 cron added, 2 crons changed, 1 cron removed");
        let shown: Vec<String> = difference.json().iter().map(Value::to_string).collect();
        assert_eq!(
            shown,
            [
                r#"{"cron_name":"b","change":"changed","keys":["timeout"]}"#,
                r#"{"cron_name":"d","change":"removed"}"#,
                r#"{"cron_name":"e","change":"changed","keys":["was"]}"#,
                r#"{"cron_name":"f","change":"added"}"#,
            ]
        );
        let CronChange::Changed { former_name, .. } = &difference.crons["e"] else {
            panic!("{difference:?}")
        };
        assert_eq!(former_name.as_deref(), Some("c"));
    }

    #[test]
    fn settings_are_named_and_never_quoted() {
        let old = table(b"include = \"a\"\n[backend]\napi_key = \"hunter2\"\n[webhooks.url]\ndisable_loopback = true\n[cron.a]\nx = 1");
        let new = table(b"include = \"a\"\n[backend]\napi_key = \"hunter3\"\n[http.keys.ops]\nkey = \"k\"\n[cron.a]\nx = 2");
        let mut keys = Vec::new();
        add_keys(&old, &new, "", &mut keys);
        assert_eq!(keys, ["backend.api_key", "http.keys.ops.key", "webhooks.url.disable_loopback"]);
        assert_eq!(in_short(&json!("ü".repeat(99))).chars().count(), DIFFERENCE_CHARS_SHOWN + 1);
    }
}
