//! Parts of documents that are written from the code: between `<!-- NAME -->` and `<!-- end -->`.

use super::markdown::Document;
use super::root;

const END: &str = "<!-- end -->";

/// Returns a table in Markdown.
pub(super) fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    [line(&head), rule].into_iter().chain(rows.map(|row| line(&row))).collect()
}

/// Demands that the page has exactly these parts among those whose name begins with `prefix`, each with this text; with
/// `UPDATE_DOCUMENTS=1` writes them.
pub(super) fn assert_up_to_date(page: &str, prefix: &str, parts: Vec<(String, String)>) {
    let mut text = Document::read(page.as_ref()).text;
    let openings =
        text.lines().filter(|line| line.starts_with(&format!("<!-- {}", prefix.trim_end()))).count();
    assert_eq!(openings, parts.len(), "{page}: parts whose name begins with `{prefix}`");
    for (name, expected) in &parts {
        let opening = format!("<!-- {} -->\n", name.trim_end());
        let (before, rest) = text.split_once(&opening).unwrap_or_else(|| panic!("{page} has no {opening}"));
        let (found, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page}: {opening} has no {END}"));
        let expected = format!("\n{expected}\n");
        if !is_update() {
            let how = "UPDATE_DOCUMENTS=1 cargo test --test it documents";
            assert!(
                found == expected,
                "{page}: {name} is out of date; write it anew with\n  {how}\n{expected}"
            );
        }
        text = format!("{before}{opening}{expected}{END}{after}");
    }
    if is_update() {
        std::fs::write(root().join(page), text).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch of the test")]
fn is_update() -> bool {
    std::env::var("UPDATE_DOCUMENTS").is_ok_and(|value| value == "1")
}
