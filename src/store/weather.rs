//! What can happen between a daemon and its store, for simulations.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// What happens to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    None,
    /// It fails, and nothing is committed.
    BeforeCommit,
    /// It is committed, and the daemon never learns of it.
    AfterCommit,
}

/// Is asked before each transaction, and may let it wait.
#[derive(Clone)]
pub struct Weather(Arc<dyn Fn() -> BoxFuture<'static, StoreFault> + Send + Sync>);

impl Weather {
    pub fn new(ask: impl Fn() -> BoxFuture<'static, StoreFault> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(super) async fn next(&self) -> StoreFault {
        (self.0)().await
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weather")
    }
}
