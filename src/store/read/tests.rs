//! The read models on a small store, and the indexes that keep them quick on a large one.

mod drawings;
mod page;

use proptest::prelude::*;
use tempfile::TempDir;

use super::history::LOOKUPS_MAX;
use super::*;
use crate::domain::ids::{CronId, FIRST_RUN, InstallationId};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Trigger};
use crate::store::Execution;
use crate::store::tests::{Shell, open_store, reader, shell};

/// A store with one cron named `digest`, which `writer` changes as a daemon would.
struct Fixture {
    _folder: TempDir,
    writer: Shell,
    reader: Reader,
    cron_id: CronId,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        drop(open_store(folder.path(), Execution::Inline));
        let writer = shell(folder.path());
        let cron_id = CronId::of_name(InstallationId::default(), "digest");
        writer.run(&format!(
            r#"INSERT INTO definitions VALUES ('d', '{cron_id}', '{{"schedule": "0 9 * * *"}}', 0);
                   INSERT INTO crons (cron_id, name, source, definition_id, cursor, created_at, updated_at)
                   VALUES ('{cron_id}', 'digest', 'file', 'd', 0, 0, 0);"#
        ));
        let reader = reader(folder.path());
        Self { _folder: folder, writer, reader, cron_id }
    }

    /// Adds a pending run that is scheduled for this millisecond.
    fn add_run(&self, scheduled_for: i64) -> RunId {
        let run_id = RunId::of_occurrence(self.cron_id, at(scheduled_for), FIRST_RUN);
        let definition_id = "6d1d94c4-7b0f-5f0a-9c3e-61c20b7a2d11";
        self.writer
            .run(&format!(
                "INSERT INTO definitions VALUES ('{definition_id}', '{cron}', '{{}}', 0) ON CONFLICT DO NOTHING;
                 INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at,
                     start_before, exclusive, phase, start_number, act_at)
                 VALUES ('{run_id}', '{cron}', 'digest', 'file', '{definition_id}', 'schedule', {scheduled_for},
                     {scheduled_for}, {scheduled_for}, 1, 'pending', 1, 0);",
                cron = self.cron_id,
            ));
        run_id
    }

    /// Adds a run at this millisecond to a new cron, since many crons can be due at one time.
    fn add_run_of_any(&self, scheduled_for: i64) -> RunId {
        let run_id = self.add_run(scheduled_for);
        let other = CronId(uuid::Uuid::new_v4());
        let moved = RunId::of_occurrence(other, at(scheduled_for), FIRST_RUN);
        let cron = format!(
            "INSERT INTO definitions VALUES ('{other}', '{other}', '{{}}', 0); \
             INSERT INTO crons (cron_id, name, source, definition_id, cursor, created_at, updated_at) \
             VALUES ('{other}', 'any', 'file', '{other}', 0, 0, 0); \
             UPDATE runs SET run_id = '{moved}', cron_id = '{other}', definition_id = '{other}' \
             WHERE run_id = '{run_id}'"
        );
        self.writer.run(&cron);
        moved
    }

    fn end_run(&self, run_id: RunId, status: Status) {
        let sql = "UPDATE runs SET phase = 'ended', status = ?2, ended_at = scheduled_for, act_at = NULL WHERE run_id = ?1";
        self.writer.execute(sql, (run_id.to_string(), status.as_str()));
    }

    fn add_delivery(&self, run_id: RunId, status: DeliveryStatus) {
        let delivery_id = DeliveryId::of_run(run_id, "http://a/");
        let sql = "INSERT INTO deliveries (delivery_id, run_id, url, receiver, body, status, created_at) \
                   VALUES (?1, ?2, 'http://a/', 'http://a/', CAST('' AS BLOB), ?3, (SELECT scheduled_for FROM runs WHERE run_id = ?2)) \
                   ON CONFLICT (delivery_id) DO UPDATE SET status = excluded.status";
        self.writer.execute(sql, (delivery_id.to_string(), run_id.to_string(), status.as_str()));
    }

    /// Returns the times of the runs that the filter selects, read in pages of two.
    fn listed(&self, filter: &RunFilter, mut cursor: Option<PageCursor>) -> Vec<i64> {
        let mut times = Vec::new();
        loop {
            let page = self.reader.runs_after(filter, cursor, 2).unwrap();
            let Some((last, _)) = page.last() else { return times };
            cursor = Some(*last);
            times.extend(page.iter().map(|(_, row)| row.run.scheduled_for.as_millisecond()));
        }
    }
}

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

