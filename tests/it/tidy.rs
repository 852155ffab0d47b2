//! The rules of the house, checked by reading `src`: floors, headers, lengths, leftovers.

use std::path::{Path, PathBuf};

/// From the ground up. A module uses lower floors only, never its own floor's neighbours.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["clock", "config", "crash", "transport"],
    &["store", "backend", "webhook"],
    &["engine"],
    &["present"],
    &["api"],
    &["daemon", "signals"],
    &["cli"],
];

/// Uses that go beyond the rule, each with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// A file is one thing; tests may be longer.
const LINES_MAX: usize = 500;

struct Source {
    path: PathBuf,
    text: String,
}

#[test]
fn every_module_uses_lower_floors_only() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some(own) = module_of(&source.path) else { continue };
        for (number, line) in source.text.lines().enumerate() {
            for used in used_modules(line) {
                let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == own && *to == used);
                if used != own && floor(&used) >= floor(&own) && !excepted {
                    let place = format!("{}:{}", source.path.display(), number + 1);
                    faults.push(format!("{place}: `{own}` must not use `{used}`"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    for source in sources("src") {
        if let Some(module) = module_of(&source.path) {
            assert!(FLOORS.concat().contains(&module.as_str()), "{module} has no floor in tests/it/tidy.rs");
        }
    }
}

#[test]
fn the_loops_do_not_know_each_other() {
    let loops = ["scheduler", "runner", "courier", "janitor", "maintenance"];
    for source in sources("src/engine") {
        let path = source.path.to_string_lossy();
        for other in loops.iter().filter(|name| !path.contains(*name)) {
            let uses = [format!("super::{other}"), format!("engine::{other}")];
            assert!(!uses.iter().any(|used| source.text.contains(used.as_str())), "{path} uses {other}");
        }
    }
}

#[test]
fn every_file_says_why_it_exists() {
    for source in sources("src").into_iter().chain(sources("tests/it")).chain(sources("benches")) {
        assert!(source.text.starts_with("//! "), "{} does not begin with //!", source.path.display());
    }
}

#[test]
fn no_file_is_too_long() {
    for source in sources("src") {
        let lines = source.text.lines().count();
        let is_test = source.path.ends_with("tests.rs");
        assert!(is_test || lines <= LINES_MAX, "{}: {lines} lines", source.path.display());
    }
}

#[test]
fn nothing_is_left_lying_about() {
    // Put together here, so that this file does not find itself.
    let leftovers =
        [concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[ign", "ore]"), concat!("#[all", "ow(")];
    for source in sources("src").into_iter().chain(sources("tests")) {
        for leftover in leftovers {
            assert!(!source.text.contains(leftover), "{} has {leftover}", source.path.display());
        }
    }
}

#[test]
fn names_say_what_they_hold() {
    let empty_names = ["utils", "util", "common", "helpers", "helper", "manager", "service", "types", "misc"];
    for source in sources("src") {
        let stem = source.path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(!empty_names.contains(&stem.as_str()), "{}", source.path.display());
    }
}

#[test]
fn the_domain_does_no_io_and_is_not_async() {
    for source in sources("src/domain") {
        for (number, line) in source.text.lines().enumerate() {
            let place = format!("{}:{}: {line}", source.path.display(), number + 1);
            for banned in ["async fn", ".await", "std::fs", "std::net", "tokio", "rusqlite", "reqwest"] {
                assert!(line.trim_start().starts_with("//") || !line.contains(banned), "{place}");
            }
        }
    }
}

#[test]
fn every_dependency_has_a_line_in_the_architecture_page() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in dependencies.lines().filter(|line| !line.trim().is_empty()) {
        let name = line.split([' ', '=']).next().unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name} is not explained in docs/ARCHITECTURE.md");
    }
    assert!(page.lines().count() <= 150, "docs/ARCHITECTURE.md has {} lines", page.lines().count());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root()).unwrap().to_path_buf(), text });
        }
    }
}

/// `src/store/rows.rs` -> `store`; none for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.components().nth(1)?.as_os_str().to_str()?;
    let name = first.trim_end_matches(".rs");
    (name != "lib" && name != "main").then(|| name.to_owned())
}

/// The top-level modules that a line of code names.
fn used_modules(line: &str) -> Vec<String> {
    if line.trim_start().starts_with("//") {
        return Vec::new();
    }
    let names = line.split("crate::").skip(1);
    names
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned())
        .collect()
}

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or(0)
}
