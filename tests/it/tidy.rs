//! The rules of this repository, checked by reading it: floors, circles, headers, lengths, leftovers, retired words.

mod circles;
mod imports;
mod retired;

use std::path::{Path, PathBuf};

/// The top-level modules from the ground up. A module uses lower floors only, and no neighbour on its own floor.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["clock", "config", "crash", "log_tail", "pulse", "transport"],
    &["store", "backend", "webhook"],
    &["engine"],
    &["present"],
    &["api"],
    &["daemon", "signals"],
    &["cli"],
];

/// A file is about one thing; tests may be longer.
const LINES_MAX: usize = 500;

struct Source {
    path: PathBuf,
    text: String,
}

#[test]
fn every_module_uses_lower_floors_only() {
    let mut faults = Vec::new();
    for reference in imports::references(&sources("src")) {
        let (own, Some(used)) = (&reference.from[0], reference.written.first()) else { continue };
        // An item of the crate's root is on no floor.
        let Some(floor_used) = floor(used) else { continue };
        if used != own && Some(floor_used) >= floor(own) {
            faults.push(format!("{}: `{own}` must not use `{used}`", reference.place));
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
    let loops = ["runner", "courier", "janitor", "maintenance"];
    let of_loop = |module: &imports::Module| {
        let name = module.get(1).filter(|name| module[0] == "engine" && loops.contains(&name.as_str()));
        name.cloned()
    };
    for reference in imports::references(&sources("src/engine")) {
        if let (Some(own), Some(used)) = (of_loop(&reference.from), of_loop(&reference.to)) {
            assert!(own == used, "{}: {own} uses {used}", reference.place);
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
    for source in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
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

/// Anything may be in the place of a file: a pipe that nobody writes to, a device that never ends, a link.
#[test]
fn files_are_opened_in_one_place() {
    let openers = ["src/config/regular_file.rs", "src/cli/import.rs"];
    for source in sources("src") {
        let place = source.path.to_string_lossy().into_owned();
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for opening in ["File::open(", "fs::read(", "fs::read_to_string("] {
            let is_allowed = openers.contains(&place.as_str()) || place.contains("/tests");
            assert!(
                is_allowed || !code.contains(opening),
                "{place}: use config::open_regular, not {opening}"
            );
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
    collect(&root().join(folder), "rs", &mut found);
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root()).unwrap().to_path_buf(), text });
        }
    }
}

/// Returns the top-level module of a file: `store` for `src/store/rows.rs`, and `None` for `lib.rs` and `main.rs`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.components().nth(1)?.as_os_str().to_str()?;
    let name = first.trim_end_matches(".rs");
    (name != "lib" && name != "main").then(|| name.to_owned())
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}
