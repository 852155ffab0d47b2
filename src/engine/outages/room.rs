//! Looks whether the disk of the store will be full soon, and tells the log once when it begins and once when it is over.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::bounds::DISK_LOOKED_AT_EVERY;
use crate::domain::disk_space::DiskSpace;

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Room {
    looked_at: Option<Instant>,
    is_low: bool,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Low,
    Ample,
}

impl Room {
    /// Looks if it is time to, and returns when it will be.
    pub(super) fn look(&mut self, space: impl FnOnce() -> Option<DiskSpace>) -> Duration {
        let since = self.looked_at.map(|at| at.elapsed());
        if let Some(wait) = since.and_then(|since| DISK_LOOKED_AT_EVERY.checked_sub(since))
            && !wait.is_zero()
        {
            return wait;
        }
        self.looked_at = Some(Instant::now());
        if let Some(space) = space() {
            let room = space.described();
            match self.learn(space) {
                Some(News::Low) => tracing::warn!(room, "the disk of the database is nearly full"),
                Some(News::Ample) => tracing::info!(room, "the disk of the database has room again"),
                None => {}
            }
        }
        DISK_LOOKED_AT_EVERY
    }

    fn learn(&mut self, space: DiskSpace) -> Option<News> {
        match self.is_low {
            false if space.is_low() => {
                self.is_low = true;
                Some(News::Low)
            }
            true if space.is_ample() => {
                self.is_low = false;
                Some(News::Ample)
            }
            false | true => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hovers_around_the_limit_is_told_once_and_the_disk_is_looked_at_once_a_minute() {
        let space = |free| DiskSpace { free_bytes: free, total_bytes: 2000 };
        let mut room = Room::default();
        let told: Vec<_> = [200, 99, 101, 99, 124, 125, 99].map(|free| room.learn(space(free))).to_vec();
        assert_eq!(told, [None, Some(News::Low), None, None, None, Some(News::Ample), Some(News::Low)]);
        let mut looks = 0;
        for _ in 0..4 {
            let mut look = || {
                looks += 1;
                None
            };
            assert_eq!(room.look(&mut look), DISK_LOOKED_AT_EVERY);
            assert_eq!(room.look(&mut look), DISK_LOOKED_AT_EVERY);
            tokio::time::advance(DISK_LOOKED_AT_EVERY).await;
        }
        assert_eq!(looks, 4);
    }
}
