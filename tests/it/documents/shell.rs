//! Types what the documents tell you to type: one shell for each document, its blocks in order, with the embedded agent
//! server behind the daemon.
//!
//! A block that cannot be run has the comment `<!-- not run: why -->` right before it. A block of TOML whose first line
//! names a file of `my-crons` is written to that file.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::markdown::{Block, Document};
use super::of_users;
use crate::support::agent_server::AgentServerOnPort;
use crate::support::free_port::free_address;

/// Tools that documents use and that not every machine has: without one, the blocks that need it are left out.
const TOOLS: [&str; 3] = ["curl", "jq", "sqlite3"];

/// Comes before the binary on PATH, because a script cannot use two terminals. A command that runs until it is stopped goes
/// into the background, a command that follows something is stopped after a moment, and `init` gets the ports of this test.
const IN_FRONT: &str = r#"#!/bin/bash
set -euo pipefail
wait_for() { for _ in {1..150}; do if "$@"; then return 0; fi; sleep 0.1; done; return 1; }
has_socket() { [[ -n $(find "$ROOM" -name '*.sock') ]]; }
listens() { grep -q "listening on" "$1"; }
case "$1 ${2:-} $*" in
    run\ *)
        "$AGENTCRON" "$@" >>"$ROOM/daemon.log" 2>&1 &
        echo $! >>"$ROOM/pids"
        wait_for has_socket || { cat "$ROOM/daemon.log" >&2; exit 1; }
        ;;
    init\ *)
        "$AGENTCRON" "$@" --url "http://$SERVER"
        sed -i -e "s|^# listen = .*|listen = \"$LISTEN\"|" "${2:-.}/agentcron.toml"
        ;;
    webhook\ listen\ *)
        [[ $* == *--port* ]] || set -- "$@" --port "${HOOK##*:}"
        log=$(mktemp -p "$ROOM")
        "$AGENTCRON" "$@" >"$log" 2>&1 &
        echo $! >>"$ROOM/pids"
        wait_for listens "$log" || { cat "$log" >&2; exit 1; }
        ;;
    history\ *--follow*) timeout --signal=INT 2 "$AGENTCRON" "$@" || (($? == 124)) ;;
    *) exec "$AGENTCRON" "$@" ;;
esac
"#;

/// The ids that documents print are those of this test's last run and webhook.
const PRELUDE: &str = r#"set -euo pipefail
trap 'kill $(cat "$ROOM/pids") 2>/dev/null || true' EXIT
touch "$ROOM/pids"
first_id() { sed -n 's/^{"\(run_id\|delivery_id\)":"\([^"]*\)".*/\2/p' | tail -1; }
id_of() {
    for _ in {1..100}; do
        id=$(agentcron "$@" --json -n 1 | first_id)
        if [[ -n $id ]]; then echo "$id"; return; fi
        sleep 0.1
    done
    return 1
}
last_run() { id_of history; }
last_webhook() { id_of webhook list; }
"#;

