//! `agentcron import`: writes the crons of an agent server to a configuration file.

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

use super::terminal::{Failure, Session};
use crate::backend::AgentClient;
use crate::config::{self, Credentials, Secret};
use crate::present::counted;
use crate::transport::Transport;
use mapping::{ImportContext, ImportedCron};
use webhook::Variables;

/// How long the server may take to return one page of crons.
const RESPONSE_WAIT: Duration = Duration::from_secs(30);
const KEY_BYTES_MAX: u64 = 4096;

/// Import the crons of an agent server into a file
#[derive(Args)]
#[command(after_help = "\
Nothing is changed on the server, which still fires its crons. Delete them there
before the daemon reloads the file, or import them with --disabled; otherwise
each of them fires twice.

Tokens in webhook URLs become ${{ env.NAME }}; the file says which variables to
set.

Examples:
  agentcron import --from http://127.0.0.1:2024
  agentcron import --from https://agents.example.com --out -
  LANGGRAPH_API_KEY=$(cat key) agentcron import \\
    --from https://agents.example.com --disabled")]
pub(super) struct Import {
    /// URL of the agent server
    #[arg(long, value_name = "URL")]
    from: Url,
    /// The server's key, sent as x-api-key. Prefer the variable: others on this machine can read arguments
    #[arg(long, value_name = "KEY", env = "LANGGRAPH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// A file that contains the key; it takes precedence over --api-key
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// The file to write, or `-` for stdout [default: crons.d/imported.toml beside the configuration]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Write every cron with `enabled = false`
    #[arg(long)]
    disabled: bool,
}

/// What happens to a file that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExistingFile {
    Keep,
    Replace,
}

/// The key must not appear in `Debug` output.
impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("from", &shown(&self.from)).finish_non_exhaustive()
    }
}

pub(super) fn import(import: &Import, session: &mut Session) -> Result<(), Failure> {
    let to_stdout = import.out.as_deref() == Some(Path::new("-"));
    let path = import.out.clone().unwrap_or_else(|| default_path(&session.config_path));
    let existing = if import.force { ExistingFile::Replace } else { ExistingFile::Keep };
    if !to_stdout && existing == ExistingFile::Keep && path.exists() {
        return Err(Failure::Failed(format!(
            "{} exists already; nothing was written. Choose another file with --out, or replace it with --force",
            path.display()
        )));
    }
    let crons = fetch_crons(import)?;
    let mut context = import_context(session, &path);
    let mut imported: Vec<ImportedCron> = Vec::new();
    for cron in &crons {
        let cron = mapping::map(cron, &mut context);
        imported.push(if import.disabled { cron.disabled() } else { cron });
    }
    let variables = &context.variables;
    let text = text::file(&shown(&import.from), &imported, variables);
    if to_stdout {
        return Ok(session.output.text(&text)?);
    }
    write(&path, &text, existing)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
    print_summary(session, &path, &imported, variables)
}

fn default_path(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join("crons.d/imported.toml")
}

/// Returns the URL without what may be a password.
fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn fetch_crons(import: &Import) -> Result<Vec<Value>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", shown(&import.from)));
    let key = match (&import.api_key_file, &import.api_key) {
        (Some(path), _) => Some(read_key(path)?),
        (None, Some(key)) => Some(Secret::new(key)),
        (None, None) => None,
    };
    let transport = Transport::network(None).map_err(|error| failed(&error))?;
    let credentials = match key.map(|key| http::HeaderValue::from_str(key.expose())).transpose() {
        Ok(key) => key.map(Credentials::of_api_key).unwrap_or_default(),
        Err(_) => {
            return Err(Failure::Usage("the API key has characters that a header cannot hold".to_owned()));
        }
    };
    let client = AgentClient::new(transport, import.from.clone(), credentials, RESPONSE_WAIT);
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

/// Returns what the configuration defines already. Mistakes in it are left to `check`.
fn import_context(session: &Session, out: &Path) -> ImportContext {
    let Ok(config) = config::load(&session.config_path, &session.environment.for_looking()) else {
        return ImportContext::default();
    };
    let same = |file: &Path| match (file.canonicalize(), out.canonicalize()) {
        (Ok(file), Ok(out)) => file == out,
        (_, _) => false,
    };
    let elsewhere = config.crons.iter().filter(|definition| !same(&definition.location.file));
    ImportContext {
        names: elsewhere.map(|definition| definition.name.to_lowercase()).collect(),
        policy: Some(config.webhooks.url),
        variables: Variables::default(),
    }
}

/// Writes the whole file or nothing, since a daemon may be watching the folder.
fn write(path: &Path, text: &str, existing: ExistingFile) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&unfinished).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match existing {
            ExistingFile::Replace => fs::rename(&unfinished, path),
            // Unlike a rename, a link fails if the path exists.
            ExistingFile::Keep => fs::hard_link(&unfinished, path),
        }
    });
    let _ = fs::remove_file(&unfinished);
    written
}

fn print_summary(
    session: &mut Session,
    path: &Path,
    imported: &[ImportedCron],
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
    let crons = counted(written as u64, "cron");
    session.output.line(&format!("wrote {} with {crons}", path.display()))?;
    if imported.is_empty() {
        return Ok(session.output.line("the server has no crons")?);
    }
    if left_out > 0 {
        session.output.line(&format!("{left_out} not imported; the file says why"))?;
    }
    let names = variables.names();
    if !names.is_empty() {
        session.output.line(&format!("set these variables for the daemon: {}", names.join(", ")))?;
    }
    session
        .output
        .line("the server still fires its crons: delete them there, otherwise each of them fires twice")?;
    Ok(())
}
