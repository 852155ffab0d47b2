//! The disk is full, on a real small file system: what is known is told, also of a daemon that ended or began meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::skipped::skipped;
use super::support::span::now;

const PATIENCE: Duration = Duration::from_secs(60);

/// A file system of three megabytes, which is there as long as this.
struct Disk(PathBuf);

impl Disk {
    /// Returns `None` if this user may not mount anything.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            failed => {
                skipped(&format!("a full disk: no file system can be mounted here: {failed:?}"));
                None
            }
        }
    }

    fn fill(&self) {
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut filler, &[7; 1024]).is_ok() {}
    }

    /// Leaves this many bytes free.
    fn fill_up_to(&self, free: u64) {
        self.fill();
        let filler = fs::File::options().write(true).open(self.0.join("filler")).unwrap();
        filler.set_len(filler.metadata().unwrap().len() - free).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A daemon whose database is on a small disk. The disk is dropped after it.
fn on_small_disk() -> Option<(Daemon, Disk)> {
    let configuration = Configuration::new("http://127.0.0.1:9")
        .cron(Cron::bare("often").with("schedule = \"* * * * * *\"\ncatchup = \"all\""));
    let daemon = Daemon::prepare(&configuration.to_string().replace("/agentcron.db", "/disk/agentcron.db"));
    let disk = Disk::mount(daemon.folder().join("disk"))?;
    Some((daemon, disk))
}

fn status(daemon: &Daemon) -> Value {
    daemon.json(&["status"]).remove(0)
}

/// Waits until the worst that status says is about this, and returns it.
async fn wait_for_worst(daemon: &Daemon, what: &str) -> Value {
    let worst = || Some(status(daemon)).filter(|status| status["attention"][0]["what"] == what);
    daemon.wait_within(PATIENCE, &format!("{what} to be the worst"), worst).await
}

fn code(daemon: &Daemon, arguments: &[&str]) -> Option<i32> {
    daemon.run_command(arguments).status.code()
}

/// Returns the outages of this kind.
fn outages(daemon: &Daemon, what: &str) -> Vec<Value> {
    let mut outages = daemon.json(&["outages"]);
    outages.retain(|outage| outage["what"] == what);
    outages
}

async fn wait_for_disk_to_be_well(daemon: &Daemon) {
    let is_well = || {
        let attention = status(daemon)["attention"].as_array().unwrap().clone();
        attention.iter().all(|one| one["what"] != "disk" && one["what"] != "daemon")
    };
    daemon.wait_until("the disk to be well", is_well).await;
}

#[tokio::test]
async fn a_daemon_that_ended_on_a_full_disk_left_word_of_it() {
    for killed in [true, false] {
        let Some((mut daemon, disk)) = on_small_disk() else { return };
        daemon.write_config(&format!(
            "shutdown_grace = \"1s\"\n{}",
            fs::read_to_string(daemon.config_path()).unwrap()
        ));
        daemon.start_again();
        daemon.wait_for_stderr("daemon ready").await;
        disk.fill();
        let full = wait_for_worst(&daemon, "disk").await;
        assert_eq!((code(&daemon, &["health"]), code(&daemon, &["health", "--alive"])), (Some(5), Some(0)));
        // Signs of life go on while nothing can be committed.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let ended_at = now();
        if killed {
            daemon.kill9();
        } else {
            daemon.terminate();
            assert_eq!(daemon.wait_for_exit().await.code(), Some(0));
        }
        let check = |daemon: &Daemon, is_over: bool| {
            let (disks, down) = (outages(daemon, "disk"), outages(daemon, "daemon"));
            let [disk, down] = [&disks, &down].map(|found| found[0].clone());
            assert_eq!((disks.len(), down["until"].is_null()), (1, !is_over), "{disks:?} {down}");
            assert_eq!((&disk["since"], &disk["until"]), (&full["attention"][0]["since"], &down["since"]));
            let why = down["why"].as_str().unwrap();
            assert!(why.contains(if killed { "killed" } else { "was stopped" }), "{why}");
            let since: jiff::Timestamp = down["since"].as_str().unwrap().parse().unwrap();
            let off = since.duration_since(ended_at).as_millis().abs();
            assert!(off < 2500, "{since} is {off} ms from {ended_at}");
        };
        check(&daemon, false);
        disk.make_room();
        daemon.start_again();
        wait_for_disk_to_be_well(&daemon).await;
        check(&daemon, true);
        daemon.kill9();
    }
}

#[tokio::test]
async fn a_daemon_that_is_started_on_a_full_disk_says_so_and_begins_once_there_is_room() {
    for killed in [true, false] {
        let Some((mut daemon, disk)) = on_small_disk() else { return };
        daemon.start_again();
        daemon.wait_for_stderr("daemon ready").await;
        // Without the files that SQLite keeps beside a database in use, not even a reader can be let in.
        if killed {
            daemon.kill9();
        } else {
            daemon.terminate();
            daemon.wait_for_exit().await;
        }
        disk.fill();
        daemon.start_again();
        let full = wait_for_worst(&daemon, "disk").await;
        let (started_at, pid) = (&full["daemon"]["started_at"], &full["daemon"]["pid"]);
        assert_eq!((started_at, pid.as_u64()), (&Value::Null, daemon.process_id().map(u64::from)), "{full}");
        assert_eq!((code(&daemon, &["health"]), code(&daemon, &["health", "--alive"])), (Some(5), Some(0)));
        daemon.assert_alive();
        disk.make_room();
        wait_for_disk_to_be_well(&daemon).await;
        assert!(status(&daemon)["daemon"]["started_at"].is_string());
        let [disk_full, down] = ["disk", "daemon"].map(|what| outages(&daemon, what).pop().unwrap());
        assert!(disk_full["until"].is_string() && down["until"].is_string(), "{disk_full} {down}");
        daemon.kill9();
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_told_before_nothing_can_be_recorded() {
    let Some((mut daemon, disk)) = on_small_disk() else { return };
    daemon.start_again();
    daemon.wait_for_stderr("daemon ready").await;
    let is_low = || {
        let status = status(&daemon);
        status["attention"].as_array().unwrap().iter().find(|one| one["what"] == "disk_low").cloned()
    };
    assert_eq!(is_low(), None);
    disk.fill_up_to(100 << 10);
    let found = daemon.wait_within(PATIENCE, "status to say that it is nearly full", is_low).await;
    assert!(found["text"].as_str().unwrap().contains("KiB of 3 MiB are free"), "{found}");
    assert_eq!(code(&daemon, &["health"]), Some(5));
    disk.make_room();
    daemon.wait_until("status to say no more of it", || is_low().is_none()).await;
}
