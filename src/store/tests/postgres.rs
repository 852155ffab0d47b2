//! The tests of the store once more, on PostgreSQL.

use std::process::Command;

use super::shell::SERVER;

#[path = "../../../tests/it/support/postgres.rs"]
mod server;
#[path = "../../../tests/it/support/skipped.rs"]
mod skipped;

use skipped::skipped;

/// Tests of files, and of how SQLite finds rows.
const OF_SQLITE: [&str; 15] = [
    "store::tests::opening",
    "store::tests::backups",
    "store::swap",
    "a_full_disk_is_waited_out_and_nothing_is_lost",
    "the_queries_of_every_second_use_indexes",
    "the_queries_of_every_pass_use_indexes",
    "a_walk_takes_an_index_in_its_order",
    "no_first_page_scans_or_sorts_the_history",
    "drawings_read_by_an_index",
    "a_claim_neither_sorts_nor_scans",
    "no_page_scans_the_history",
    "what_is_looked_at_every_few_seconds_is_found_by_indexes",
    "every_table_about_crons_is_known_here",
    // It changes the numbers of rows.
    "a_refused_trigger_leaves_no_act_and_old_acts_make_room",
    "a_pause_that_was_set_and_lifted_while_no_daemon_ran_says_what_becomes_of_what_was_due_then",
];

#[test]
fn the_tests_of_the_store_pass_on_postgres() {
    if std::env::var_os(SERVER).is_some() {
        return;
    }
    let Some(server) = server::Postgres::start().unwrap() else {
        return skipped("the store on PostgreSQL, because its server is not installed (Debian: postgresql)");
    };
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.arg("store::").env(SERVER, server.url());
    for name in OF_SQLITE {
        tests.args(["--skip", name]);
    }
    let ran = tests.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert!(said.matches(" ... ok").count() > 100, "hardly any of them ran: {said}");
}
