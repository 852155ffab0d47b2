//! What the drawings of a cron are made of, and the listing beside which they stand.

use super::*;
use crate::domain::cron_state::ListedState;
use crate::domain::ids::DefinitionId;
use crate::store::outages::LASTING_BETWEEN;

#[test]
fn drawings_read_by_an_index() {
    let store = Fixture::new();
    for (sql, search) in [
        (marks::last_sql(), "SEARCH runs USING INDEX sqlite_autoindex_runs_2 (cron_id=?)"),
        (
            marks::between_sql(),
            "SEARCH runs USING INDEX sqlite_autoindex_runs_2 (cron_id=? AND scheduled_for>? AND scheduled_for<?)",
        ),
        (
            marks::before_sql(),
            "SEARCH runs USING INDEX sqlite_autoindex_runs_2 (cron_id=? AND scheduled_for<?)",
        ),
        (strip::ENDED_ON_DAY.to_owned(), "SEARCH cron_days USING PRIMARY KEY (day=? AND cron_id=?)"),
        (LASTING_BETWEEN.to_owned(), "SEARCH outages USING INDEX outages_by_time (since<?)"),
        (
            CronListing { state: Some(ListedState::Failing), ..CronListing::default() }
                .query(None, false, 50)
                .0,
            "SCAN crons USING INDEX crons_by_name",
        ),
    ] {
        let plan = store.writer.plan(&sql);
        assert_eq!(plan.first().map(String::as_str), Some(search), "{sql}");
        let sorts_all = plan.iter().any(|line| line == "USE TEMP B-TREE FOR ORDER BY");
        assert!(!sorts_all, "{sql}: {plan:?}");
    }
}

#[test]
fn the_last_marks_of_each_cron_are_the_newest_ones() {
    let store = Fixture::new();
    let other = CronId::of_name(InstallationId::default(), "other");
    for at in [100, 300, 200] {
        store.add_run(at);
    }
    store.end_run(RunId::of_occurrence(store.cron_id, at(200), FIRST_RUN), Status::Error);
    let found = store.reader.last_marks(&[store.cron_id, other], 2).unwrap();
    let marks: Vec<_> = found[&store.cron_id].iter().map(|mark| (mark.scheduled_for, mark.word())).collect();
    assert_eq!(marks, [(at(300), "pending"), (at(200), "error")]);
    assert_eq!(found[&other], []);
}

#[test]
fn marks_between_two_instants_have_what_lasts_until_then_unless_they_are_too_many() {
    let store = Fixture::new();
    for at in [100, 200, 300, 400] {
        store.add_run(at);
    }
    for (between, limit, expected, is_cut) in [
        ((150, 400), 9, &[300, 200, 100][..], false),
        ((150, 401), 9, &[400, 300, 200, 100], false),
        ((100, 400), 9, &[300, 200, 100], false),
        ((0, 900), 2, &[400, 300], true),
        ((500, 900), 2, &[400], false),
    ] {
        let between = (at(between.0), at(between.1));
        let found = store.reader.marks_between(store.cron_id, between, limit).unwrap();
        let times: Vec<_> = found.marks.iter().map(|mark| mark.scheduled_for.as_millisecond()).collect();
        assert_eq!((times.as_slice(), found.is_cut), (expected, is_cut), "{between:?}");
    }
}

