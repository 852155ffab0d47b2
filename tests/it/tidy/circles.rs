//! No two modules of one folder import each other, directly or by way of others: each can be read before the next.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{Module, references};
use super::sources;

/// Arrows that close a circle and stay for now: from, to, and why. One that closes none any more has to leave.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// An import from one module to its sibling, both by their full paths.
type Arrow = (String, String);

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let arrows = arrows();
    let is_excepted = |(from, to): &Arrow| EXCEPTIONS.iter().any(|(a, b, _)| from == a && to == b);
    let others: BTreeSet<&Arrow> = arrows.keys().filter(|arrow| !is_excepted(arrow)).collect();
    let mut faults: Vec<String> = others
        .iter()
        .filter(|(from, to)| reaches(&others, to, from))
        .map(|arrow| {
            format!("{}: `{}` imports `{}`, which leads back to it", arrows[*arrow], arrow.0, arrow.1)
        })
        .collect();
    for (from, to, reason) in EXCEPTIONS {
        let arrow = ((*from).to_owned(), (*to).to_owned());
        if !arrows.contains_key(&arrow) || !reaches(&others, to, from) {
            faults.push(format!(
                "the exception `{from}` -> `{to}` ({reason}) is not needed any more: delete it"
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Returns the imports between siblings, each with one place where it is made. Tests may import what they like.
fn arrows() -> BTreeMap<Arrow, String> {
    let mut arrows = BTreeMap::new();
    for reference in references(&sources("src")).into_iter().filter(|reference| !reference.is_test) {
        if let Some(arrow) = between_siblings(&reference.from, &reference.to) {
            arrows.entry(arrow).or_insert(reference.place);
        }
    }
    arrows
}

/// `a::b::c` importing `a::d::e` is an arrow from `a::b` to `a::d`. A parent and what is in it are no siblings: a folder
/// is read as a whole.
fn between_siblings(from: &Module, to: &Module) -> Option<Arrow> {
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    (shared < from.len() && shared < to.len()).then(|| (from[..=shared].join("::"), to[..=shared].join("::")))
}

fn reaches(arrows: &BTreeSet<&Arrow>, from: &str, goal: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        if module == goal {
            return true;
        }
        if seen.insert(module) {
            next.extend(arrows.iter().filter(|(from, _)| from == module).map(|(_, to)| to.as_str()));
        }
    }
    false
}

#[test]
fn a_circle_is_found_by_way_of_others_and_across_folders() {
    let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let (ab, bc, ca, cd) = (arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d"));
    let all = BTreeSet::from([&ab, &bc, &ca, &cd]);
    assert!(reaches(&all, "b", "a") && !reaches(&all, "d", "c"));
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
    assert_eq!(between_siblings(&module("a::b::c"), &module("a::d::e")), Some(arrow("a::b", "a::d")));
    assert_eq!(between_siblings(&module("a::b"), &module("a")), None);
}
