//! The text of the file: TOML with comments. Nothing that the server sent can leave its line.

use super::mapping::ImportedCron;
use super::webhook::Variables;
use crate::cli::toml_value::{toml_value, written};
use crate::domain::printable::blanked;

/// Returns the whole file.
pub(super) fn file(from: &str, imported: &[ImportedCron], variables: &Variables) -> String {
    let mut text = format!(
        "# Crons of {from}, written by `agentcron import`.\n\
         # The server still fires them: delete them there, otherwise each of them fires twice.\n"
    );
    let names = variables.names();
    if !names.is_empty() {
        text.push_str(
            "#\n# Possible secrets in webhook URLs were replaced. Set these variables for the daemon:\n",
        );
        names.iter().for_each(|name| text.push_str(&format!("#   {name}\n")));
    }
    imported.iter().for_each(|cron| text.push_str(&one(cron)));
    text
}

fn one(cron: &ImportedCron) -> String {
    let mut text = format!("\n# {}\n", blanked(&format!("on the server: {}", cron.cron_id)));
    cron.notes.iter().for_each(|note| text.push_str(&format!("# {}\n", blanked(note))));
    let Some(fields) = &cron.fields else {
        text.push_str(&blanked(&format!("# [cron.{}]", cron.name)));
        text.push('\n');
        return text;
    };
    text.push_str(&format!("[cron.{}]\n", key(&cron.name)));
    let fields = serde_json::to_value(fields).unwrap_or_default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        if let Some(value) = toml_value(value) {
            text.push_str(&format!("{name} = {}\n", written(&value)));
        }
    }
    text
}

/// Returns a name as a key. A bare key cannot contain dots.
fn key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}