#[test]
fn runs_are_listed_by_time_and_not_in_the_order_of_their_insertion() {
    let store = Fixture::new();
    for scheduled_for in [300, 100, 500, 200, 400] {
        store.add_run(scheduled_for);
    }
    let all = RunFilter::default();
    assert_eq!(store.listed(&all, None), [100, 200, 300, 400, 500]);
    let cursor = store.reader.cursor_before_last(&all, 2).unwrap();
    assert_eq!(store.listed(&all, cursor), [400, 500]);
    assert_eq!(store.reader.cursor_before_last(&all, 5).unwrap(), None);
    let middle = RunFilter { since: Some(at(200)), until: Some(at(400)), ..RunFilter::default() };
    assert_eq!(store.listed(&middle, None), [200, 300]);
}

/// A walk through the pages of a history into which runs are inserted between two pages.
#[derive(Clone, Debug)]
struct Walk {
    there: Vec<i64>,
    inserted: Vec<Vec<i64>>,
    limit: u32,
}

fn walks() -> impl Strategy<Value = Walk> {
    let instants = || proptest::collection::vec(0_i64..40, 0..6);
    (proptest::collection::vec(0_i64..40, 1..30), proptest::collection::vec(instants(), 12), 1_u32..6)
        .prop_map(|(there, inserted, limit)| Walk { there, inserted, limit })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn pages_show_every_run_once_although_others_are_inserted_meanwhile(walk in walks()) {
        let store = Fixture::new();
        let mut there: Vec<RunId> = walk.there.iter().map(|at| store.add_run_of_any(*at)).collect();
        let (mut seen, mut cursor, mut inserted) = (Vec::new(), None, walk.inserted.into_iter());
        loop {
            // In its text form, as a client sends it back.
            let named = cursor.map(|cursor: PageCursor| cursor.to_string().parse().unwrap());
            let page = store.reader.runs_before(&RunFilter::default(), named, walk.limit).unwrap();
            let Some((last, _)) = page.last() else { break };
            cursor = Some(*last);
            seen.extend(page.iter().map(|(_, row)| (row.run.scheduled_for, row.run.run_id)));
            for at in inserted.next().unwrap_or_default() {
                store.add_run_of_any(at);
            }
        }
        prop_assert!(seen.is_sorted_by(|earlier, later| earlier.0 >= later.0), "{seen:?}");
        let mut ids: Vec<RunId> = seen.iter().map(|(_, run_id)| *run_id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), all, "no run is shown twice");
        there.retain(|run_id| ids.binary_search(run_id).is_err());
        prop_assert!(there.is_empty(), "left out: {:?}", there);
    }
}

#[test]
fn a_filter_takes_either_a_status_or_a_phase() {
    let store = Fixture::new();
    for (scheduled_for, status) in [(1, Some(Status::Success)), (2, Some(Status::Error)), (3, None)] {
        let run_id = store.add_run(scheduled_for);
        if let Some(status) = status {
            store.end_run(run_id, status);
        }
    }
    let filter =
        RunFilter { statuses: vec![Status::Error], phases: vec![Phase::Pending], ..RunFilter::default() };
    assert_eq!(store.listed(&filter, None), [2, 3]);
    let rows = store.reader.runs_after(&RunFilter::default(), None, 9).unwrap();
    let taken = rows.iter().filter(|(_, row)| filter.takes(row)).count();
    assert_eq!(taken, 2, "the filter in memory agrees with the one in SQL");
    let others = RunFilter {
        crons: Some(vec![CronId::of_name(InstallationId::default(), "another")]),
        ..RunFilter::default()
    };
    assert_eq!(store.listed(&others, None), [0; 0]);
    assert_eq!(store.reader.crons_named("digest").unwrap(), [store.cron_id]);
}

