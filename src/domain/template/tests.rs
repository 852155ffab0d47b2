//! Finding and filling placeholders, and no panic on any input.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn check(text: &str, expected: Expect) {
    let found = match placeholders(text) {
        Ok(found) => found
            .iter()
            .map(|placeholder| format!("{:?} {:?}\n", placeholder.range, placeholder.source()))
            .collect(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&found);
}

fn shout(name: &str) -> Result<String, String> {
    if name == "env.UNSET" { Err(format!("{name} is unset")) } else { Ok(format!("<{name}>")) }
}

#[test]
fn every_kind_of_name_is_found() {
    check("no placeholder, $ {{ }} ${ }", expect![""]);
    check(
        "a ${{ env.A }} ${{credential.b-c}}${{ run.id }}",
        expect![[r#"
            2..14 Ok(Environment("A"))
            15..34 Ok(Credential("b-c"))
            34..47 Ok(Firing(RunId))
        "#]],
    );
    check(
        "${{ run.Id }}${{ env. }}",
        expect![[r#"
            0..13 Err(UnknownName { name: "run.Id" })
            13..24 Err(UnknownName { name: "env." })
        "#]],
    );
}

#[test]
fn what_is_not_a_template_is_an_error() {
    check("a ${{ env.A }", expect!["`${{` without `}}`"]);
    check("${{ }}", expect!["`${{ … }}` holds no name: letters, digits, `_`, `-` and `.` are allowed"]);
    check(
        "${{ env.A ${{ env.B }}",
        expect!["`${{ … }}` holds no name: letters, digits, `_`, `-` and `.` are allowed"],
    );
    check(&"${{a}}".repeat(PLACEHOLDERS_MAX + 1), expect!["more than 1000 placeholders in one text"]);
}

#[test]
fn a_text_is_filled_once() {
    assert_eq!(fill("a ${{ env.A }}!", &shout), Ok("a <env.A>!".to_owned()));
    let nested = |_: &str| Ok::<_, String>("${{ env.B }}".to_owned());
    assert_eq!(fill("${{ env.A }}", &nested), Ok("${{ env.B }}".to_owned()));
    assert_eq!(fill("${{ env.UNSET }}", &shout), Err(FillError::Lookup("env.UNSET is unset".to_owned())));
    let long = |_: &str| Ok::<_, String>("x".repeat(1 << 20));
    assert_eq!(fill(&"${{ env.A }}".repeat(5), &long), Err(FillError::TooLong));
}

#[test]
fn a_value_is_filled_to_its_leaves_and_no_deeper_than_the_bound() {
    let value = json!({"a": ["${{ run.id }}", 1, null], "${{ k }}": {"b": "x"}});
    assert_eq!(fill_value(&value, &shout), Ok(json!({"a": ["<run.id>", 1, null], "${{ k }}": {"b": "x"}})));
    let deep = (0..DEPTH_MAX + 1).fold(json!("x"), |inner, _| json!([inner]));
    assert_eq!(fill_value(&deep, &shout), Err(FillError::TooDeep));
}

proptest! {
    #[test]
    fn any_text_is_found_or_refused(text in "(\\$\\{\\{|\\}\\}|[a-z. $ü{}]|\\PC){0,40}") {
        if let Ok(found) = placeholders(&text) {
            prop_assert!(found.iter().all(|placeholder| text[placeholder.range.clone()].contains(placeholder.name)));
            prop_assert!(fill(&text, &|_| Ok::<_, String>(String::new())).is_ok());
        }
    }
}

#[test]
fn an_escaped_url_has_no_placeholder_and_is_still_the_same_url() {
    for url in [
        "https://h/${{ env.TOKEN }}",
        "https://h/x?a=${{env.A}}&b=${{ cron.name }}",
        "https://h/${{",
        "https://h/x",
    ] {
        let escaped = escaped(url);
        assert!(!is_template(&escaped) && placeholders(&escaped).unwrap().is_empty(), "{escaped}");
        assert_eq!(escaped.replace("%7B", "{"), url);
    }
}
