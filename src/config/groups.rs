//! Finds the number of a group. The file of groups is read, because the system's own look-up may ask programs and servers
//! that the sandbox of the unit does not let through.

use std::io;
use std::path::Path;

use super::regular_file::read_regular;

const GROUPS: &str = "/etc/group";
/// A hundred thousand groups of a hundred bytes.
const GROUPS_BYTES_MAX: u64 = 10 << 20;

/// Why the number of a group is not known.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    #[error(
        "there is no group {0} in {GROUPS} (make it with `groupadd --system {0}`, or give the number of a group)"
    )]
    Unknown(String),
    #[error("cannot read {GROUPS}: {0}")]
    Unreadable(#[source] io::Error),
}

/// Returns the number of a group of this machine. A number is its own.
pub fn group_id(group: &str) -> Result<u32, GroupError> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let file = read_regular(Path::new(GROUPS), GROUPS_BYTES_MAX).map_err(GroupError::Unreadable)?;
    find(&String::from_utf8_lossy(&file), group).ok_or_else(|| GroupError::Unknown(group.to_owned()))
}

/// Finds a group in a file of lines `name:password:number:members`, as in group(5).
fn find(file: &str, group: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(group);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_or_is_a_number() {
        let file = "root:x:0:\nops-old:x:7:\nops:x:1001:alice,bob\n\nbroken\nagentcron:x:x:\n";
        for (group, id) in [
            ("root", Some(0)),
            ("ops", Some(1001)),
            ("op", None),
            ("alice", None),
            ("broken", None),
            ("agentcron", None),
            ("", None),
        ] {
            assert_eq!(find(file, group), id, "{group}");
        }
        assert_eq!(group_id("1001").unwrap(), 1001);
        assert_eq!(group_id("root").unwrap(), 0);
        let unknown = group_id("no-such-group-here").unwrap_err().to_string();
        assert!(unknown.starts_with("there is no group no-such-group-here in /etc/group"), "{unknown}");
    }
}
