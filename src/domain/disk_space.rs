//! How much room there is on the disk of the store, and when that is little.

use super::bounds::{DISK_LOW_BYTES, DISK_LOW_SHARE};

/// The room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// What this user may still write.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl DiskSpace {
    /// Whether there is so little room that somebody should make some.
    pub fn is_low(self) -> bool {
        self.free_bytes < self.low_below()
    }

    /// Whether there is so much room that it is not low again in a moment.
    pub fn is_ample(self) -> bool {
        self.free_bytes >= self.low_below().saturating_add(self.low_below() / 4)
    }

    fn low_below(self) -> u64 {
        (self.total_bytes / DISK_LOW_SHARE).min(DISK_LOW_BYTES)
    }

    /// Returns `300 MiB of 20 GiB are free`.
    pub fn described(self) -> String {
        format!("{} of {} are free", size(self.free_bytes), size(self.total_bytes))
    }
}

/// Returns a number of bytes in the largest unit of which there is more than one.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let (bits, unit) = units.into_iter().find(|(bits, _)| bytes >> bits > 1).unwrap_or((0, "bytes"));
    format!("{} {unit}", bytes >> bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_low_by_share_on_a_small_disk_and_by_size_on_a_large_one() {
        const MIB: u64 = 1 << 20;
        for (free, total, is_low, is_ample, text) in [
            (100 * MIB, 1000 * MIB, false, true, "100 MiB of 1000 MiB are free"),
            (55 * MIB, 1000 * MIB, false, false, "55 MiB of 1000 MiB are free"),
            (49 * MIB, 1000 * MIB, true, false, "49 MiB of 1000 MiB are free"),
            (1025 * MIB, 4_000_000 * MIB, false, false, "1025 MiB of 3906 GiB are free"),
            (1023 * MIB, 4_000_000 * MIB, true, false, "1023 MiB of 3906 GiB are free"),
            (2000 * MIB, 4_000_000 * MIB, false, true, "2000 MiB of 3906 GiB are free"),
            (0, 3 * MIB, true, false, "0 bytes of 3 MiB are free"),
        ] {
            let space = DiskSpace { free_bytes: free, total_bytes: total };
            assert_eq!(
                (space.is_low(), space.is_ample(), space.described().as_str()),
                (is_low, is_ample, text)
            );
        }
    }
}
