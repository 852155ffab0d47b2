//! What must be true at the end of every scenario, judged by three independent records: the calendar (a step
//! of seconds), the agent server's ledger, and what the receivers got.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agentcron::backend::embedded::{LedgerEntry, RunStatus};
use agentcron::domain::ids::InstallationId;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;

use super::Scenario;
use crate::support::final_checks::assert_nothing_left_over;

/// The seconds of each minute that the calendars name.
const CALENDARS: [(&str, &[i64]); 4] =
    [("stateless", &[0, 20, 40]), ("waits", &[7, 37]), ("streams", &[11]), ("asks", &[0])];

/// What happened in the scenarios, to see that something did.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) scenarios: u64,
    pub(super) occurrences: u64,
    pub(super) started: u64,
    pub(super) adopted: u64,
    pub(super) ruled_out: u64,
    pub(super) crashes: u64,
    pub(super) failovers: u64,
    /// What was said about runs by somebody who did not hold them.
    pub(super) refused: u64,
    pub(super) delivered: u64,
    pub(super) delivered_again: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.scenarios += 1;
        self.occurrences += other.occurrences;
        self.started += other.started;
        self.adopted += other.adopted;
        self.ruled_out += other.ruled_out;
        self.crashes += other.crashes;
        self.failovers += other.failovers;
        self.refused += other.refused;
        self.delivered += other.delivered;
        self.delivered_again += other.delivered_again;
    }
}

/// A row of the history.
pub(super) struct Row {
    run_id: String,
    cron_name: String,
    scheduled_for: i64,
    /// Which run of its occurrence it is.
    retry: i64,
    last_scheduled_for: i64,
    occurrences: i64,
    phase: String,
    status: Option<String>,
    reason: Option<String>,
    start_before: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    reason_code: Option<String>,
    sent_at: Option<i64>,
    /// Of the definition.
    version: Option<i64>,
}

/// I7: nothing is left to be done.
pub(super) fn has_ended(folder: &Path) -> bool {
    let database = Connection::open(folder.join("agentcron.db")).unwrap();
    let owed = "SELECT (SELECT count(*) FROM runs WHERE phase <> 'ended') \
                + (SELECT count(*) FROM deliveries WHERE status IN ('pending', 'sending'))";
    count(&database, owed) == 0
}

pub(super) fn judge(scenario: &Scenario<'_>, start: Timestamp, crashes: u64) -> Tally {
    let database = Connection::open(scenario.folder.join("agentcron.db")).unwrap();
    let rows = rows(&database);
    every_occurrence_is_accounted_for(&rows, start);
    let mut tally = judge_runs(scenario, &database, &rows);
    tally.crashes = crashes;
    tally
}

/// Judges a scenario whose clock was set back: each instant of the seconds that a daemon has seen has a record. Runs of the
/// time before a step may stand among those of the time after it.
pub(super) fn judge_set_back(scenario: &Scenario<'_>, seen: &BTreeSet<i64>, crashes: u64) -> Tally {
    let database = Connection::open(scenario.folder.join("agentcron.db")).unwrap();
    let rows = rows(&database);
    // What a death undid right before the last step may still lie ahead.
    let end = scenario.clock.now().min("2026-03-02T08:15:00Z".parse().unwrap());
    for (name, seconds) in CALENDARS {
        let of_cron: Vec<&Row> = rows.iter().filter(|row| row.cron_name == name).collect();
        let has_record = |at: i64| {
            of_cron.iter().any(|row| (row.scheduled_for..=row.last_scheduled_for).contains(&(at * 1000)))
        };
        let mut expected = seen.range(..end.as_second());
        let left_out = expected.find(|at| seconds.contains(&at.rem_euclid(60)) && !has_record(**at));
        assert_eq!(left_out, None, "{name}: this instant has no record");
    }
    let mut tally = judge_runs(scenario, &database, &rows);
    tally.crashes = crashes;
    tally
}

