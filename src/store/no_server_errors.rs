//! Errors of PostgreSQL, in a build without the cargo feature `postgres`: there are none.

use std::fmt::{self, Display, Formatter};

/// An error of PostgreSQL.
#[derive(Debug)]
pub enum Error {}

impl Display for Error {
    fn fmt(&self, _: &mut Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Error {}

pub(super) fn in_words(error: &Error) -> String {
    match *error {}
}

pub(super) fn is_of_connection(error: &Error) -> bool {
    match *error {}
}

pub(super) fn is_contention(error: &Error) -> bool {
    match *error {}
}