/// Every document but the README begins where the README ends.
const AFTER_THE_README: &str = "agentcron init my-crons >/dev/null
export AGENTCRON_CONFIG=$PWD/my-crons/agentcron.toml
cat >my-crons/crons.d/digest.toml <<'TOML'
[cron.daily-digest]
schedule = \"0 9 * * mon-fri\"
assistant_id = \"agent\"
input = { messages = [{ role = \"user\", content = \"What happened?\" }] }
TOML
";

#[test]
fn what_the_documents_tell_you_to_type_works() {
    let server = AgentServerOnPort::start();
    let mut ran = 0;
    for path in of_users() {
        let document = Document::read(&path);
        let blocks = document.blocks();
        let is_typed = |block: &Block| block.language == "sh" && reason(block).is_none() && has_tools(block);
        let typed = blocks.iter().filter(|block| is_typed(block)).count();
        if typed > 0 {
            run(&document, &script(&document, &blocks, is_typed), &server);
        }
        ran += typed;
    }
    assert!(ran > 15, "only {ran} blocks were run");
}

#[test]
fn a_block_that_is_not_run_says_why() {
    for path in of_users() {
        for block in Document::read(&path).blocks().iter().filter(|block| block.language == "sh") {
            let place = format!("{}:{}", path.display(), block.line);
            match (&block.comment, reason(block)) {
                (Some(comment), None) => {
                    assert!(!comment.contains("run"), "{place}: expected `not run: why`")
                }
                (_, Some(reason)) => {
                    assert!(reason.len() >= 10, "{place} is not run, and does not say why");
                    eprintln!("{place} is not run: {reason}");
                }
                (None, None) => {}
            }
        }
    }
}

fn reason(block: &Block) -> Option<&str> {
    block.comment.as_deref()?.strip_prefix("not run:").map(str::trim)
}

fn has_tools(block: &Block) -> bool {
    let is_there = |tool: &str| Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok();
    let missing = TOOLS.iter().find(|tool| block.text.contains(**tool) && !is_there(tool));
    if let Some(tool) = missing {
        eprintln!("line {} is not run: there is no {tool} on this machine", block.line);
    }
    missing.is_none()
}

fn script(document: &Document, blocks: &[Block], is_typed: impl Fn(&Block) -> bool) -> String {
    let is_readme = document.path == Path::new("README.md");
    let mut script = PRELUDE.to_owned();
    let files = || blocks.iter().filter_map(|block| Some((named_file(block)?, block)));
    if !is_readme {
        script.push_str(AFTER_THE_README);
        files().for_each(|(file, block)| write_file(&mut script, file, block));
        script.push_str("agentcron run\nagentcron trigger daily-digest >/dev/null\nlast_run >/dev/null\n");
    }
    for block in blocks {
        match named_file(block) {
            Some(file) if is_readme => write_file(&mut script, file, block),
            _ if is_typed(block) => {
                let _ = writeln!(script, "echo '== line {}' >&2\n{}", block.line, block.text);
            }
            _ => {}
        }
    }
    script.replace("4e64ad18", "\"$(last_run)\"").replace("5f1c2ab9", "\"$(last_webhook)\"")
}

/// What a block's first line says to do with it.
pub(super) enum NamedFile<'b> {
    New(&'b str),
    AtTheEndOf(&'b str),
}

pub(super) fn named_file(block: &Block) -> Option<NamedFile<'_>> {
    let first = block.text.lines().next().filter(|_| block.language == "toml")?;
    let name = first.strip_prefix("# ")?;
    match name.strip_prefix("at the end of ") {
        Some(name) => Some(NamedFile::AtTheEndOf(name)),
        None => (name.starts_with("my-crons/") && name.ends_with(".toml")).then_some(NamedFile::New(name)),
    }
}

fn write_file(script: &mut String, file: NamedFile<'_>, block: &Block) {
    let redirection = match file {
        NamedFile::New(name) => format!(">{name}"),
        NamedFile::AtTheEndOf(name) => format!(">>{name}"),
    };
    let _ = writeln!(script, "cat {redirection} <<'TOML'\n{}TOML", block.text);
}

fn run(document: &Document, script: &str, server: &AgentServerOnPort) {
    let room = tempfile::Builder::new().prefix("agentcron-documents-").tempdir().unwrap();
    let in_front = room.path().join("bin/agentcron");
    std::fs::create_dir(room.path().join("bin")).unwrap();
    std::fs::write(&in_front, IN_FRONT).unwrap();
    std::fs::set_permissions(&in_front, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (listen, hook) = (free_address().to_string(), free_address().to_string());
    let server = server.address().to_string();
    let addresses = [("127.0.0.1:2024", &server), ("127.0.0.1:2025", &listen), ("127.0.0.1:2026", &hook)];
    let script = addresses.iter().fold(script.to_owned(), |script, (from, to)| script.replace(from, to));
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(room.path())
        .env_remove("AGENTCRON_CONFIG")
        .env_remove("AGENTCRON_LOG")
        .envs([("ROOM", room.path()), ("AGENTCRON", Path::new(env!("CARGO_BIN_EXE_agentcron")))])
        .envs([("SERVER", &server), ("LISTEN", &listen), ("HOOK", &hook)])
        .envs([("NO_COLOR", "1"), ("TZ", "UTC"), ("HOOK_TOKEN", "a-token-of-the-test")])
        .env("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .env("PATH", path_with(&room.path().join("bin")))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{stdout}\n{stderr}", document.path.display(), output.status);
}

fn path_with(first: &Path) -> std::ffi::OsString {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from(first)).chain(std::env::split_paths(&others));
    std::env::join_paths(folders).unwrap()
}
