//! A text that somebody looks for: literally, and in any case.

/// What is looked for, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle(String);

impl Needle {
    pub fn of(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// Returns whether any of these texts contains it.
    pub fn is_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        texts.into_iter().any(|text| text.to_lowercase().contains(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_nothing_is_a_pattern() {
        for (needle, expected) in
            [("BOOM", true), ("Straße", true), ("b.om", false), ("%", false), ("é", true)]
        {
            assert_eq!(Needle::of(needle).is_in(["a Boom", "STRAßE É"]), expected, "{needle}");
        }
        assert!(!Needle::of("x").is_in([]));
    }
}
