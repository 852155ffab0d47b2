//! The mode of all webhooks and what they wait for, for an operator who wonders why nothing arrives.

use jiff::Timestamp;

use super::Reader;
use crate::domain::bounds::SUSPENDED_LISTED;
use crate::domain::delivery_mode::{DeliveryMode, Suspension};
use crate::domain::outage::{Away, Outage};
use crate::store::{StoreError, delivery_mode, outages, suspended};

/// What keeps deliveries from their receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookQueue {
    /// Since when the configuration disables them, as the daemon last read it.
    pub disabled_since: Option<Timestamp>,
    pub mode: DeliveryMode,
    /// How many deliveries a hold keeps, or a release has not sent yet.
    pub backlog: u64,
    /// How many deliveries are suppressed, for any reason.
    pub suppressed: u64,
    /// The suspended URLs, the latest first, up to [`SUSPENDED_LISTED`].
    pub suspended: Vec<Suspension>,
    /// How many URLs are suspended in all.
    pub suspended_count: u64,
    /// The outages of receivers that last.
    pub receivers_away: Vec<Outage>,
}

impl Reader {
    /// Returns the mode of all webhooks and what they wait for.
    pub fn webhook_queue(&self) -> Result<WebhookQueue, StoreError> {
        self.at_one_moment(|tx| {
            let mode = delivery_mode::mode(tx)?;
            let backlog = match &mode {
                DeliveryMode::Free => 0,
                DeliveryMode::Held(_) => delivery_mode::waiting(tx)?,
                DeliveryMode::Released(release) => delivery_mode::backlog(tx, *release)?,
            };
            let mut lasting = outages::lasting_since(tx, Timestamp::MAX)?;
            lasting.retain(|outage| outage.what == Away::Receiver);
            Ok(WebhookQueue {
                disabled_since: delivery_mode::disabled_since(tx)?,
                mode,
                backlog,
                suppressed: delivery_mode::suppressed(tx)?,
                suspended: suspended::listed(tx, SUSPENDED_LISTED)?,
                suspended_count: suspended::count(tx)?,
                receivers_away: lasting,
            })
        })
    }
}
