//! Checks the documents against the program: what they tell you to type works, their links lead somewhere, and their
//! tables say what the code says.
//!
//! `UPDATE_DOCUMENTS=1 cargo test --test it documents` writes the generated tables anew.

mod api;
mod contrib;
mod examples;
mod generated;
mod keys;
mod links;
mod markdown;
mod schema;
mod shell;

use std::path::{Path, PathBuf};

use markdown::Document;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the documents for users, as paths from the root: the README and everything in `docs/`.
fn of_users() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let mut found: Vec<PathBuf> =
        folder.map(|entry| Path::new("docs").join(entry.unwrap().file_name())).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.push("README.md".into());
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}

/// Returns all documents, as paths from the root.
fn all() -> Vec<PathBuf> {
    let others = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    of_users().into_iter().chain(others.map(PathBuf::from)).collect()
}

#[test]
fn the_landing_page_and_the_architecture_page_stay_short() {
    for page in ["README.md", "docs/ARCHITECTURE.md"] {
        let lines = Document::read(Path::new(page)).text.lines().count();
        assert!(lines <= 150, "{page} has {lines} lines");
    }
}

#[test]
fn files_that_the_architecture_page_names_are_there() {
    let page = Document::read(Path::new("docs/ARCHITECTURE.md"));
    let mut checked = 0;
    for name in page.inline_code().into_iter().filter(|name| name.ends_with(".rs")) {
        let exists = root().join(&name).exists() || root().join("src").join(&name).exists();
        assert!(exists, "docs/ARCHITECTURE.md names `{name}`, which is neither in the root nor in src");
        checked += 1;
    }
    assert!(checked > 20, "only {checked} files were found in the text");
}
