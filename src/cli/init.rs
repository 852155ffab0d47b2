//! `agentcron init`: writes a configuration to start from, which explains itself and passes `check`. Its cron names an
//! assistant of the agent server that answers, if one does.

mod server;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use url::Url;

use super::schema::schema_text;
use super::terminal::{Failure, Session, TextStyle};
use super::toml_value::written;
use crate::config::{STARTER_FILES, Secret};
use server::Found;

/// What the starter says about the database, and what it says in a folder of the system's configuration: there, the
/// default is the folder that the unit may write to.
const STORE_BESIDE: &str = "path = \"agentcron.db\"                   # relative to this file";
const STORE_OF_SYSTEM: &str = "# path = \"/var/lib/agentcron/agentcron.db\"";
/// Where agent servers are that developers run.
const SERVER_DEFAULT: &str = "http://127.0.0.1:2024";
const KEY_LEFT_OUT: &str = "# api_key = \"${{ env.LANGGRAPH_API_KEY }}\"";
const ASSISTANT: &str =
    "assistant_id = \"agent\"                  # the id of an assistant, or the name of a graph";
/// The schema beside the main file. Each file names it in its first line.
const SCHEMA_FILE: &str = "agentcron.schema.json";

/// Write a commented configuration to start from
#[derive(Args, Debug)]
#[command(after_help = "\
Existing files are never overwritten. The agent server is asked for its
assistants, for two seconds at most, and the cron names the first of them.

Examples:
  agentcron init                     in this directory
  agentcron init /etc/agentcron      for the systemd unit
  LANGGRAPH_API_KEY=$(cat key) agentcron init --url https://agents.example.com")]
pub(super) struct Init {
    /// The directory to write to; created if it does not exist
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// URL of your agent server [default: http://127.0.0.1:2024]. The key in $LANGGRAPH_API_KEY is sent to it as x-api-key
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

/// The agent server as it was found.
struct Server {
    url: String,
    has_key: bool,
    /// What it has, or why that is not known.
    found: Result<Found, String>,
}

pub(super) fn init(init: &Init, session: &mut Session) -> Result<(), Failure> {
    let names = STARTER_FILES.iter().map(|(name, _)| *name).chain([SCHEMA_FILE]);
    let paths: Vec<PathBuf> = names.map(|name| init.dir.join(name)).collect();
    // All files or none, as far as that can be known beforehand.
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(Failure::Failed(format!(
            "{} exists already; nothing was written. Choose another directory: agentcron init DIR",
            path.display()
        )));
    }
    let server = ask(init.url.as_ref(), session)?;
    let is_of_system = std::path::absolute(&init.dir)?.starts_with("/etc");
    let texts = STARTER_FILES.iter().map(|(name, text)| Ok(starter(name, text, &server, is_of_system)));
    for (path, text) in paths.iter().zip(texts.chain([schema_text()])) {
        write(path, &text?)
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
    }
    if session.output.is_json() {
        for path in &paths {
            session.output.json(&json!({ "written": path.display().to_string() }))?;
        }
        return Ok(session.output.json(&server.json())?);
    }
    print_server(&server, session)?;
    print_next_steps(&paths, &server, session)
}

/// Asks the server for what it has. Our key is sent to nobody who was not named.
fn ask(named: Option<&Url>, session: &Session) -> Result<Server, Failure> {
    let default = Url::parse(SERVER_DEFAULT).map_err(|error| Failure::Failed(error.to_string()))?;
    let url = named.unwrap_or(&default);
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        let message = "--url: expected a URL such as http://127.0.0.1:2024, without user and password";
        return Err(Failure::Usage(message.to_owned()));
    }
    let key: Option<Secret> = named.and_then(|_| session.environment.lookup("env.LANGGRAPH_API_KEY").ok());
    let found = server::look(url, key.as_ref())?;
    let url = url.as_str().trim_end_matches('/').to_owned();
    Ok(Server { url, has_key: key.is_some(), found })
}

impl Server {
    fn json(&self) -> serde_json::Value {
        let found = self.found.as_ref().ok();
        json!({
            "agent_server": self.url,
            "assistant_id": found.map(|found| found.assistant.word()),
            "problem": self.found.as_ref().err(),
        })
    }
}

/// Returns the text of a file of the starter, for this server.
fn starter(name: &str, text: &str, server: &Server, is_of_system: bool) -> String {
    let mut text = match is_of_system {
        true => text.replace(STORE_BESIDE, STORE_OF_SYSTEM),
        false => text.to_owned(),
    };
    let url = written(&toml::Value::String(server.url.clone()));
    text = text.replace(&format!("url = \"{SERVER_DEFAULT}\""), &format!("url = {url}"));
    if server.has_key {
        text = text.replace(KEY_LEFT_OUT, KEY_LEFT_OUT.trim_start_matches("# "));
    }
    if let Ok(found) = &server.found {
        let line = |line: &str| match line {
            ASSISTANT => found.assistant_line(),
            line if line.starts_with("input = ") => found.input_line().unwrap_or(line.to_owned()),
            line => line.to_owned(),
        };
        text = text.lines().map(|written| line(written) + "\n").collect();
    }
    let up = "../".repeat(Path::new(name).components().count() - 1);
    let folder = if up.is_empty() { "./" } else { up.as_str() };
    format!("#:schema {folder}{SCHEMA_FILE}\n{text}")
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn print_server(server: &Server, session: &mut Session) -> Result<(), Failure> {
    let url = &server.url;
    let line = match &server.found {
        Ok(found) => {
            let others = found.named_others().map(|others| format!(", and has {others}")).unwrap_or_default();
            format!("the agent server at {url} answers{others}: the cron runs {}", found.assistant.word())
        }
        Err(problem) => {
            format!("no assistants were found at {url} ({problem}): the cron names the assistant `agent`")
        }
    };
    Ok(session.output.line(&line)?)
}

fn print_next_steps(paths: &[PathBuf], server: &Server, session: &mut Session) -> Result<(), Failure> {
    for path in paths {
        session.output.line(&format!("wrote {}", path.display()))?;
    }
    let [config, cron, ..] = paths else { return Ok(()) };
    let (config, cron) = (config.display(), cron.display());
    let first = match &server.found {
        Ok(_) => format!("look at {cron}: when it runs, and with which input"),
        Err(_) => format!("set backend.url in {config} and assistant_id in {cron}"),
    };
    let next = session.output.paint(TextStyle::Bold, "Next:");
    session.output.text(&format!(
        "\n{next}
  1. {first}
  2. agentcron check --config {config}
  3. agentcron run --config {config}
  4. agentcron history --follow --config {config}\n"
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_has_the_lines_that_are_replaced() {
        let all: String = STARTER_FILES.iter().map(|(_, text)| *text).collect();
        for replaced in
            [STORE_BESIDE, KEY_LEFT_OUT, ASSISTANT, "\ninput = ", "url = \"http://127.0.0.1:2024\""]
        {
            assert_eq!(all.matches(replaced).count(), 1, "{replaced}");
        }
    }
}
