//! Who starts a run that needs a value, such as a variable or a credential, where not every daemon has it: whoever has all that
//! it needs. If nobody has, anybody tries, and says what is missing.

use std::collections::BTreeSet;

/// The names of values that a daemon lacks, such as `env.TOKEN`.
pub type Names = BTreeSet<String>;

/// Stands among the values that a daemon lacks if it sends no webhooks at all, because its own files or environment say so.
pub const WEBHOOKS: &str = "webhooks";

/// Returns whether a daemon that lacks `own` leaves what needs these names to the others, each of which lacks one of `others`.
pub fn is_left_to_others<'n>(
    needed: impl IntoIterator<Item = &'n String> + Clone,
    own: &Names,
    others: &[Names],
) -> bool {
    let lacks_any = |lacked: &Names| needed.clone().into_iter().any(|name| lacked.contains(name));
    lacks_any(own) && !others.iter().all(lacks_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_every_value_starts_a_run_and_otherwise_anybody() {
        let names = |names: &str| names.split_whitespace().map(str::to_owned).collect::<Names>();
        for (needed, own, others, expected) in [
            ("", "env.A", vec![""], false),
            ("env.A", "", vec![""], false),
            ("env.A", "env.B", vec![""], false),
            ("env.A", "env.A", vec![], false),
            ("env.A", "env.A", vec![""], true),
            ("env.A", "env.A env.B", vec!["env.B"], true),
            ("env.A env.B", "env.A env.B", vec!["env.B"], false),
            ("env.A env.B", "env.A", vec!["env.B"], false),
            ("env.A", "env.A", vec!["env.A"], false),
            ("env.A", "env.A", vec!["env.A", "env.C"], true),
        ] {
            let others: Vec<Names> = others.into_iter().map(names).collect();
            let left = is_left_to_others(&names(needed), &names(own), &others);
            assert_eq!(left, expected, "{needed:?} {own:?} {others:?}");
        }
    }
}
