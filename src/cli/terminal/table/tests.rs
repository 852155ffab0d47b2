//! Tables at the widths that people have.

use expect_test::{Expect, expect};

use super::*;

fn rows() -> Rows {
    let mut rows = Rows::new(&["cron", "late", "status", "reason"], "reason", &["late"]);
    rows.push(["digest", "4 ms", "success", ""].map(str::to_owned).to_vec());
    rows.push(
        ["inbox-triage", "1.2 s", "error", "backend answered 500\nand a page of HTML"]
            .map(str::to_owned)
            .to_vec(),
    );
    rows
}

fn check(width: usize, expected: Expect) {
    let lines = rows().arrange(width, &mut None, str::to_owned);
    assert!(lines.iter().all(|line| line.chars().count() <= width), "wider than {width}: {lines:?}");
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn a_wide_table_shows_everything() {
    check(
        100,
        expect![[r#"
        CRON          LATE   STATUS   REASON
        digest        4 ms   success
        inbox-triage  1.2 s  error    backend answered 500 and a page of HTML"#]],
    );
}

#[test]
fn the_elastic_column_is_cut_where_the_line_ends() {
    check(
        50,
        expect![[r#"
        CRON          LATE   STATUS   REASON
        digest        4 ms   success
        inbox-triage  1.2 s  error    backend answered 50…"#]],
    );
}

#[test]
fn a_narrow_table_leaves_out_dispensable_columns() {
    check(
        40,
        expect![[r#"
        CRON          STATUS   REASON
        digest        success
        inbox-triage  error    backend answered…"#]],
    );
}

#[test]
fn on_a_very_narrow_terminal_every_column_shrinks() {
    check(
        24,
        expect![[r#"
        CRON       STATUS   REA…
        digest     success
        inbox-tr…  error    bac…"#]],
    );
}

#[test]
fn later_rows_are_aligned_with_the_first() {
    let mut layout = None;
    let mut lines = rows().arrange(100, &mut layout, str::to_owned);
    lines.extend(rows().arrange(100, &mut layout, str::to_owned));
    let expected = expect![[r#"
        CRON          LATE   STATUS   REASON
        digest        4 ms   success
        inbox-triage  1.2 s  error    backend answered 500 and a page of HTML
        digest        4 ms   success
        inbox-triage  1.2 s  error    backend answered 500 and a page of HTML"#]];
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn colours_take_no_room() {
    let mut painted = Rows::new(&["status", "reason"], "reason", &[]);
    painted.push(vec!["\u{1b}[32msuccess\u{1b}[0m".to_owned(), "fine".to_owned()]);
    let lines = painted.arrange(40, &mut None, str::to_owned);
    assert_eq!(lines.last().map(String::as_str), Some("\u{1b}[32msuccess\u{1b}[0m  fine"));
}

#[test]
fn a_header_names_the_zone_of_its_times() {
    let mut rows = Rows::new(&["next", "cron"], "cron", &[]).in_zone("next", &TimeZone::UTC);
    rows.push(vec!["2026-03-29 09:00:00".to_owned(), "digest".to_owned()]);
    let lines = rows.arrange(100, &mut None, str::to_owned);
    assert_eq!(lines, ["NEXT (UTC)           CRON", "2026-03-29 09:00:00  digest"]);
}
