//! How much is remembered of the files of daemons that share a store.

/// Generations of files that are remembered: a daemon that starts with older files would adopt them. A row has some hundred
/// bytes, and nobody rolls files out a thousand times before the last daemon is restarted.
pub const GENERATIONS_REMEMBERED: u32 = 1_000;