/// Judges what must hold for any calendar.
pub(super) fn judge_runs(scenario: &Scenario<'_>, database: &Connection, rows: &[Row]) -> Tally {
    let ledger = ledger(scenario);
    let mut tally = Tally::default();
    for row in rows {
        tally.occurrences += u64::try_from(row.occurrences).unwrap();
        assert_eq!(row.phase, "ended", "{} {} has not ended: {:?}", row.cron_name, row.run_id, row.reason);
        let entries = ledger.get(&row.run_id);
        tally.started += the_record_is_the_servers_truth(scenario, row, entries);
        a_retry_follows_a_failure(scenario, row, rows);
        what_was_missed_was_due_while_no_daemon_lived(scenario, row);
        entries.into_iter().flatten().for_each(|entry| it_was_sent_as_the_file_had_it(scenario, row, entry));
    }
    runs_of_one_cron_never_overlap(database, &ledger, rows);
    for run_id in ledger.keys() {
        assert!(rows.iter().any(|row| row.run_id == *run_id), "the server ran {run_id}, we have no record");
    }
    deliveries(scenario, database, rows, &mut tally);
    assert_nothing_left_over(database);
    assert_eq!(
        count(database, "SELECT count(*) FROM notices WHERE kind = 'store_copy'"),
        0,
        "there is no copy"
    );
    tally.failovers = count(database, "SELECT timeline FROM installation");
    tally.adopted = count(database, "SELECT count(*) FROM run_events WHERE event = 'adopted'");
    tally.ruled_out = count(database, "SELECT count(*) FROM run_events WHERE event = 'ruled_out'");
    tally
}

/// I1: the rows of a cron, put end to end, name every instant of its calendar exactly once.
fn every_occurrence_is_accounted_for(rows: &[Row], start: Timestamp) {
    for (name, seconds) in CALENDARS {
        let of_cron: Vec<&Row> = rows.iter().filter(|row| row.cron_name == name && row.retry == 0).collect();
        let last = of_cron.iter().map(|row| row.last_scheduled_for).max().unwrap();
        let mut expected: Vec<i64> = (start.as_second() + 1..=last / 1000)
            .filter(|second| seconds.contains(&second.rem_euclid(60)))
            .map(|second| second * 1000)
            .collect();
        for row in of_cron {
            let before = expected.len();
            expected.retain(|at| *at < row.scheduled_for || *at > row.last_scheduled_for);
            let covered = i64::try_from(before - expected.len()).unwrap();
            assert_eq!(covered, row.occurrences, "{name} at {}: covers {covered}", row.scheduled_for);
        }
        assert_eq!(expected, Vec::<i64>::new(), "{name}: these instants have no record");
    }
}

/// Returns the runs that the server accepted, by our run id, without fences.
fn ledger(scenario: &Scenario<'_>) -> BTreeMap<String, Vec<LedgerEntry>> {
    let mut by_run: BTreeMap<String, Vec<LedgerEntry>> = BTreeMap::new();
    for entry in scenario.server.ledger() {
        if entry.metadata.contains_key("agentcron_fence") {
            continue;
        }
        let run_id = entry.metadata["agentcron_run_id"].as_str().unwrap().to_owned();
        assert_eq!(entry.metadata["agentcron_installation_id"], InstallationId::default().to_string());
        by_run.entry(run_id).or_default().push(entry);
    }
    by_run
}

/// I2, I3, I5: at most one real run, never before its time, and recorded as what it was.
fn the_record_is_the_servers_truth(
    scenario: &Scenario<'_>,
    row: &Row,
    entries: Option<&Vec<LedgerEntry>>,
) -> u64 {
    let what = format!("{} {} ({:?}: {:?})", row.cron_name, row.run_id, row.status, row.reason);
    let status = row.status.as_deref().unwrap();
    let Some(entries) = entries else {
        let never_ran = matches!(status, "missed" | "skipped") || row.is_too_late();
        assert!(never_ran, "{what}: the server never saw it");
        return 0;
    };
    assert_eq!(entries.len(), 1, "{what}: started {} times", entries.len());
    let entry = &entries[0];
    // A request that was on its way when the clock was set back arrives before its time.
    let is_early = scenario.clock_is_steady && entry.created_at.as_millisecond() < row.scheduled_for;
    assert!(!is_early, "{what}: before its time");
    assert!(row.started_at.is_some() && row.started_at <= row.ended_at, "{what}: times");
    let expected = match (row.cron_name.as_str(), entry.status) {
        ("asks", _) => "interrupted",
        (_, RunStatus::Success) => "success",
        (_, RunStatus::Error) => "error",
        (_, other) => panic!("{what}: the server left it {other:?}"),
    };
    assert_eq!(status, expected, "{what}");
    1
}

