//! Tables at the widths that people have.

use expect_test::{Expect, expect};

use super::*;

const SHAPE: Shape = Shape {
    columns: &["cron", "late", "status", "reason"],
    usual: &[12, 6, 8, 30],
    shrink: &[Shrink::Omit("late"), Shrink::Below("reason")],
};

fn rows() -> Rows {
    let mut rows = Rows::new(&SHAPE);
    rows.push(["digest", "4 ms", "success", ""].map(str::to_owned).to_vec());
    rows.push(
        ["inbox-triage", "1.2 s", "error", "backend answered 500\nand a page of HTML"]
            .map(str::to_owned)
            .to_vec(),
    );
    rows
}

fn room(width: usize) -> Room {
    Room { width, lines: 2 }
}

#[expect(clippy::needless_pass_by_value, reason = "expect! makes a value")]
fn check_rows(rows: Rows, room: Room, expected: Expect) {
    let lines = rows.arrange(room, &mut None, str::to_owned);
    assert!(lines.iter().all(|line| line.chars().count() <= room.width), "wider than {room:?}: {lines:?}");
    expected.assert_eq(&lines.join("\n"));
}

fn check(width: usize, expected: Expect) {
    check_rows(rows(), room(width), expected);
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
fn a_long_cell_is_wrapped_in_its_column() {
    check(
        62,
        expect![[r#"
        CRON          LATE   STATUS   REASON
        digest        4 ms   success
        inbox-triage  1.2 s  error    backend answered 500 and a page
                                      of HTML"#]],
    );
    check_rows(
        rows(),
        Room { width: 62, lines: 1 },
        expect![[r#"
        CRON          LATE   STATUS   REASON
        digest        4 ms   success
        inbox-triage  1.2 s  error    backend answered 500 and a page…"#]],
    );
}

#[test]
fn a_narrow_table_leaves_columns_out_and_puts_others_below() {
    check(
        54,
        expect![[r#"
        CRON          STATUS   REASON
        digest        success
        inbox-triage  error    backend answered 500 and a page
                               of HTML"#]],
    );
    check(
        40,
        expect![[r#"
        CRON          STATUS
        digest        success
        inbox-triage  error
            backend answered 500 and a page of
            HTML"#]],
    );
}

#[test]
fn on_a_very_narrow_terminal_every_column_shrinks() {
    check(
        18,
        expect![[r#"
        CRON       STATUS
        digest     success
        inbox-tri  error
        age
            backend
            answered 500…"#]],
    );
}

#[test]
fn the_columns_depend_on_the_width_and_not_on_the_cells() {
    for name in ["a", "a-name-that-is-longer-than-the-line-could-ever-be-and-still-goes-on"] {
        let mut rows = Rows::new(&SHAPE);
        rows.push([name, "4 ms", "success", "fine"].map(str::to_owned).to_vec());
        let lines = rows.arrange(room(54), &mut None, str::to_owned);
        let header: Vec<&str> = lines[0].split_whitespace().collect();
        assert_eq!(header, ["CRON", "STATUS", "REASON"]);
        assert!(lines[1].contains("success") && lines[1].contains("fine"), "{lines:?}");
    }
}

#[test]
fn the_options_choose_the_columns_or_show_all_of_them() {
    let with = |columns: &[&str], wide| {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        rows().with_options(&TableOptions { columns, wide })
    };
    check_rows(
        with(&["Status", "cron"], false).unwrap(),
        room(40),
        expect![[r#"
        STATUS   CRON
        success  digest
        error    inbox-triage"#]],
    );
    let lines = with(&[], true).unwrap().arrange(room(20), &mut None, str::to_owned);
    assert_eq!(lines[2], "inbox-triage  1.2 s  error    backend answered 500 and a page of HTML");
    let unknown = with(&["nam"], false).err().map(|failure| failure.to_string());
    assert_eq!(unknown.as_deref(), Some("--columns: `nam` is not one of cron, late, status, reason"));
}

#[test]
fn later_rows_are_aligned_with_the_first() {
    let mut layout = None;
    let mut lines = rows().arrange(room(100), &mut layout, str::to_owned);
    lines.extend(rows().arrange(room(100), &mut layout, str::to_owned));
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[1..3], lines[3..5]);
}

#[test]
fn colours_take_no_room() {
    const PAINTED: Shape = Shape { columns: &["status", "reason"], usual: &[8, 30], shrink: &[] };
    let mut painted = Rows::new(&PAINTED);
    painted.push(vec!["\u{1b}[32msuccess\u{1b}[0m".to_owned(), "fine".to_owned()]);
    let lines = painted.arrange(room(40), &mut None, str::to_owned);
    assert_eq!(lines.last().map(String::as_str), Some("\u{1b}[32msuccess\u{1b}[0m  fine"));
}

#[test]
fn a_header_names_the_zone_of_its_times() {
    const NEXT: Shape = Shape { columns: &["next", "cron"], usual: &[19, 16], shrink: &[] };
    let mut rows = Rows::new(&NEXT).in_zone("next", &TimeZone::UTC);
    rows.push(vec!["2026-03-29 09:00:00".to_owned(), "digest".to_owned()]);
    let lines = rows.arrange(room(100), &mut None, str::to_owned);
    assert_eq!(lines, ["NEXT (UTC)           CRON", "2026-03-29 09:00:00  digest"]);
}
