//! Generations of configuration files, where several daemons have one store. The store has the definitions that are in force; the
//! files of a daemon are a proposal. So a daemon that starts with former files brings nothing back, and two with different
//! files do not change the definitions to and fro.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Files that a daemon has adopted for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counted from 1. The highest is in force.
    pub number: i64,
    pub adopted_at: Timestamp,
    /// The machine of the daemon that adopted it.
    pub host: String,
}

/// Why a daemon proposes its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It starts, or has read again what has not changed.
    Found,
    /// They have changed while it ran. Before that they were those of the generation `from`, if they were of any.
    Changed { from: Option<i64> },
    /// Somebody wishes it.
    Requested,
}

/// Whether everything in the files is understood that belongs to a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Understood {
    All,
    InPart,
}

/// What becomes of proposed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// They are in force already.
    InForce,
    /// They become the next generation.
    Adopted,
    /// They are those of an earlier generation, and change nothing.
    Superseded,
    /// They have mistakes, and change nothing.
    NotUnderstood,
}

impl Adoption {
    /// Returns whether the files are those in force.
    pub fn is_in_force(self) -> bool {
        match self {
            Self::InForce | Self::Adopted => true,
            Self::Superseded | Self::NotUnderstood => false,
        }
    }
}

/// Decides about files that are those of the generation `number`, if they are known, where `in_force` is, if any is.
pub fn adopt(
    occasion: Occasion,
    understood: Understood,
    number: Option<i64>,
    in_force: Option<i64>,
) -> Adoption {
    match (in_force, number, occasion) {
        (None, _, _) => Adoption::Adopted,
        (Some(in_force), Some(number), _) if number == in_force => Adoption::InForce,
        (Some(_), _, Occasion::Requested) => Adoption::Adopted,
        (Some(_), _, Occasion::Found) if understood == Understood::InPart => Adoption::NotUnderstood,
        (Some(_), None, Occasion::Found | Occasion::Changed { .. }) => Adoption::Adopted,
        (Some(_), Some(_), Occasion::Found) => Adoption::Superseded,
        // It is catching up with the others: files may reach it later than them.
        (Some(_), Some(number), Occasion::Changed { from: Some(from) }) if from < number => {
            Adoption::Superseded
        }
        (Some(_), Some(_), Occasion::Changed { .. }) => Adoption::Adopted,
    }
}

/// Returns what tells files from others: `settings`, and the name and body of each cron. Placeholders are not filled in either.
pub fn digest<'c>(settings: &str, crons: impl Iterator<Item = (&'c str, &'c str)>) -> String {
    let mut sorted: Vec<(&str, &str)> = crons.collect();
    sorted.sort_unstable();
    let mut digest = Sha256::new();
    let texts = sorted.into_iter().flat_map(|(name, body)| [name, body]);
    for text in std::iter::once(settings).chain(texts) {
        // No two lists of texts give the same bytes.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    hex(&digest.finalize())
}

/// Returns a short form of a text by which it can be compared without being known.
pub fn mark(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::Adoption::*;
    use super::Occasion::*;
    use super::*;

    #[test]
    fn what_a_daemon_finds_decides_what_it_does() {
        let check = |occasion, number, in_force, whole, in_part| {
            let found = (occasion, number, in_force);
            assert_eq!(adopt(occasion, Understood::All, number, in_force), whole, "{found:?}");
            assert_eq!(adopt(occasion, Understood::InPart, number, in_force), in_part, "{found:?}, in part");
        };
        let former = |from| Changed { from };
        // Nothing is in force: whatever is understood is better than nothing.
        check(Found, None, None, Adopted, Adopted);
        check(Requested, None, None, Adopted, Adopted);
        // They are in force.
        for occasion in [Found, former(None), former(Some(3)), former(Some(7)), Requested] {
            check(occasion, Some(7), Some(7), InForce, InForce);
        }
        // They are unknown.
        check(Found, None, Some(7), Adopted, NotUnderstood);
        check(former(Some(7)), None, Some(7), Adopted, Adopted);
        check(former(Some(3)), None, Some(7), Adopted, Adopted);
        check(Requested, None, Some(7), Adopted, Adopted);
        // They are those of an earlier generation: at a start that is no wish to go back to it.
        check(Found, Some(6), Some(7), Superseded, NotUnderstood);
        // It goes back on purpose.
        check(former(Some(7)), Some(6), Some(7), Adopted, Adopted);
        check(former(Some(6)), Some(5), Some(7), Adopted, Adopted);
        check(former(None), Some(6), Some(7), Adopted, Adopted);
        check(Requested, Some(6), Some(7), Adopted, Adopted);
        // It is behind the others, and goes forward.
        check(former(Some(5)), Some(6), Some(7), Superseded, Superseded);
    }

    #[test]
    fn a_digest_depends_on_what_is_said_and_not_on_its_order() {
        let of = |settings: &str, crons: &[(&str, &str)]| digest(settings, crons.iter().copied());
        let (a, b) = (("a", "{}"), ("b", "{}"));
        assert_eq!(of("", &[a, b]), of("", &[b, a]));
        let others =
            [of("", &[a]), of("x", &[a]), of("", &[("a", "{ }")]), of("", &[("a{", "}")]), of("", &[])];
        for (index, other) in others.iter().enumerate() {
            assert_eq!(others.iter().filter(|digest| *digest == other).count(), 1, "{index}");
        }
        assert_eq!(mark("https://a.example"), mark("https://a.example"));
        assert_ne!(mark("https://a.example"), mark("https://b.example"));
    }
}
