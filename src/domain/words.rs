//! Closed sets of words: enums whose variants are written as fixed words in files, tables, JSON and on the command
//! line.

/// Defines an enum whose variants each have one word, with `Display`, `FromStr` and the lists of all of them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every variant, in the order of the definition.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// Every word, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// Returns the word, as it is written in files, database tables and the API, and shown to people.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $name::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    $crate::domain::words::UnknownWord {
                        got: text.chars().take(64).collect(),
                        allowed: $name::WORDS,
                    }
                })
            }
        }
    };
}
pub(crate) use words;

/// A text that is not one of a closed set of words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not one of {}", allowed.join(", "))]
pub struct UnknownWord {
    /// At most the first 64 characters.
    pub got: String,
    pub allowed: &'static [&'static str],
}
