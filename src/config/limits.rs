//! Every bound of the configuration in one place, each with its reason.

use std::time::Duration;

/// A file is read whole; 100 000 crons fit into a fifth of this.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;
/// Files that `include` may bring in: a pattern on the wrong directory ends here.
pub(super) const FILES_MAX: usize = 10_000;
/// Nesting of values. Definitions are stored as JSON text, whose reader gives up at 128.
pub(super) const DEPTH_MAX: usize = 64;
/// A name stands in tables, log lines and metadata.
pub(super) const CRON_NAME_CHARS_MAX: usize = 100;
/// Assistant ids and thread names are single words.
pub(super) const WORD_CHARS_MAX: usize = 256;
/// What one cron sends to the server, serialised: it is stored with the cron and built anew for every run.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// The longest URL the server itself takes.
pub(super) const WEBHOOK_CHARS_MAX: usize = 4096;
/// Ranges in one `exclude`: ten years of public holidays and more.
pub(super) const EXCLUDE_MAX: usize = 1000;
/// No duration is longer, so that no sum of instants can overflow.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Times are stored in milliseconds; anything shorter would be stored as zero.
pub(super) const DURATION_MIN: Duration = Duration::from_millis(1);
/// One connection and one small task per run that is going.
pub(super) const CONCURRENT_RUNS_MAX: u64 = 10_000;
/// Values kept per run; the database is a record, not a warehouse.
pub(super) const VALUES_BYTES_MAX: u64 = 16 << 20;
/// A webhook body is built in memory, four at a time per origin.
pub(super) const WEBHOOK_BODY_BYTES_MAX: u64 = 16 << 20;
/// systemd's own bound for one credential.
pub(super) const CREDENTIAL_BYTES_MAX: u64 = 1 << 20;
/// Mistakes reported at once; who makes more has one mistake.
pub(super) const ERRORS_MAX: usize = 1000;
/// Syntax errors reported per file: the later ones are mostly echoes of the first.
pub(super) const SYNTAX_ERRORS_MAX: usize = 10;
/// A key that guards a port: 16 characters at random cannot be guessed over a network.
pub(super) const API_KEY_CHARS_MIN: usize = 16;
