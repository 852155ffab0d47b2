//! What the web page may cost, and how long somebody stays logged in.

use std::time::Duration;

use jiff::SignedDuration;

/// How long a session lasts that nobody uses: a working day, and no night.
pub const SESSION_IDLE: SignedDuration = SignedDuration::from_hours(12);

/// How often it is noted that a session is in use: a commit for each page would be a commit too many.
pub const SESSION_TOUCHED_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// Sessions at once: more than people who look after one daemon have browsers.
pub const SESSIONS_MAX: u32 = 500;

/// Sessions that are looked up at once. Whoever sends wrong ones waits for their kind only.
pub const SESSION_LOOKUPS_AT_ONCE: usize = 2;

/// How long a link of `agentcron open` can be used: as long as it takes to copy it into a browser.
pub const LINK_LASTS: Duration = Duration::from_secs(60);

/// How long a link can be made to last: as long as it takes to notice it.
pub const LINK_LASTS_MAX: Duration = Duration::from_secs(600);

/// Links at once, the oldest of which makes room.
pub const LINKS_MAX: usize = 32;

/// Wrong keys that an address may try in a minute. Keys are too long to be guessed; this keeps the log short.
pub const LOGIN_TRIES_PER_MINUTE: usize = 5;

/// Addresses whose tries are counted at once.
pub const LOGIN_ADDRESSES_MAX: usize = 1000;

/// Bytes of what somebody sends who has not shown who they are: a key and a path.
pub const LOGIN_BYTES_MAX: usize = 8 << 10;

/// Bytes of a form of the page: a note, an input and the names of a thousand crons.
pub const FORM_BYTES_MAX: usize = 1 << 20;

/// Rows on a page unless the reader asks for more; 100 rows are 95 KB of HTML.
pub const PAGE_ROWS: u32 = 50;

/// Rows on a page at most: beyond that, a browser takes seconds.
pub const PAGE_ROWS_MAX: u32 = 200;

/// How long pages share what costs much to find out, such as the state of ten thousand crons.
pub const PAGE_KEPT_FOR: Duration = Duration::from_secs(1);

/// How many times as long as it took to find out it is kept at least: so it costs a twentieth of a core.
pub const PAGE_KEPT_TIMES: u32 = 20;

/// It is kept no longer for that: whoever looks at a slow machine still sees news.
pub const PAGE_KEPT_AT_MOST: Duration = Duration::from_secs(5);

/// Answers of one kind that are kept, such as the reports of several periods.
pub const PAGE_KEYS_KEPT: usize = 8;

/// Crons of which what is scheduled is counted: their definitions stay parsed, and are as many as fit there without pushing out those
/// of runs.
pub const COMING_CRONS_MAX: usize = 1_000;

/// Occurrences of a cron that are counted one by one; a cron that fires more often in a day goes on as it began.
pub const COMING_STEPS_MAX: u64 = 300;

/// How long pages share what changes by the hour.
pub const PAGE_HOURS_KEPT_FOR: Duration = Duration::from_secs(60);