#[test]
fn a_prefix_finds_its_runs() {
    let store = Fixture::new();
    let run_id = store.add_run(7);
    let text = run_id.to_string();
    for prefix in [&text[..4], &text[..9], &text, &text.to_uppercase()[..8]] {
        assert_eq!(store.reader.runs_with_prefix(prefix, 5).unwrap(), [run_id], "{prefix}");
    }
    assert!(store.reader.runs_with_prefix("zzzz", 5).unwrap().is_empty());
    assert_eq!(store.reader.run_details(run_id).unwrap().map(|details| details.row.run.run_id), Some(run_id));
    let unknown = RunId::of_occurrence(store.cron_id, at(8), FIRST_RUN);
    assert_eq!(store.reader.run_details(unknown).unwrap(), None);
}

#[test]
fn a_watch_reports_each_change_once() {
    let store = Fixture::new();
    let before = store.add_run(1);
    let mut watch = store.reader.watch(WatchUntil::WebhookEnded).unwrap();
    let mut changes = || -> Vec<(RunId, &'static str)> {
        let rows = store.reader.changes(&mut watch).unwrap();
        rows.iter().map(|row| (row.run.run_id, row.status_word())).collect()
    };
    assert_eq!(changes(), []);
    let after = store.add_run(2);
    assert_eq!(changes(), [(after, "pending")]);
    assert_eq!(changes(), []);
    store.end_run(before, Status::Success);
    store.end_run(after, Status::Error);
    store.add_delivery(after, DeliveryStatus::Pending);
    assert_eq!(changes(), [(before, "success"), (after, "error")]);
    store.add_delivery(after, DeliveryStatus::Delivered);
    assert_eq!(changes(), [(after, "error")], "its webhook is delivered now");
    store.add_delivery(after, DeliveryStatus::Failed);
    assert_eq!(changes(), [], "it is no longer watched");
}

#[test]
fn a_record_counts_as_many_occurrences_as_it_covers() {
    let store = Fixture::new();
    let missed = store.add_run(10);
    store.end_run(missed, Status::Missed);
    store.writer.execute("UPDATE runs SET occurrences = 40", ());
    store.add_run(20);
    store.add_delivery(missed, DeliveryStatus::Failed);
    let overview = store.reader.overview(at(5)).unwrap();
    assert_eq!(overview.ended, [(Status::Missed, 40)]);
    assert_eq!(overview.in_progress, [(Phase::Pending, 1)]);
    assert_eq!(overview.deliveries, [(DeliveryStatus::Failed, 1)]);
    let later = store.reader.overview(at(15)).unwrap();
    assert_eq!((later.ended, later.in_progress), (vec![], vec![(Phase::Pending, 1)]));
}

