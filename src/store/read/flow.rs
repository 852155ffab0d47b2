//! How webhooks flow as a whole, for people who wonder why nothing arrives.

use jiff::Timestamp;

use super::Reader;
use crate::domain::bounds::SUSPENDED_LISTED;
use crate::domain::flow::{Flow, Suspension};
use crate::store::{StoreError, flow, suspended};

/// What stands between deliveries and their receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookFlow {
    /// Since when the configuration disables them, as the daemon last read it.
    pub disabled_since: Option<Timestamp>,
    /// What people have asked of them.
    pub flow: Flow,
    /// Deliveries that a hold keeps, or that a release has not come to yet.
    pub backlog: u64,
    /// Deliveries that are suppressed, for whatever reason.
    pub suppressed: u64,
    /// URLs that are suspended, the latest first, up to a bound.
    pub suspended: Vec<Suspension>,
    /// How many these are in all.
    pub suspended_count: u64,
}

impl Reader {
    /// How webhooks flow.
    pub fn webhook_flow(&self) -> Result<WebhookFlow, StoreError> {
        self.at_one_moment(|tx| {
            let flow = flow::flow(tx)?;
            let backlog = match &flow {
                Flow::Free => 0,
                Flow::Held(_) => flow::waiting(tx)?,
                Flow::Released(release) => flow::backlog(tx, *release)?,
            };
            Ok(WebhookFlow {
                disabled_since: flow::disabled_since(tx)?,
                flow,
                backlog,
                suppressed: flow::suppressed(tx)?,
                suspended: suspended::listed(tx, SUSPENDED_LISTED)?,
                suspended_count: suspended::count(tx)?,
            })
        })
    }
}
