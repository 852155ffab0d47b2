//! How all webhooks are sent: each when it is due, none while they are held, or at a limited rate after
//! a release.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::delivery::DeliveryStatus;
use super::ids::DeliveryId;

/// What has been requested for all webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Each is sent when it is due.
    #[default]
    Free,
    /// None is sent.
    Held(Hold),
    /// They are sent at a rate until the backlog is gone.
    Released(Release),
}

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub cause: HoldCause,
    pub since: Timestamp,
    /// A human-readable explanation.
    pub note: Option<String>,
}

/// Who ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldCause {
    /// A person holds them, and releases them.
    Request,
    /// A mistake in the configuration may concern the switch of all webhooks, or where they may be sent.
    Mistakes,
}

/// A release at a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// What was due by then is the backlog. While any of it waits, everything that is sent keeps to the rate.
    pub since: Timestamp,
    /// Attempts begun per second.
    pub per_second: u32,
}

/// A URL whose receiver has said that it is gone: nothing is sent there until deliveries to it are resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The URL with its placeholders not filled in.
    pub url: String,
    pub since: Timestamp,
    /// What the receiver answered.
    pub detail: String,
    /// The delivery that got this answer.
    pub delivery_id: DeliveryId,
}

impl DeliveryMode {
    /// Returns the hold that keeps a delivery with this status waiting, if there is one.
    pub fn keeps(&self, status: DeliveryStatus) -> Option<&Hold> {
        match (self, status) {
            (DeliveryMode::Held(hold), DeliveryStatus::Pending) => Some(hold),
            (DeliveryMode::Held(_) | DeliveryMode::Free | DeliveryMode::Released(_), _) => None,
        }
    }
}

impl Suspension {
    /// Returns why a delivery to this URL has ended before it was sent, and what can be done about it.
    pub fn message(&self) -> String {
        let id = self.delivery_id.to_string();
        format!(
            "not sent: its URL has been suspended since {}: {} (webhook {}); `agentcron webhook resume` ends the suspension, \
             and so does the replay of a webhook to it",
            self.since,
            self.detail,
            &id[..8]
        )
    }
}

/// Keeps attempts to a rate. They are spread evenly; a late pass may catch up on a tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// The next attempt is not begun before this.
    next_at: Option<Timestamp>,
    /// Whether another daemon keeps to the rate, and so sends everything.
    elsewhere: bool,
}

impl RateLimit {
    /// Returns the limit of a daemon that is the one that sends at a rate, or that is not.
    #[must_use]
    pub fn kept_here(self, is_here: bool) -> Self {
        Self { elsewhere: !is_here, ..self }
    }

    /// Returns how many attempts may begin now.
    pub fn allowance(&self, release: Release, now: Timestamp) -> usize {
        if self.elsewhere {
            return 0;
        }
        let Some(next_at) = self.next_from(now) else { return 1 };
        let late = super::backoff::between(next_at, now);
        if now < next_at {
            return 0;
        }
        let missed = (late.min(CATCH_UP).as_secs_f64() * f64::from(release.per_second)).floor();
        // At most a tenth of the highest rate.
        1 + missed as usize
    }

    /// Returns the limit after this many attempts have begun.
    #[must_use]
    pub fn begun(self, count: usize, release: Release, now: Timestamp) -> Self {
        let since = self.next_from(now).map_or(now, |next_at| {
            let earliest = now.saturating_sub(CATCH_UP_SIGNED).unwrap_or(now);
            next_at.max(earliest)
        });
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let taken = Duration::from_secs(1).saturating_mul(count) / release.per_second.max(1);
        let taken = SignedDuration::try_from(taken).unwrap_or(SignedDuration::MAX);
        Self { next_at: Some(since.saturating_add(taken).unwrap_or(now)), ..self }
    }

    /// Returns when the next attempt may begin. An instant further ahead than any rate can put it was
    /// computed before the clock was set back, and is ignored.
    fn next_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.next_at.filter(|next_at| super::backoff::between(now, *next_at) <= AHEAD_MAX)
    }

    /// Returns the earliest instant at which the next attempt may begin, which may have passed; `None` if none
    /// has begun yet.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.next_at
    }
}

/// How much a late pass catches up on at most.
const CATCH_UP: Duration = Duration::from_millis(100);
const CATCH_UP_SIGNED: SignedDuration = SignedDuration::from_millis(100);
/// The lowest rate is one per second; what was caught up on comes on top.
const AHEAD_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    /// Returns when attempts begin if a pass is made at each of these milliseconds.
    fn begun(per_second: u32, passes: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let release = Release { since: at(0), per_second };
        let mut rate_limit = RateLimit::default();
        let mut begun = Vec::new();
        for pass in passes {
            let count = rate_limit.allowance(release, at(pass));
            begun.extend(std::iter::repeat_n(pass, count));
            if count > 0 {
                rate_limit = rate_limit.begun(count, release, at(pass));
            }
        }
        begun
    }

    #[test]
    fn a_rate_is_kept_evenly_and_what_was_slept_through_is_not_made_up_for() {
        assert_eq!(begun(4, 0..1000), [0, 250, 500, 750]);
        assert_eq!(begun(3, 0..1001), [0, 334, 667, 1000]);
        // After a minute only a tenth of a second is caught up on.
        assert_eq!(begun(2, [0, 60_000, 60_100, 60_400, 60_500]), [0, 60_000, 60_400]);
        assert_eq!(begun(20, [0, 60_000, 60_010]), [0, 60_000, 60_000, 60_000]);
    }

    #[test]
    fn where_several_daemons_share_a_store_one_keeps_to_the_rate() {
        let release = Release { since: at(0), per_second: 4 };
        assert_eq!(RateLimit::default().kept_here(false).allowance(release, at(0)), 0);
        assert_eq!(RateLimit::default().kept_here(false).kept_here(true).allowance(release, at(0)), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_a_release() {
        assert_eq!(begun(2, [3_600_000, 3_600_100, 0, 400, 500]), [3_600_000, 0, 500]);
        assert_eq!(begun(1, [1000, 500, 1999, 2000]), [1000, 2000]);
    }

    #[test]
    fn no_second_has_more_than_the_rate_and_a_tenth_of_it() {
        for per_second in [1, 7, 10, 99, 1000] {
            // Irregular passes: some close together, some late.
            let passes = (0..4000).scan(0, |now, index: i64| {
                *now += [1, 0, 3, 250, 2, 40][usize::try_from(index % 6).unwrap()];
                Some(*now)
            });
            let begun = begun(per_second, passes);
            let most =
                begun.iter().map(|from| begun.iter().filter(|at| (*from..from + 1000).contains(at)).count());
            let most = most.take(2000).max().unwrap();
            let allowed = usize::try_from(per_second + per_second / 10 + 1).unwrap();
            assert!(most <= allowed, "{most} attempts in a second at {per_second}/s");
        }
    }
}
