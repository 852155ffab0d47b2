//! Every limit of the configuration, each with its reason.

use std::time::Duration;

/// A file is read whole; 100 000 crons fit into a fifth of this.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// The most files that `include` may add: a pattern for the wrong directory is stopped here.
pub(super) const FILES_MAX: usize = 10_000;
/// The stack of a thread that reads files. Dotted keys can nest tables some thousand levels deep before the TOML parser objects,
/// and tables are dropped recursively; this is ten times what the deepest one needs. Only the part that is used takes memory.
pub(super) const STACK_BYTES: usize = 64 << 20;
/// Files are read on as many cores. Each takes a stack, and what a parser needs for a file is ten times as large as the file.
pub(super) const READERS_MAX: usize = 8;
/// How many files each of them may be ahead, so that none waits for a large file of another.
pub(super) const READ_AHEAD: usize = 8;
/// The nesting of values. Definitions are stored as JSON text, whose reader gives up at 128.
pub(super) const DEPTH_MAX: usize = 64;
/// A cron's name is shown in tables and log lines and sent as metadata.
pub(super) const CRON_NAME_CHARS_MAX: usize = 100;
/// Assistant ids and names of threads are short.
pub(super) const NAME_CHARS_MAX: usize = 256;
/// What one cron sends to the server, serialised: it is stored with the cron and built again for every run.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// The longest URL that the agent server itself accepts.
pub(super) const WEBHOOK_CHARS_MAX: usize = 4096;
/// The ranges of one `exclude`: enough for more than ten years of public holidays.
pub(super) const EXCLUDE_MAX: usize = 1000;
/// No duration is longer, so that no sum of instants can overflow.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Times are stored in milliseconds; anything shorter would be stored as zero.
pub(super) const DURATION_MIN: Duration = Duration::from_millis(1);
/// Each run in progress takes one connection and one small task.
pub(super) const CONCURRENT_RUNS_MAX: u64 = 10_000;
/// The values kept for each run: the database is a record, not a warehouse.
pub(super) const VALUES_BYTES_MAX: u64 = 16 << 20;
/// Each backup is as large as the database; more of them belong into an archive.
pub(super) const BACKUPS_KEPT_MAX: u64 = 1000;
/// A webhook body is built in memory, and four of them are sent to one origin at the same time.
pub(super) const WEBHOOK_BODY_BYTES_MAX: u64 = 16 << 20;
/// The fields of a body without `values` fit into this.
pub(super) const WEBHOOK_BODY_BYTES_MIN: u64 = 1024;
/// systemd's own limit for one credential.
pub(super) const CREDENTIAL_BYTES_MAX: u64 = 1 << 20;
/// The most mistakes that are printed, and after which no more are looked for: more of them most likely have one cause.
pub(super) const ERRORS_MAX: usize = 100;
/// Syntax errors reported per file: the later ones mostly follow from the first.
pub(super) const SYNTAX_ERRORS_MAX: usize = 10;
/// The headers of one table in a configuration: credentials, and a few more.
pub(super) const HEADERS_MAX: usize = 16;
/// A header's value: agent servers and proxies refuse a request whose head is much longer.
pub(super) const HEADER_BYTES_MAX: usize = 8 << 10;
/// 16 random characters cannot be guessed over a network.
pub(super) const API_KEY_CHARS_MIN: usize = 16;
/// Keys for callers: each request is compared with all of them.
pub(super) const API_KEYS_MAX: usize = 1000;
/// Web pages that may use the API: each request of a browser is compared with all of them.
pub(super) const ORIGINS_MAX: usize = 100;
