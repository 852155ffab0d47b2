//! What `agentcron init` may ask of an agent server.

use std::time::Duration;

/// How long `init` waits for an agent server altogether: whoever has none yet must hardly notice that it was asked.
pub const SERVER_FOUND_WITHIN: Duration = Duration::from_secs(2);

/// Assistants of which one is chosen. Those that a server makes of its graphs are the oldest.
pub const ASSISTANTS_LISTED: usize = 100;

/// Assistants that a file or a line names besides.
pub const ASSISTANTS_NAMED: usize = 10;
