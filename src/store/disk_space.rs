//! The room on the disk of the store.

use std::path::Path;

use super::Store;
use crate::domain::disk_space::DiskSpace;

impl Store {
    /// Returns the room on its disk; `None` if the system does not say.
    pub fn disk_space(&self) -> Option<DiskSpace> {
        self.file().and_then(disk_space)
    }
}

/// Returns the room on the disk of the store at this path.
pub(super) fn disk_space(path: &Path) -> Option<DiskSpace> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(DiskSpace { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_that_of_the_file_system() {
        let space = disk_space(&std::env::temp_dir()).unwrap();
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        assert_eq!(disk_space(Path::new("/there/is/no/such/file")), None);
    }
}
