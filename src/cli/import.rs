//! `agentcron import`: the crons of an agent server as a file of ours.

mod mapping;
#[cfg(test)]
mod tests;
mod text;
mod webhook;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use url::Url;

use super::failure::Failure;
use super::output::several;
use super::session::Session;
use crate::backend::AgentClient;
use crate::config::{self, Secret};
use crate::transport::Transport;
use mapping::{Imported, Surroundings};
use webhook::Variables;

/// One page of crons is no long work.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const KEY_BYTES_MAX: u64 = 4096;

/// Write the crons of an agent server to a file. Nothing is changed on the server.
#[derive(Args)]
#[command(after_help = "\
The server still fires its crons: delete them there before the daemon takes the file up, or import them with
--disabled, or each of them fires twice. Tokens in webhook URLs become ${{ env.NAME }}; the file says which to set.

Examples:
  agentcron import --from http://127.0.0.1:2024                to crons.d/imported.toml
  agentcron import --from https://agents.example.com --out -   to look at it first
  LANGGRAPH_API_KEY=$(cat key) agentcron import --from https://agents.example.com --disabled")]
pub(super) struct Import {
    /// The server
    #[arg(long, value_name = "URL")]
    from: Url,
    /// Its key, sent as x-api-key; better set in the environment: others on this machine can see what is typed here
    #[arg(long, value_name = "KEY", env = "LANGGRAPH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// A file with the key in it; it comes first
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Where to, `-` for the terminal [default: crons.d/imported.toml beside the configuration]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
    /// Write every cron with `enabled = false`
    #[arg(long)]
    disabled: bool,
}

/// The key does not show itself.
impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("from", &shown(&self.from)).finish_non_exhaustive()
    }
}

pub(super) fn import(import: &Import, session: &mut Session) -> Result<(), Failure> {
    let to_terminal = import.out.as_deref() == Some(Path::new("-"));
    let path = import.out.clone().unwrap_or_else(|| default_path(&session.config_path));
    if !to_terminal && !import.force && path.exists() {
        return Err(Failure::Failed(format!(
            "{} exists already; nothing was written. Choose another with --out, or overwrite it with --force",
            path.display()
        )));
    }
    let crons = ask(import)?;
    let mut surroundings = surroundings(session, &path);
    let mut imported: Vec<Imported> = Vec::new();
    for cron in &crons {
        let cron = mapping::map(cron, &mut surroundings);
        imported.push(if import.disabled { cron.disabled() } else { cron });
    }
    let variables = &surroundings.variables;
    let text = text::file(&shown(&import.from), &imported, variables);
    if to_terminal {
        return Ok(session.output.text(&text)?);
    }
    write(&path, &text, import.force)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
    tell(session, &path, &imported, variables)
}

fn default_path(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join("crons.d/imported.toml")
}

/// Without what may be a password.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn ask(import: &Import) -> Result<Vec<Value>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", shown(&import.from)));
    let key = match (&import.api_key_file, &import.api_key) {
        (Some(path), _) => Some(read_key(path)?),
        (None, Some(key)) => Some(Secret::new(key)),
        (None, None) => None,
    };
    let transport = Transport::network(None).map_err(|error| failed(&error))?;
    let client = AgentClient::new(transport, import.from.clone(), key, ANSWER_WAIT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(client.crons()).map_err(|error| failed(&error))
}

fn read_key(path: &Path) -> Result<Secret, Failure> {
    use std::io::Read;
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("--api-key-file {}: {error}", path.display()));
    let mut key = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut key))
        .map_err(unreadable)?;
    Ok(Secret::new(key.trim()))
}

/// What the configuration says already. One that cannot be read is left to `check`.
fn surroundings(session: &Session, out: &Path) -> Surroundings {
    let Ok(config) = config::load(&session.config_path, &session.environment) else {
        return Surroundings::default();
    };
    let same = |file: &Path| match (file.canonicalize(), out.canonicalize()) {
        (Ok(file), Ok(out)) => file == out,
        (_, _) => false,
    };
    let elsewhere = config.crons.into_iter().filter(|definition| !same(&definition.location.file));
    Surroundings {
        names: elsewhere.map(|definition| definition.cron.name.to_lowercase()).collect(),
        policy: Some(config.webhooks.url),
        variables: Variables::default(),
    }
}

/// Written whole or not at all: a daemon may be watching the folder.
fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&unfinished).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link fails where something is, a rename does not.
        if force { fs::rename(&unfinished, path) } else { fs::hard_link(&unfinished, path) }
    });
    let _ = fs::remove_file(&unfinished);
    written
}

fn tell(
    session: &mut Session,
    path: &Path,
    imported: &[Imported],
    variables: &Variables,
) -> Result<(), Failure> {
    let left_out = imported.iter().filter(|cron| cron.fields.is_none()).count();
    let written = imported.len() - left_out;
    if session.output.is_json() {
        let object = json!({
            "written": path.display().to_string(),
            "crons": written,
            "left_out": left_out,
            "notes": imported.iter().map(|cron| cron.notes.len()).sum::<usize>(),
            "variables": variables.names(),
        });
        return Ok(session.output.json(&object)?);
    }
    let crons = several(written as u64, "cron");
    session.output.line(&format!("wrote {} with {crons}", path.display()))?;
    if imported.is_empty() {
        return Ok(session.output.line("the server has no crons")?);
    }
    if left_out > 0 {
        session.output.line(&format!("{left_out} could not be taken over; the file says why"))?;
    }
    let names = variables.names();
    if !names.is_empty() {
        session.output.line(&format!("set these variables for the daemon: {}", names.join(", ")))?;
    }
    session
        .output
        .line("the server still fires its crons: delete them there, or each of them fires twice")?;
    Ok(())
}