/// I9: an exclusive run starts only after the one before it has ended on the server.
fn runs_of_one_cron_never_overlap(
    database: &Connection,
    ledger: &BTreeMap<String, Vec<LedgerEntry>>,
    rows: &[Row],
) {
    let exclusive: Vec<String> = {
        let sql = "SELECT DISTINCT run_id FROM runs WHERE exclusive = 1";
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut latest: BTreeMap<&str, &LedgerEntry> = BTreeMap::new();
    let mut ran: Vec<_> = rows
        .iter()
        .filter(|row| exclusive.contains(&row.run_id))
        .flat_map(|row| ledger.get(&row.run_id).into_iter().flatten().map(move |entry| (row, entry)))
        .collect();
    ran.sort_by_key(|(_, entry)| entry.created_at);
    for (row, entry) in ran {
        if let Some(before) = latest.insert(&row.cron_name, entry) {
            let what = format!("{} {}", row.cron_name, row.run_id);
            assert!(entry.created_at >= before.updated_at, "{what} overlaps: {before:?} {entry:?}");
        }
    }
}

/// I10: an outage says nothing about a graph that works.
pub(super) fn nothing_was_paused(database: &Connection) {
    let paused = "SELECT (SELECT count(*) FROM crons WHERE paused_at IS NOT NULL) \
                  + (SELECT count(*) FROM runs WHERE reason_code = 'paused')";
    assert_eq!(count(database, paused), 0, "a cron paused itself");
}

/// I11: where nothing breaks, a run that may start does, if a daemon lives shortly before its start deadline.
pub(super) fn nothing_waited_in_vain(database: &Connection, lives: &[(Timestamp, Timestamp)]) {
    let sql =
        "SELECT cron_name || ' ' || run_id, start_before FROM runs WHERE reason_code = 'start_deadline'";
    let mut statement = database.prepare(sql).unwrap();
    let late = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
    for (what, start_before) in late.map(Result::unwrap) {
        let missed = |(from, to): &(Timestamp, Timestamp)| {
            from.as_millisecond() + 5_000 < start_before && to.as_millisecond() > start_before
        };
        assert!(!lives.iter().any(missed), "{what}: not started before {start_before}");
    }
}

/// I12: where nothing breaks, an occurrence is skipped only for a run that was going on the server.
pub(super) fn every_overlap_was_one(scenario: &Scenario<'_>, rows: &[Row]) {
    let ledger = ledger(scenario);
    for row in rows.iter().filter(|row| row.reason_code.as_deref() == Some("overlap")) {
        let what = format!("{} at {:?}: {:?}", row.cron_name, row.ended_at, row.reason);
        let named = row.reason.as_deref().and_then(|reason| reason.split(' ').nth(1)).unwrap();
        let entry = ledger.get(named).unwrap_or_else(|| panic!("{what}: it never ran"));
        // Its end is learnt at once.
        assert!(entry[0].updated_at.as_millisecond() + 1_000 >= row.ended_at.unwrap(), "{what}: {entry:?}");
    }
}

/// How long it may take to notice that the agent server is away, or back.
const NOTICED_WITHIN: i64 = 6_000;

/// I14: where nothing else breaks, what did not run because the agent server was away says so, and nothing else does.
/// Returns how often what was the reason.
pub(super) fn backend_outages_are_told(
    scenario: &Scenario<'_>,
    rows: &[Row],
    outages: &[(Timestamp, Timestamp)],
) -> BTreeMap<String, u64> {
    let lives = scenario.lives.borrow();
    let millis = |at: &Timestamp| at.as_millisecond();
    // A daemon that has just started has to find out first.
    let is_known_at = |at: i64| {
        outages.iter().any(|(since, until)| {
            let life = lives.iter().find(|(from, to)| millis(from) <= at && at <= millis(to));
            life.is_some_and(|(from, _)| {
                millis(since).max(millis(from)) + NOTICED_WITHIN < at && at < millis(until)
            })
        })
    };
    // An outage counts from the beginning of the first call that was not answered, and the server is asked every five seconds.
    let may_be_at = |at: i64| {
        outages.iter().any(|(since, until)| {
            millis(since) - NOTICED_WITHIN <= at && at <= millis(until) + NOTICED_WITHIN
        })
    };
    let mut by_reason = BTreeMap::new();
    for row in rows {
        let what = format!("{} {} at {}: {:?}", row.cron_name, row.run_id, row.scheduled_for, row.reason);
        let status = row.status.as_deref().unwrap();
        let (at, reason) = match (status, row.code()) {
            ("skipped", code @ ("overlap" | "queue_full")) => (row.ended_at.unwrap(), code.to_owned()),
            ("skipped", "backend_away") => (row.ended_at.unwrap(), "skipped by backend_away".to_owned()),
            ("error", "backend_away") => (row.start_before, "error by backend_away".to_owned()),
            ("error", "start_deadline") => (row.start_before, "start_deadline".to_owned()),
            (_, code) => {
                *by_reason.entry(code.to_owned()).or_insert(0) += 1;
                continue;
            }
        };
        match row.code() {
            "backend_away" => {
                assert!(may_be_at(at), "{what}: it was not away at {at}; {outages:?} {lives:?}")
            }
            _ => assert!(!is_known_at(at), "{what}: it was away"),
        }
        *by_reason.entry(reason).or_insert(0) += 1;
    }
    by_reason
}

/// I15: an occurrence is missed because no daemon lived, and within one such time.
fn what_was_missed_was_due_while_no_daemon_lived(scenario: &Scenario<'_>, row: &Row) {
    if row.status.as_deref() != Some("missed") || !scenario.clock_is_steady {
        return;
    }
    let what = format!("{} at {}: {:?}", row.cron_name, row.scheduled_for, row.reason);
    // An edit may make too late what was found in time.
    if scenario.edits.is_some() && row.code().starts_with("catchup_") {
        return;
    }
    assert_eq!(row.code(), "daemon_down", "{what}");
    let (first, last) = (row.scheduled_for, row.last_scheduled_for);
    for (from, to) in
        scenario.lives.borrow().iter().map(|(from, to)| (from.as_millisecond(), to.as_millisecond()))
    {
        // A daemon that dies while it starts, or before it has committed what is due, leaves no sign of life after that.
        let was_awake = from + 1_000 < last && first + 1_000 < to;
        assert!(!was_awake, "{what}: a daemon lived from {from} to {to}");
    }
}

/// I8: what was sent is what the file had when it was sent, and the record shows that definition.
fn it_was_sent_as_the_file_had_it(scenario: &Scenario<'_>, row: &Row, entry: &LedgerEntry) {
    let Some(sent) = entry.input["version"].as_i64() else { return };
    let what = format!("{} {}", row.cron_name, row.run_id);
    assert_eq!(row.version, Some(sent), "{what}: the record shows another definition");
    let versions = scenario.versions.lock().unwrap();
    let at = versions.iter().filter(|since| since.as_millisecond() <= row.sent_at.unwrap()).count();
    assert_eq!(sent + 1, i64::try_from(at).unwrap(), "{what}: no file had this definition");
}

/// I13: a retry starts once the run before it has failed.
fn a_retry_follows_a_failure(scenario: &Scenario<'_>, row: &Row, rows: &[Row]) {
    if row.retry == 0 {
        return;
    }
    let what = format!("{} {} retry {}", row.cron_name, row.run_id, row.retry);
    let before = rows.iter().find(|other| row.is_of_same_occurrence(other) && other.retry + 1 == row.retry);
    let before = before.unwrap_or_else(|| panic!("{what}: there is no run before it"));
    assert!(
        matches!(before.status.as_deref(), Some("error" | "timeout")),
        "{what}: it was {:?}",
        before.status
    );
    let is_early = scenario.clock_is_steady && row.started_at.is_some_and(|at| Some(at) < before.ended_at);
    assert!(!is_early, "{what}: started before the run before it had ended");
}

impl Row {
    fn is_of_same_occurrence(&self, other: &Row) -> bool {
        (&self.cron_name, self.scheduled_for) == (&other.cron_name, other.scheduled_for)
    }

    /// Whether its own end tells something about its occurrence.
    fn took_place(&self) -> bool {
        let never_ran = matches!(self.status.as_deref(), Some("missed" | "skipped"));
        let expired = self.retry > 0 && self.is_too_late();
        !never_ran && !expired
    }

    /// Whether it still waited to be sent at its start deadline.
    fn is_too_late(&self) -> bool {
        let codes = ["start_deadline", "backend_away", "daemon_down", "disk_full"];
        self.status.as_deref() == Some("error") && codes.contains(&self.code())
    }

    fn code(&self) -> &str {
        self.reason_code.as_deref().unwrap_or_default()
    }
}

/// I4: one delivery for each outcome of an occurrence, delivered at least once, under one id, with the same bytes.
fn deliveries(scenario: &Scenario<'_>, database: &Connection, rows: &[Row], tally: &mut Tally) {
    let arrived = scenario.arrived.lock().unwrap();
    for row in rows {
        let of_run: u64 =
            count(database, &format!("SELECT count(*) FROM deliveries WHERE run_id = '{}'", row.run_id));
        let later = |other: &Row| row.is_of_same_occurrence(other) && other.retry > row.retry;
        let is_followed = rows.iter().any(|other| later(other) && other.took_place());
        let notifies = row.took_place() && !is_followed;
        assert_eq!(of_run, u64::from(notifies), "{} {}: deliveries", row.cron_name, row.run_id);
        let bodies = arrived.get(&format!("msg_{}", row.run_id));
        assert_eq!(bodies.is_some(), notifies, "{} {}: arrival", row.cron_name, row.run_id);
        let Some(bodies) = bodies else { continue };
        // An end that was lost is recorded anew, with another time.
        let is_same = |body: &Bytes| match scenario.store_goes_back {
            true => status_in(body) == status_in(&bodies[0]),
            false => body == &bodies[0],
        };
        assert!(bodies.iter().all(is_same), "{}: another body", row.run_id);
        tally.delivered += 1;
        tally.delivered_again += bodies.len() as u64 - 1;
    }
    let left = count(database, "SELECT count(*) FROM deliveries WHERE status <> 'delivered'");
    assert_eq!(left, 0, "deliveries that are not delivered");
}

fn status_in(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["metadata"]["agentcron_status"].as_str().unwrap().to_owned()
}

fn count(database: &Connection, sql: &str) -> u64 {
    database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

pub(super) fn rows(database: &Connection) -> Vec<Row> {
    let sql = "SELECT run_id, cron_name, scheduled_for, retry, coalesce(last_scheduled_for, scheduled_for), occurrences, \
               phase, status, reason, started_at, ended_at, reason_code, sent_at, \
               json_extract(body, '$.input.version'), start_before FROM runs JOIN definitions USING (definition_id) \
               ORDER BY scheduled_for";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Row {
            run_id: row.get(0)?,
            cron_name: row.get(1)?,
            scheduled_for: row.get(2)?,
            retry: row.get(3)?,
            last_scheduled_for: row.get(4)?,
            occurrences: row.get(5)?,
            phase: row.get(6)?,
            status: row.get(7)?,
            reason: row.get(8)?,
            started_at: row.get(9)?,
            ended_at: row.get(10)?,
            reason_code: row.get(11)?,
            sent_at: row.get(12)?,
            version: row.get(13)?,
            start_before: row.get(14)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}