#[test]
fn days_and_outages_are_counted_once_and_only_those_asked_for() {
    let store = Fixture::new();
    let row = |day: i64, status: &str, daemon: i64, occurrences: i64| {
        let cron_id = store.cron_id;
        let sql = format!(
            "INSERT INTO cron_days VALUES ({day}, '{cron_id}', '{status}', '', -1, {daemon}, 0, {occurrences}, 0)"
        );
        store.writer.run(&sql);
    };
    for (day, status, daemon, occurrences) in [
        (5, "success", 1, 3),
        (5, "success", 2, 4),
        // A correction takes one of them back.
        (5, "missed", 1, 1),
        (5, "missed", 0, -1),
        (6, "error", 1, 2),
        (7, "error", 1, 9),
    ] {
        row(day, status, daemon, occurrences);
    }
    let days = store.reader.ended_by_day(store.cron_id, 4, 6).unwrap();
    assert_eq!(days, [(5, Status::Success, 7), (6, Status::Error, 2)]);

    let sql =
        "INSERT INTO outages (what, subject, since, until, why) VALUES ('backend', '', ?1, ?2, 'refused')";
    for (since, until) in [(100, Some(200)), (300, Some(400)), (500, None)] {
        store.writer.execute(sql, (since, until));
    }
    for (between, limit, expected) in
        [((150, 600), 9, &[500, 300, 100][..]), ((250, 500), 9, &[300]), ((0, 900), 1, &[500])]
    {
        let found = store.reader.outages_between((at(between.0), at(between.1)), limit).unwrap();
        let since: Vec<_> = found.iter().map(|outage| outage.since.as_millisecond()).collect();
        assert_eq!(since, expected, "{between:?}");
    }
}

/// Adds crons besides `digest`: each with its next time, its failures in a row, whether it is paused and whether it is enabled.
fn add_crons(store: &Fixture) {
    for (name, next_at, failures, paused_at, enabled) in [
        ("a", Some(900), 0, None, 1),
        ("b", Some(700), 4, None, 1),
        ("c", None, 0, None, 0),
        ("d", Some(800), 9, Some(5), 1),
    ] {
        let cron_id = CronId::of_name(InstallationId::default(), name);
        let sql = r#"INSERT INTO definitions VALUES (?1, ?1, '{"schedule": "0 9 * * *"}', 0)"#;
        store.writer.execute(sql, [cron_id.to_string()]);
        let cause = paused_at.map(|_| "request");
        let sql = "INSERT INTO crons (cron_id, name, source, definition_id, cursor, next_at, failures, paused_at, pause_cause, \
                   enabled, created_at, updated_at) VALUES (?1, ?2, 'file', ?1, 0, ?3, ?4, ?5, ?6, ?7, 0, 0)";
        let values = (cron_id.to_string(), name, next_at, failures, paused_at, cause, enabled);
        store.writer.execute(sql, values);
    }
    let (definition_id, digest) = (DefinitionId::default().to_string(), store.cron_id.to_string());
    let sql = "INSERT INTO definitions SELECT ?1, cron_id, body, 0 FROM definitions WHERE cron_id = ?2";
    store.writer.execute(sql, (&definition_id, &digest));
    let sql = "UPDATE crons SET next_at = 800, definition_id = ?1 WHERE cron_id = ?2";
    store.writer.execute(sql, (&definition_id, &digest));
}

#[test]
fn crons_are_listed_in_every_order_by_pages_that_go_on_where_the_last_one_ended() {
    let store = Fixture::new();
    add_crons(&store);
    for (order, state, expected) in [
        (ListedBy::Name, None, "a b c d digest"),
        (ListedBy::Next, None, "b d digest a c"),
        (ListedBy::Failures, None, "d b a c digest"),
        (ListedBy::Name, Some(ListedState::Failing), "b d"),
        (ListedBy::Name, Some(ListedState::Paused), "d"),
        (ListedBy::Name, Some(ListedState::Disabled), "c"),
        (ListedBy::Next, Some(ListedState::Active), "b digest a"),
    ] {
        let filter = CronListing { order, state, ..CronListing::default() };
        let names = store.reader.listed_names(&filter, 99, at(50)).unwrap();
        assert_eq!(names.join(" "), expected, "{filter:?}");
        let (mut paged, mut cursor): (Vec<String>, Option<CronCursor>) = (Vec::new(), None);
        loop {
            let page = store.reader.crons_after(&filter, cursor.as_ref(), 2, at(50)).unwrap();
            let Some((last, _)) = page.last() else { break };
            // As the next request brings it.
            cursor = Some(last.to_string().parse().unwrap());
            paged.extend(page.into_iter().map(|(_, row)| row.name));
        }
        assert_eq!(paged, names, "{filter:?}");
    }
    let named = CronListing { name: Some("ig".to_owned()), ..CronListing::default() };
    assert_eq!(store.reader.listed_names(&named, 99, at(50)).unwrap(), ["digest"]);
}
