//! Links within the repository lead somewhere.

use std::path::{Component, Path, PathBuf};

use super::markdown::Document;
use super::{all, root};

#[test]
fn links_and_anchors_lead_somewhere() {
    let mut faults = Vec::new();
    let mut checked = 0;
    for path in all() {
        let document = Document::read(&path);
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { joined(&path, file) };
            if !root().join(&target).exists() {
                faults.push(format!("{}: {link}: there is no {}", path.display(), target.display()));
            } else if !anchor.is_empty()
                && !Document::read(&target).anchors().iter().any(|known| known == anchor)
            {
                faults.push(format!("{}: {link}: {} has no such heading", path.display(), target.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(checked > 40, "only {checked} links were found");
}

/// Returns where a relative link in a document leads, without `..`.
fn joined(document: &Path, link: &str) -> PathBuf {
    let mut joined = PathBuf::new();
    for component in document.parent().unwrap_or(Path::new("")).join(link).components() {
        match component {
            Component::ParentDir => drop(joined.pop()),
            other => joined.push(other),
        }
    }
    joined
}
