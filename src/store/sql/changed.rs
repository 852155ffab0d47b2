//! How many rows a statement has changed, if somebody wants to know that later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many rows a statement has changed.
#[derive(Clone, Debug)]
pub(in crate::store) enum Changed {
    Known(usize),
    /// It is known once the transaction is settled.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only a server is waited for"))]
    Awaited(Arc<AtomicUsize>),
}

impl Changed {
    /// Whether it is known that there are none.
    pub(in crate::store) fn is_none(&self) -> bool {
        matches!(self, Changed::Known(0))
    }

    /// Returns how many they are. Settle the transaction first.
    pub(in crate::store) fn rows(&self) -> usize {
        match self {
            Changed::Known(rows) => *rows,
            Changed::Awaited(rows) => rows.load(Ordering::Relaxed),
        }
    }
}
