//! How much is shown of a daemon, and what several that share a store leave to each other.

use std::time::Duration;

/// The name of a machine: Linux allows no longer one, and what another system says in excess is of no use in a table.
pub const HOST_CHARS_MAX: usize = 64;

/// A receiver belongs to one of the daemons that share a store. How long past its turn the others leave a webhook to that one:
/// longer than it takes to notice that it is gone, so that they send it only if its owner does not get round to it.
pub const LEFT_TO_OWNER: Duration = Duration::from_secs(30);
