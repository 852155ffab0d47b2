//! The values that this daemon lacks where several share the store, and what it leaves to the others for that reason.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::names_in;
use crate::domain::missing_values::{self, Names, is_left_to_others};

/// What is known of that. It is cheap to clone, and all clones know the same.
#[derive(Clone, Debug, Default)]
pub struct Lacking(Arc<Mutex<Lacks>>);

/// What is lacking, by daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    pub own: Names,
    /// Of each other daemon that is alive.
    pub others: Vec<Names>,
}

impl Lacking {
    /// Replaces what is known.
    pub fn set(&self, lacks: Lacks) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = lacks;
    }

    /// Returns whether what has these placeholders is left to others.
    pub fn leaves(&self, text: &str) -> bool {
        let lacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The text is not looked through where nothing is missing.
        !lacks.own.is_empty() && lacks.leaves(&names_in(text))
    }

    /// Returns whether another daemon that is alive lacks a value of these placeholders or sends no webhooks, so that whoever can send
    /// does not wait for it.
    pub fn is_lacked_elsewhere(&self, text: &str) -> bool {
        let lacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names_in(text);
        let lacks_one = |lacked: &Names| {
            lacked.contains(missing_values::WEBHOOKS) || names.iter().any(|name| lacked.contains(name))
        };
        lacks.others.iter().any(lacks_one)
    }
}

impl Lacks {
    /// Returns whether what needs these names is left to others.
    pub fn leaves<'n>(&self, names: impl IntoIterator<Item = &'n String> + Clone) -> bool {
        is_left_to_others(names, &self.own, &self.others)
    }
}
