//! The files of a configuration as they are on the disk: what the system says about each of them, and about every
//! symbolic link on the way to it. No file is opened, so looking at ten thousand of them takes milliseconds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::config::Sources;
use crate::domain::bounds::SYMLINKS_FOLLOWED;

/// What was found at one moment.
pub(super) struct FilesOnDisk {
    /// Two looks with the same fingerprint have found the same files with the same contents: every change of a file
    /// sets its change time (ctime), and so do a rename and new permissions.
    pub(super) fingerprint: u64,
    /// The latest change time of the files, links and folders, in seconds; `None` if one cannot be looked at.
    pub(super) newest_change: Option<i64>,
    /// Every folder that has one of the files, or a link on the way to one.
    pub(super) folders: BTreeSet<PathBuf>,
    /// The names of these files, links and folders, without those that a pattern matches.
    pub(super) names: HashSet<OsString>,
}

impl FilesOnDisk {
    /// Looks at the files, at those that the patterns match, and at the links that lead to them.
    pub(super) fn look(sources: &Sources) -> Self {
        let listed = sources.files_now();
        let mut hasher = DefaultHasher::new();
        // A folder that cannot be listed hides new files; those that are known can be looked at all the same.
        listed.as_ref().err().hash(&mut hasher);
        let mut paths = Paths::default();
        let files = listed.unwrap_or_else(|_| sources.files.iter().cloned().collect());
        for file in &files {
            paths.add(file);
        }
        for folder in sources.patterns.iter().filter_map(|pattern| pattern.parent()) {
            let folder = paths.resolved(folder);
            paths.folders.insert(folder);
        }
        let Paths { places, folders, .. } = paths;
        let mut newest_change = Some(i64::MIN);
        let mut see = |path: &Path| {
            let found = std::fs::symlink_metadata(path);
            let changed = found.as_ref().ok().map(MetadataExt::ctime);
            newest_change = newest_change.zip(changed).map(|(newest, changed)| newest.max(changed));
            found.map_err(|error| error.kind()).map(|found| identity(&found))
        };
        for place in &places {
            (place, see(place)).hash(&mut hasher);
        }
        for folder in &folders {
            let _ = see(existing(folder));
        }
        let names = places.iter().chain(&folders).filter_map(|path| path.file_name());
        let names = names.filter(|name| !sources.may_include(name)).map(OsString::from).collect();
        Self { fingerprint: hasher.finish(), newest_change, folders, names }
    }
}

/// Returns what differs if the file is another, or has other contents, or other permissions.
fn identity(found: &Metadata) -> impl Hash + use<> {
    let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
    (found.dev(), found.ino(), found.size(), found.mode(), times)
}

/// Returns the folder as the system names it.
pub(super) fn existing(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The way to each file.
#[derive(Default)]
struct Paths {
    /// The files, and the links on the way, each by a path without links before its last part.
    places: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
    /// The folders that are resolved already: thousands of files may be in one.
    resolved: HashMap<PathBuf, PathBuf>,
    links_followed: usize,
}

impl Paths {
    fn add(&mut self, file: &Path) {
        self.links_followed = 0;
        let end = self.end(file);
        self.insert(end);
    }

    fn insert(&mut self, place: PathBuf) {
        self.folders.extend(place.parent().map(Path::to_owned));
        self.places.insert(place);
    }

    /// Returns where a path leads, and notes each link on the way.
    fn end(&mut self, path: &Path) -> PathBuf {
        let Some(last) = path.components().next_back() else { return PathBuf::new() };
        let folder = match path.parent() {
            Some(folder) => self.resolved(folder),
            None => return path.to_owned(),
        };
        let name = match last {
            Component::Normal(name) => name,
            Component::ParentDir if folder.file_name().is_some() => {
                return folder.parent().map(Path::to_owned).unwrap_or_default();
            }
            other => return folder.join(other),
        };
        let place = folder.join(name);
        match std::fs::read_link(&place) {
            Ok(target) if self.links_followed < SYMLINKS_FOLLOWED => {
                self.links_followed += 1;
                self.insert(place);
                self.end(&folder.join(target))
            }
            Ok(_) | Err(_) => place,
        }
    }

    fn resolved(&mut self, folder: &Path) -> PathBuf {
        if let Some(known) = self.resolved.get(folder) {
            return known.clone();
        }
        let end = self.end(folder);
        self.resolved.insert(folder.to_owned(), end.clone());
        end
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_found_and_a_circle_ends() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        std::fs::create_dir_all(path("store/1/sub")).unwrap();
        std::fs::create_dir(path("etc")).unwrap();
        std::fs::write(path("store/1/a.toml"), "").unwrap();
        symlink("../store/1/sub", path("etc/static")).unwrap();
        symlink("static/../a.toml", path("etc/a.toml")).unwrap();
        symlink("circle/on", path("circle")).unwrap();
        let found = |file: &str| {
            let mut paths = Paths::default();
            paths.add(&path(file));
            let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
            paths.places.iter().map(relative).collect::<Vec<_>>()
        };
        for (file, expected) in [
            ("store/1/a.toml", vec!["store/1/a.toml"]),
            ("etc/../etc/a.toml", vec!["etc/a.toml", "etc/static", "store/1/a.toml"]),
            ("absent/a.toml", vec!["absent/a.toml"]),
        ] {
            assert_eq!(found(file), expected, "{file}");
        }
        assert!(found("circle").contains(&"circle".to_owned()));
    }
}
