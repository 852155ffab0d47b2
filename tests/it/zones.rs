//! Time zones as a machine has them: files that are replaced while the daemon runs, and a clock that is set.

use std::path::Path;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::support::daemon::Daemon;

const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

fn config(crons: &str) -> String {
    format!(
        "[backend]\nurl = \"http://127.0.0.1:9\"\n[store]\npath = \"agentcron.db\"\n\
         [http]\nlisten = \"off\"\nsocket = \"{{folder}}/socket\"\n{crons}"
    )
}

/// Puts a zone file with this offset from UTC in place, as a package manager does.
fn replace_zone(path: &Path, hours: i8) {
    let block = |version: u8| {
        let mut block = b"TZif".to_vec();
        block.push(version);
        block.extend([0; 15]);
        // No leap seconds and no transitions, but one type of local time with an abbreviation of four bytes.
        block.extend([0_u32, 0, 0, 0, 1, 4].iter().flat_map(|count| count.to_be_bytes()));
        block.extend((i32::from(hours) * 3600).to_be_bytes());
        block.extend([0, 0]);
        block.extend(b"LCL\0");
        block
    };
    let mut file = [block(b'2'), block(b'2')].concat();
    file.extend(format!("\nLCL{}\n", -hours).bytes());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = path.with_extension("new");
    std::fs::write(&new, file).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_zone_file_that_is_replaced_is_taken_up_at_a_reload() {
    let due = Timestamp::from_second(now().as_second() + 3).unwrap();
    let local = Offset::constant(2).to_datetime(due);
    let (minute, hour, second) = (local.minute(), local.hour(), local.second());
    let crons = format!(
        "[cron.local]\nschedule = \"{minute} {hour} * * * {second}\"\ntimezone = \"Europe/Berlin\"\n\
         assistant_id = \"agent\"\n"
    );
    let mut daemon = Daemon::prepare(&config(&crons));
    let zones = daemon.folder().join("zones");
    replace_zone(&zones.join("Europe/Berlin"), 1);
    daemon.start_with(&[("TZDIR", zones.to_str().unwrap())]);
    daemon.wait_for_stderr("daemon ready").await;
    let next = |daemon: &Daemon| daemon.json(&["list"])[0]["next_at"].as_str().unwrap().parse::<Timestamp>();
    assert_eq!(next(&daemon).unwrap(), due + SignedDuration::from_hours(1));

    replace_zone(&zones.join("Europe/Berlin"), 2);
    daemon.signal("HUP");
    daemon.wait_for_stderr("zone database or program changed").await;
    daemon.wait_until("the run at the new time", || !daemon.json(&["history"]).is_empty()).await;
    let run = &daemon.json(&["history"])[0];
    assert_eq!(run["scheduled_for"].as_str().unwrap().parse::<Timestamp>().unwrap(), due);
    assert_eq!(next(&daemon).unwrap(), due + SignedDuration::from_hours(24));

    // The rules change while no daemon runs; and then they do not.
    daemon.terminate();
    daemon.wait_for_exit().await;
    replace_zone(&zones.join("Europe/Berlin"), 3);
    for (hours, starts_at_new_rules) in [(23, 1), (23, 0)] {
        let changes = |daemon: &Daemon| daemon.stderr().matches("zone database or program changed").count();
        let before = changes(&daemon);
        daemon.start_with(&[("TZDIR", zones.to_str().unwrap())]);
        let expected = due + SignedDuration::from_hours(hours);
        daemon.wait_until("the plan", || planned(&daemon) == Some(expected)).await;
        assert_eq!(changes(&daemon) - before, starts_at_new_rules);
        daemon.terminate();
        daemon.wait_for_exit().await;
    }
}

/// Returns when the daemon plans its only cron next, as it is stored.
fn planned(daemon: &Daemon) -> Option<Timestamp> {
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    let next: Option<i64> = database.query_row("SELECT next_at FROM crons", [], |row| row.get(0)).unwrap();
    next.and_then(|millis| Timestamp::from_millisecond(millis).ok())
}

/// The simulation sets a clock of ours; here it is the clock of a real process.
#[tokio::test]
async fn a_real_clock_that_is_set_back_by_minutes_silences_nothing() {
    let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
        eprintln!("left out: libfaketime is not installed, so the clock of a process cannot be set");
        return;
    };
    let crons = "[cron.tick]\nschedule = \"* * * * * *\"\nassistant_id = \"agent\"\noverlap = \"allow\"\n";
    let mut daemon = Daemon::prepare(&config(crons));
    let offset = daemon.folder().join("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    daemon.start_with(&[
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_CACHE_DURATION", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ]);
    daemon.wait_for_stderr("daemon ready").await;
    daemon.wait_until("a first run", || !daemon.json(&["history"]).is_empty()).await;
    let began = now();
    std::fs::write(&offset, "-2400\n").unwrap();
    daemon.wait_for_stderr("clock stepped").await;
    let is_early = |run: &serde_json::Value| {
        run["scheduled_for"].as_str().unwrap().parse::<Timestamp>().unwrap()
            < began - SignedDuration::from_mins(30)
    };
    daemon.wait_until("a run by the new clock", || daemon.json(&["history"]).iter().any(is_early)).await;
    let status = &daemon.json(&["status"])[0];
    let detail = status["notices"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("-39m") || detail.starts_with("-40m"), "{detail}");
}

#[expect(clippy::disallowed_methods, reason = "the test arranges what the process will see")]
fn now() -> Timestamp {
    Timestamp::now()
}
