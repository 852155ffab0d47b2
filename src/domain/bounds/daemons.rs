//! How much is shown of a daemon.

/// The name of a machine: Linux allows no longer one, and what another system says in excess is of no use in a table.
pub const HOST_CHARS_MAX: usize = 64;
