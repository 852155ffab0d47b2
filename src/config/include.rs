//! Finds the files that a pattern of `include = ["crons.d/*.toml"]` matches.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Returns the files that a pattern matches, sorted. A pattern with `*` may match none; a plain path is returned as
/// it is, so that its absence is noticed when it is read.
pub(super) fn expand(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if pattern.is_empty() || pattern.contains('\0') {
        return Err("got no path, expected one such as crons.d/*.toml".to_owned());
    }
    let path = base.join(pattern);
    let (directory, name) = match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(directory), Some(name)) => (directory, name),
        _ => return Err(format!("`{pattern}` does not name a file")),
    };
    if directory.to_string_lossy().contains('*') && !base.to_string_lossy().contains('*') {
        return Err(format!("`{pattern}`: `*` is only allowed in the last part of the path"));
    }
    if name.contains('*') { matching(&path) } else { Ok(vec![path]) }
}

/// Returns whether the folder in which a pattern looks for files is not there.
pub(super) fn has_no_folder(pattern: &Path) -> bool {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    folder != "" && matches!(folder.try_exists(), Ok(false))
}

/// Returns the files that the last part of a path matches, sorted.
pub(super) fn matching(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = match std::fs::read_dir(if folder == "" { Path::new(".") } else { folder }) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(problem)?.file_name();
        if is_match(pattern, &name) {
            found.push(folder.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// Returns whether the last part of a path matches a name.
///
/// `..data` of a Kubernetes ConfigMap and the swap files of editors are hidden files, which nobody means.
pub(super) fn is_match(pattern: &Path, name: &OsStr) -> bool {
    let pattern = pattern.file_name().unwrap_or_default().as_encoded_bytes();
    let name = name.as_encoded_bytes();
    !name.starts_with(b".") && std::str::from_utf8(name).is_ok() && matches(pattern, name)
}

/// Returns whether the pattern, in which `*` matches any text, matches the whole name. Backtracks to the last `*`
/// only, so that its time stays bounded by the product of the lengths.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while at_name < name.len() {
        if pattern.get(at_pattern) == Some(&b'*') {
            last_star = Some((at_pattern, at_name));
            at_pattern += 1;
        } else if pattern.get(at_pattern) == Some(&name[at_name]) {
            at_pattern += 1;
            at_name += 1;
        } else if let Some((star, taken)) = last_star {
            last_star = Some((star, taken + 1));
            (at_pattern, at_name) = (star + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml~", false),
            ("a*b*c", "aXXbYYbc", true),
            ("a*b*c", "acb", false),
            ("**", "", true),
            ("x", "", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
