//! How webhooks flow as a whole, for people who wonder why nothing arrives.

use jiff::Timestamp;

use super::Reader;
use crate::domain::bounds::SUSPENDED_LISTED;
use crate::domain::delivery_mode::{DeliveryMode, Suspension};
use crate::store::{StoreError, delivery_mode, suspended};

/// What stands between deliveries and their receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookQueue {
    /// Since when the configuration disables them, as the daemon last read it.
    pub disabled_since: Option<Timestamp>,
    /// What people have asked of them.
    pub mode: DeliveryMode,
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
    pub fn webhook_queue(&self) -> Result<WebhookQueue, StoreError> {
        self.at_one_moment(|tx| {
            let mode = delivery_mode::mode(tx)?;
            let backlog = match &mode {
                DeliveryMode::Free => 0,
                DeliveryMode::Held(_) => delivery_mode::waiting(tx)?,
                DeliveryMode::Released(release) => delivery_mode::backlog(tx, *release)?,
            };
            Ok(WebhookQueue {
                disabled_since: delivery_mode::disabled_since(tx)?,
                mode,
                backlog,
                suppressed: delivery_mode::suppressed(tx)?,
                suspended: suspended::listed(tx, SUSPENDED_LISTED)?,
                suspended_count: suspended::count(tx)?,
            })
        })
    }
}
