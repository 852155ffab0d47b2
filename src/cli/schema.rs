//! `agentcron schema`: prints the JSON Schema of the configuration.

use clap::Args;

use super::terminal::{Failure, Session};
use crate::config::json_schema;

/// Print the JSON Schema of the configuration, for editors
#[derive(Args, Debug)]
#[command(after_help = "\
One schema fits the main file and the files that it includes. Editors with taplo
or Even Better TOML read it if the first line of a file names it:

  #:schema ./agentcron.schema.json

`agentcron init` writes the schema and these lines. Write the schema anew after
an upgrade. What it cannot see, `agentcron check` does.

Examples:
  agentcron schema > agentcron.schema.json")]
pub(super) struct Schema {}

pub(super) fn schema(session: &mut Session) -> Result<(), Failure> {
    match session.output.is_json() {
        true => session.output.json(&json_schema())?,
        false => session.output.text(&schema_text()?)?,
    }
    Ok(())
}

/// Returns the schema as a file has it.
pub(super) fn schema_text() -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&json_schema());
    text.map(|text| text + "\n").map_err(|error| Failure::Failed(format!("cannot write the schema: {error}")))
}