/// Each cron has a name, a definition, when it is planned, and whether it is paused.
type PlannedCron = (&'static str, &'static str, Option<i64>, bool);
type Next = Option<(i64, &'static str)>;

#[test]
fn what_comes_next_is_known_without_reading_every_definition() {
    let (daily, odd) = (r#"{"schedule": "0 9 * * *", "assistant_id": "a"}"#, r#"{"schedule": 7}"#);
    let off = r#"{"schedule": "0 9 * * *", "assistant_id": "a", "enabled": false}"#;
    let (now, nine) = (1_000_i64, 9 * 3_600_000);
    let cases: [(&[PlannedCron], Next, &str); 8] = [
        (&[], None, ""),
        (&[("a", daily, Some(nine), false)], Some((nine, "a")), "active"),
        (
            &[("b", daily, Some(nine), false), ("a", daily, Some(nine), false)],
            Some((nine, "a")),
            "active active",
        ),
        // Nothing is taken from a plan but the order: the definition says when.
        (&[("a", daily, Some(now + 1), false)], Some((nine, "a")), "active"),
        (&[("a", daily, Some(now), false), ("b", daily, Some(0), false)], Some((nine, "a")), "active active"),
        (&[("a", daily, Some(nine), true), ("b", off, None, false)], None, "paused disabled"),
        (&[("a", odd, None, false), ("b", daily, Some(nine), false)], Some((nine, "b")), "unreadable active"),
        // It is not due before another one, so nobody has to read it.
        (
            &[("a", daily, Some(nine), false), ("b", odd, Some(nine + 1), false)],
            Some((nine, "a")),
            "active active",
        ),
    ];
    for (crons, next, states) in cases {
        let store = Fixture::new();
        store.writer.run("DELETE FROM crons");
        for (name, body, next_at, is_paused) in crons {
            let cron_id = CronId::of_name(InstallationId::default(), name);
            let insert = "INSERT INTO definitions VALUES (?1, ?1, ?2, 0)";
            store.writer.execute(insert, (cron_id.to_string(), body));
            let insert = "INSERT INTO crons (cron_id, name, source, definition_id, enabled, cursor, next_at, paused_at, pause_cause, \
                          created_at, updated_at) VALUES (?1, ?2, 'file', ?1, ?5, 0, ?3, iif(?4 = 1, 1, NULL), iif(?4 = 1, 'request', NULL), 0, 0)";
            let is_enabled = *body != off;
            store.writer.execute(insert, (cron_id.to_string(), name, next_at, is_paused, is_enabled));
        }
        let read =
            || StatusSnapshot::read(&store.reader, Sharing::Alone, DaemonState::Stopped, at(now)).unwrap();
        let found = read();
        let expected = next.map(|(millis, name)| (at(millis), name.to_owned()));
        assert_eq!(found.next, expected, "{crons:?}");
        let words = |found: &StatusSnapshot| {
            let words = found
                .crons
                .iter()
                .map(|cron| cron.status.as_ref().map_or("unreadable", |status| status.as_str()));
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&found), states, "{crons:?}");
        // A plan by other rules of a zone says nothing.
        store.writer.execute("INSERT INTO zone_rules VALUES ('UTC', 'others')", ());
        let found = read();
        assert_eq!(found.next, expected, "{crons:?}");
        let can_be_read = crons.iter().all(|(_, body, ..)| *body != odd);
        assert_eq!(!words(&found).contains("unreadable"), can_be_read, "{crons:?}");
    }
}

/// One filter for each lookup of runs, and some that combine them.
fn run_filters(cron: CronId) -> Vec<RunFilter> {
    let any = RunFilter::default;
    let (crons, other) = (Some(vec![cron]), CronId::of_name(InstallationId::default(), "other"));
    vec![
        any(),
        RunFilter { since: Some(at(3)), until: Some(at(40)), ..any() },
        RunFilter { crons: crons.clone(), ..any() },
        RunFilter { crons: Some(vec![cron, other]), statuses: vec![Status::Error], ..any() },
        RunFilter { crons: Some(vec![]), ..any() },
        RunFilter { crons: Some(vec![cron; LOOKUPS_MAX + 1]), ..any() },
        RunFilter { statuses: vec![Status::Success], ..any() },
        RunFilter { statuses: vec![Status::Cancelled, Status::Success], ..any() },
        RunFilter { statuses: vec![Status::Cancelled, Status::Error], since: Some(at(9)), ..any() },
        RunFilter { statuses: vec![Status::Error], phases: vec![Phase::Pending], ..any() },
        RunFilter { phases: vec![Phase::Ended], ..any() },
        RunFilter { went_wrong: true, ..any() },
        RunFilter {
            went_wrong: true,
            statuses: vec![Status::Skipped],
            phases: vec![Phase::Running],
            ..any()
        },
        RunFilter { triggers: vec![Trigger::Manual, Trigger::Api], ..any() },
        RunFilter { triggers: vec![Trigger::Manual, Trigger::Schedule], ..any() },
        RunFilter { reasons: vec![ReasonCode::Lost, ReasonCode::DaemonDown], ..any() },
        RunFilter { reasons: vec![ReasonCode::Lost], crons, triggers: vec![Trigger::Manual], ..any() },
    ]
}

fn delivery_filters(run_id: RunId) -> Vec<DeliveryFilter> {
    use DeliveryStatus::{Blocked, Delivered, Failed, Pending, Sending};
    let any = DeliveryFilter::default;
    vec![
        any(),
        DeliveryFilter { since: Some(at(3)), until: Some(at(40)), ..any() },
        DeliveryFilter { cron: Some("digest".to_owned()), ..any() },
        DeliveryFilter { cron: Some("digest".to_owned()), statuses: vec![Failed], ..any() },
        DeliveryFilter { run_id: Some(run_id), ..any() },
        DeliveryFilter { statuses: vec![Delivered, Failed], ..any() },
        DeliveryFilter { statuses: vec![Pending, Sending, Failed, Blocked], ..any() },
        DeliveryFilter { statuses: vec![Failed], since: Some(at(9)), ..any() },
    ]
}

#[test]
fn each_lookup_finds_the_same_runs() {
    let store = Fixture::new();
    let (statuses, codes) = (Status::ALL, [ReasonCode::Lost, ReasonCode::DaemonDown, ReasonCode::Timeout]);
    let sql = "UPDATE runs SET trigger = ?2, reason_code = ?3, reason = 'why' WHERE run_id = ?1";
    for number in 0..60_u8 {
        let run_id = store.add_run(number.into());
        let of = usize::from(number);
        let code = codes.get(of % 4).map(|code| code.as_str());
        let trigger = Trigger::ALL[of % Trigger::ALL.len()];
        store.writer.execute(sql, (run_id.to_string(), trigger.as_str(), code));
        if let Some(status) = statuses.get(of % 8) {
            store.end_run(run_id, *status);
        }
    }
    let all = store.reader.runs_after(&RunFilter::default(), None, 100).unwrap();
    for filter in run_filters(store.cron_id) {
        let taken = all.iter().filter(|(_, row)| filter.takes(row));
        let taken: Vec<i64> = taken.map(|(_, row)| row.run.scheduled_for.as_millisecond()).collect();
        assert_eq!(store.listed(&filter, None), taken, "{filter:?}");
        let last = store.reader.runs_before(&filter, None, 3).unwrap();
        let last: Vec<_> = last.iter().map(|(_, row)| row.run.scheduled_for.as_millisecond()).collect();
        assert!(taken.iter().rev().take(3).eq(&last), "{filter:?}: {last:?}");
    }
}

#[test]
fn each_lookup_finds_the_same_webhooks() {
    let store = Fixture::new();
    let mut runs = Vec::new();
    for number in 0..40_u8 {
        let run_id = store.add_run_of_any(number.into());
        runs.push(run_id);
        store.add_delivery(run_id, DeliveryStatus::ALL[usize::from(number) % DeliveryStatus::ALL.len()]);
    }
    let due = "UPDATE deliveries SET due_at = 1 WHERE status = 'pending'; UPDATE crons SET name = 'digest' WHERE seq % 3 = 0; \
               UPDATE runs SET cron_name = (SELECT name FROM crons WHERE crons.cron_id = runs.cron_id)";
    store.writer.run(due);
    let all = store.reader.webhooks(&DeliveryFilter::default(), 100).unwrap();
    assert_eq!(all.len(), 40);
    for filter in delivery_filters(runs[8]) {
        let taken: Vec<_> = all
            .iter()
            .filter(|row| filter.statuses.is_empty() || filter.statuses.contains(&row.delivery.status))
            .filter(|row| filter.cron.is_none() || filter.cron == row.cron_name)
            .filter(|row| filter.run_id.is_none_or(|run_id| Some(run_id) == row.run_id))
            .filter(|row| filter.since.is_none_or(|since| row.delivery.created_at >= since))
            .filter(|row| filter.until.is_none_or(|until| row.delivery.created_at < until))
            .cloned()
            .collect();
        assert!(!taken.is_empty());
        assert_eq!(store.reader.webhooks(&filter, 100).unwrap(), taken, "{filter:?}");
        let (cursor, _) = store.reader.webhooks_before(&filter, None, 1).unwrap()[0];
        let before_last = store.reader.webhooks_before(&filter, Some(cursor), 100).unwrap();
        assert_eq!(before_last.len(), taken.len() - 1, "{filter:?}");
    }
}

#[test]
fn an_occurrence_counts_by_the_last_of_its_runs_that_took_place() {
    use Status::{Error, Missed, Skipped, Success};
    let running = None;
    for (runs, expected) in [
        (&[Some(Error), Some(Success)][..], &[(Success, 1)][..]),
        (&[Some(Success), Some(Error)], &[(Error, 1)]),
        (&[Some(Error), Some(Skipped)], &[(Error, 1)]),
        (&[Some(Error), Some(Error), Some(Missed)], &[(Error, 1)]),
        (&[Some(Missed), Some(Success)], &[(Success, 1)]),
        (&[Some(Error), running], &[]),
    ] {
        let store = Fixture::new();
        for (retry, status) in (0_i64..).zip(runs) {
            let run_id = store.add_run(100 + retry);
            if let Some(status) = status {
                store.end_run(run_id, *status);
            }
            let sql = "UPDATE runs SET retry = ?1, scheduled_for = 50 WHERE run_id = ?2";
            store.writer.execute(sql, (retry, run_id.to_string()));
        }
        assert_eq!(store.reader.overview(at(90)).unwrap().ended, expected, "{runs:?}");
    }
}

#[test]
fn no_first_page_scans_or_sorts_the_history() {
    let store = Fixture::new();
    let run_id = store.add_run(1);
    let mut queries: Vec<String> = Vec::new();
    for cursor in [None, Some(PageCursor { at: 5, row: 5 })] {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            queries.extend(run_filters(store.cron_id).iter().map(|filter| filter.query(order, cursor).0));
            queries.extend(delivery_filters(run_id).iter().map(|filter| filter.query(order, cursor).0));
        }
    }
    queries.extend([overview::ENDED, overview::DELIVERIES].map(str::to_owned));
    queries.push(format!("SELECT {} FROM runs WHERE seq = 1", row_columns()));
    queries.extend([details::of_occurrence(), details::EVENTS.to_owned(), details::ATTEMPTS.to_owned()]);
    let mut by_time = 0;
    for sql in queries {
        let plan = store.writer.plan(&sql);
        let tables = ["runs", "deliveries", "attempts", "run_events", "earlier", "later", "other"];
        let allowed = ["INDEX runs_in_progress", "INDEX deliveries_due", "_by_time"];
        let scans = plan.iter().find(|line| {
            let scanned = tables.iter().any(|table| line.split(' ').take(2).eq(["SCAN", *table]));
            scanned && !allowed.iter().any(|index| line.ends_with(index))
        });
        by_time += usize::from(sql.contains("_by_time WHERE true"));
        assert_eq!(scans, None, "{sql}: {plan:#?}");
        // What is in progress, what waits, the retries of a day and the webhooks of a run or a cron are few.
        let few = ["runs_in_progress", "deliveries_due", "runs_again", "run_id = ?", "CROSS JOIN"];
        let sorts = plan.iter().any(|line| line == "USE TEMP B-TREE FOR ORDER BY");
        assert!(!sorts || few.iter().any(|few| sql.contains(few)), "{sql}: {plan:#?}");
    }
    assert_eq!(by_time, 4 * (8 + 3), "only for what is usual");
    let by_prefix = "SELECT run_id FROM runs WHERE run_id >= 'a' AND run_id < 'ag' ORDER BY run_id LIMIT 5";
    let plan = store.writer.plan(by_prefix);
    assert!(plan[0].contains("(run_id>? AND run_id<?)"), "{plan:?}");
}
