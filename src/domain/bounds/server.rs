//! Bounds of a store on a PostgreSQL server.

use std::time::Duration;

/// A connection to the server of the store is made within this time, or tried again: two lost packets of a handshake cost three
/// seconds.
pub const STORE_CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// What was sent to the server of the store is confirmed by its machine within this time, or the connection is over. It is as long
/// as a daemon without a sign of life counts as alive.
pub const STORE_SILENT_MAX: Duration = Duration::from_secs(10);

/// The server of the store answers within this time, or the connection is given up. Its longest work is a change of ten thousand
/// crons, which takes a few seconds, and other daemons may have to wait for that.
pub const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The wait before a connection to the server of the store is tried again. A server that crashes is back within seconds.
pub const STORE_CONNECTED_EVERY: Duration = Duration::from_millis(250);
