//! The daemons that share a store, and how they divide what only one of them should do, or all of them together only so often.
//! Each divides by itself, from the same rows, so they agree but for the seconds in which somebody has come or gone.

use sha2::{Digest, Sha256};

use super::ids::DaemonNumber;
use super::words::words;

words!(
    /// What the daemons tell each other. It may be lost: each looks by itself as well.
    Hint {
        /// There may be something to do.
        Changed = "changed",
        /// There are webhooks for receivers that belong to others.
        Webhooks = "webhooks",
    }
);

/// The daemons that take work: those that are alive and not about to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    own: DaemonNumber,
    /// In the order of their numbers.
    all: Vec<DaemonNumber>,
}

impl Members {
    /// Returns the members as this daemon sees them, who is one of them.
    pub fn of(own: DaemonNumber, mut all: Vec<DaemonNumber>) -> Self {
        all.push(own);
        all.sort_unstable_by_key(|daemon| daemon.0);
        all.dedup();
        Self { own, all }
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns whether what has this name belongs to this daemon: the one whose number and the name give the highest hash. So
    /// if one comes or goes, nothing else changes hands than what it gets or had.
    pub fn owns(&self, name: &str) -> bool {
        let owner = self.all.iter().max_by_key(|daemon| weight(**daemon, name));
        owner.is_none_or(|owner| *owner == self.own)
    }

    /// Returns this daemon's share of what all may have together: an equal one, what is left over goes to the lowest numbers.
    /// It is at least one, so more daemons than there is to share still start something each; what all have together must be
    /// limited apart.
    pub fn share(&self, all_together: usize) -> usize {
        let rank = self.all.iter().position(|daemon| *daemon == self.own).unwrap_or_default();
        let count = self.all.len().max(1);
        (all_together / count + usize::from(rank < all_together % count)).max(1)
    }
}

fn weight(daemon: DaemonNumber, name: &str) -> [u8; 32] {
    Sha256::new().chain_update(daemon.0.to_be_bytes()).chain_update(name).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen_by(own: i64, all: &[i64]) -> Members {
        Members::of(DaemonNumber(own), all.iter().copied().map(DaemonNumber).collect())
    }

    /// Returns who owns a name; exactly one of them does.
    fn owner(name: &str, all: &[i64]) -> i64 {
        let owners: Vec<i64> = all.iter().copied().filter(|own| seen_by(*own, all).owns(name)).collect();
        assert_eq!(owners.len(), 1, "{name} belongs to {owners:?} of {all:?}");
        owners[0]
    }

    #[test]
    fn a_receiver_belongs_to_one_and_stays_with_it_while_others_come_and_go() {
        let names: Vec<String> = (0..300).map(|number| format!("https://{number}.example")).collect();
        let mut owned = [0; 3];
        for name in &names {
            let of_three = owner(name, &[4, 7, 9]);
            owned[[4, 7, 9].iter().position(|daemon| *daemon == of_three).unwrap()] += 1;
            // Another order of the same is the same.
            assert_eq!(owner(name, &[9, 4, 7]), of_three);
            let without_nine = owner(name, &[4, 7]);
            assert!(
                of_three == 9 || without_nine == of_three,
                "{name} went from {of_three} to {without_nine}"
            );
            assert!(seen_by(4, &[]).owns(name), "nobody else is there");
        }
        assert!(owned.iter().all(|count| *count > 60), "{owned:?}");
    }

    #[test]
    fn shares_are_equal_and_make_up_the_whole() {
        let shares = |max: usize, all: &[i64]| -> Vec<usize> {
            all.iter().map(|own| seen_by(*own, all).share(max)).collect()
        };
        assert_eq!(shares(256, &[1]), [256]);
        assert_eq!(shares(256, &[3, 8, 9]), [86, 85, 85]);
        assert_eq!(shares(20, &[3, 8]), [10, 10]);
        assert_eq!(shares(5, &[3, 8, 9]), [2, 2, 1]);
        // Whoever starts is limited by what all have together as well.
        assert_eq!(shares(1, &[3, 8, 9]), [1, 1, 1]);
    }
}
