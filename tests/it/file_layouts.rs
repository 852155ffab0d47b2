//! Files in the ways that people deploy them: whatever changes, the daemon takes it up within half a minute.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::skipped::skipped;

/// Half a minute, and as much again for a busy machine.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// One way to deploy a file with a cron. The names are relative to the daemon's folder.
struct Layout {
    name: &'static str,
    /// What the main file includes.
    include: &'static str,
    /// A command that runs the daemon, whose command line is added to it.
    under: &'static [&'static str],
    /// Deploys the cron `before`.
    prepare: fn(&Path),
    /// Deploys the cron `after` in its place.
    change: fn(&Path),
}

const LAYOUTS: &[Layout] = &[
    Layout {
        name: "Capistrano: a link to the release, two levels above the file",
        include: "srv/current/config/crons.toml",
        under: &[],
        prepare: |folder| {
            write(folder, "srv/releases/1/config/crons.toml", "before");
            write(folder, "srv/releases/2/config/crons.toml", "after");
            link(folder, "releases/1", "srv/current");
        },
        change: |folder| link(folder, "releases/2", "srv/current"),
    },
    Layout {
        name: "NixOS: a link into a folder that is a link into the store",
        include: "etc/agentcron/*.toml",
        under: &[],
        prepare: |folder| {
            write(folder, "store/1/crons.toml", "before");
            write(folder, "store/2/crons.toml", "after");
            fs::create_dir_all(folder.join("etc/agentcron")).unwrap();
            link(folder, "../store/1", "etc/static");
            link(folder, "../static/crons.toml", "etc/agentcron/crons.toml");
        },
        change: |folder| link(folder, "../store/2", "etc/static"),
    },
    Layout {
        name: "Kubernetes: links through ..data, and the old folder is deleted",
        include: "etc/*.toml",
        under: &[],
        prepare: |folder| {
            write(folder, "etc/..1/crons.toml", "before");
            link(folder, "..1", "etc/..data");
            link(folder, "..data/crons.toml", "etc/crons.toml");
        },
        change: |folder| {
            write(folder, "etc/..2/crons.toml", "after");
            link(folder, "..2", "etc/..data");
            fs::remove_dir_all(folder.join("etc/..1")).unwrap();
        },
    },
    Layout {
        name: "Docker: a bind mount of one file, written on the host's side",
        include: "etc/crons.toml",
        under: &[
            "unshare",
            "--mount",
            "sh",
            "-c",
            "mount --bind host/crons.toml etc/crons.toml && exec \"$@\"",
            "sh",
        ],
        prepare: |folder| {
            write(folder, "host/crons.toml", "before");
            write(folder, "etc/crons.toml", "covered");
        },
        change: |folder| write(folder, "host/crons.toml", "after"),
    },
    Layout {
        name: "a writer that never closes the file",
        include: "crons.toml",
        under: &[],
        prepare: |folder| write(folder, "crons.toml", "before"),
        change: |folder| {
            let mut file =
                fs::File::options().write(true).truncate(true).open(folder.join("crons.toml")).unwrap();
            std::io::Write::write_all(&mut file, cron("after").as_bytes()).unwrap();
            std::mem::forget(file);
        },
    },
    Layout {
        name: "a deploy tool that grants the permission last",
        include: "crons.d/*.toml",
        under: &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        prepare: |folder| {
            chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
            write(folder, "crons.d/a.toml", "before");
        },
        change: |folder| {
            let new = folder.join("crons.d/new");
            fs::write(&new, cron("after")).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
            fs::rename(&new, folder.join("crons.d/a.toml")).unwrap();
            // The daemon has seen and refused it by then.
            std::thread::sleep(Duration::from_secs(2));
            fs::set_permissions(folder.join("crons.d/a.toml"), fs::Permissions::from_mode(0o644)).unwrap();
        },
    },
    Layout {
        name: "a folder that is renamed away and comes back",
        include: "crons.d/*.toml",
        under: &[],
        prepare: |folder| write(folder, "crons.d/a.toml", "before"),
        change: |folder| {
            fs::rename(folder.join("crons.d"), folder.join("away")).unwrap();
            std::thread::sleep(Duration::from_secs(2));
            write(folder, "away/a.toml", "after");
            fs::rename(folder.join("away"), folder.join("crons.d")).unwrap();
        },
    },
    Layout {
        name: "new files with an ending of their own",
        include: "crons.d/*.cron",
        under: &[],
        prepare: |folder| write(folder, "crons.d/a.cron", "before"),
        change: |folder| {
            write(folder, "crons.d/b.cron", "after");
            fs::remove_file(folder.join("crons.d/a.cron")).unwrap();
        },
    },
];

fn cron(name: &str) -> String {
    Cron::bare(name).with("schedule = \"0 0 1 1 *\"").to_string()
}

fn write(folder: &Path, file: &str, name: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, cron(name)).unwrap();
}

/// Makes a link, or replaces it as deployments do.
fn link(folder: &Path, target: &str, name: &str) {
    let (new, link) = (folder.join("new-link"), folder.join(name));
    symlink(target, &new).unwrap();
    fs::rename(&new, &link).unwrap();
}

/// Returns why this machine cannot show the layout.
fn impossible(layout: &Layout) -> Option<String> {
    let (program, rest) = layout.under.split_first()?;
    let mut command = Command::new(program);
    let check: &[&str] = match *program {
        "unshare" => &["--mount", "mount", "--bind", "/proc", "/proc"],
        _ => rest,
    };
    if *program == "setpriv" {
        command.args(check).arg(env!("CARGO_BIN_EXE_agentcron")).arg("--version");
    } else {
        command.args(check);
    }
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("{program}: {error}")),
    }
}

async fn take_up(layout: &Layout, server: &AgentServerOnPort) -> Result<(), String> {
    if let Some(reason) = impossible(layout) {
        skipped(&format!("{}: {reason}", layout.name));
        return Ok(());
    }
    let configuration = Configuration::new(&server.url()).top(&format!("include = [\"{}\"]", layout.include));
    let main = Cron::bare("main").with("schedule = \"0 0 1 1 *\"");
    let mut daemon = Daemon::prepare(&configuration.cron(main));
    (layout.prepare)(daemon.folder());
    daemon.start_under(layout.under);
    daemon.wait_for_stderr("ready").await;
    let crons = |daemon: &Daemon| -> Vec<String> {
        daemon.json(&["list"]).iter().map(|cron| cron["cron_name"].as_str().unwrap().to_owned()).collect()
    };
    let found = crons(&daemon);
    if found != ["before", "main"] {
        return Err(format!("{}: began with {found:?}", layout.name));
    }
    // The daemon reads files that are new at its start once more; the change must not be found by that.
    tokio::time::sleep(Duration::from_secs(2)).await;
    (layout.change)(daemon.folder());
    let what = format!("{}: the cron `after`", layout.name);
    let taken_up = || (crons(&daemon) == ["after", "main"]).then_some(());
    daemon.wait_within(TAKEN_UP_WITHIN, &what, taken_up).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_change_is_taken_up_however_the_files_are_deployed() {
    let server = AgentServerOnPort::start();
    let failed: Vec<String> = join_all(LAYOUTS.iter().map(|layout| take_up(layout, &server)))
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
