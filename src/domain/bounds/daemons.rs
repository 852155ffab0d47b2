//! How much is kept and shown of daemons, how long one ends, and what several that share a store leave to each other.

use std::time::Duration;

/// The name of a machine: Linux allows no longer one, and what another system says in excess is of no use in a table.
pub const HOST_CHARS_MAX: usize = 64;

/// A receiver belongs to one of the daemons that share a store. How long past its turn the others leave a webhook to that one:
/// longer than it takes to notice that it is gone, so that they send it only if its owner does not get round to it.
pub const LEFT_TO_OWNER: Duration = Duration::from_secs(30);

/// A daemon that ends in good order says so in the store, unless that takes longer than this.
pub const STOP_RECORDED_WITHIN: Duration = Duration::from_secs(2);

/// Daemons that a store remembers to have had. A request of one of them is on its way for a minute at most, and a
/// service manager starts hardly one in a second.
pub const DAEMONS_REMEMBERED: u32 = 100;
