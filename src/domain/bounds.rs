//! Every queue, body, fan-out and wait has a bound; they stand here, each with its reason.

use std::time::Duration;

use jiff::Timestamp;

/// Occurrences of one cron taken up in one pass: an outage of a year of a cron that fires every second must not
/// hold the writer for minutes. What is left is taken up by the next pass, at once.
pub const OCCURRENCES_PER_PASS: usize = 10_000;

/// An occurrence found at most this late is on time: a busy machine or a restart of the daemon is no misfire.
pub const ON_TIME_WITHIN: Duration = Duration::from_secs(5);

/// The default `start_deadline` is the time until the next occurrence, but no more than this.
pub const START_DEADLINE_MAX: Duration = Duration::from_secs(3600);

/// Backfilled runs of one cron go one after the other, which may take days; after this long nobody waits for them.
pub const BACKFILL_DEADLINE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Instants in one backfill, whatever the order allows: more are asked for by mistake.
pub const BACKFILL_INSTANTS_MAX: usize = 10_000;

/// A cursor further in the future than this comes from a clock that was wrong, and must not keep a cron silent.
pub const CURSOR_AHEAD_MAX: Duration = Duration::from_secs(3600);

/// This program did not exist before; a clock that says so has not been set yet since the machine was started.
pub const CLOCK_EARLIEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The wall clock may run this far from the monotonic one in a second before it counts as a step.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(2);

/// A request to our own `/v1`; a note is its longest part.
pub const API_BODY_BYTES_MAX: usize = 64 * 1024;

/// One read of the API, and the wait for its turn: a longer one keeps the WAL from being shortened.
pub const READ_WAIT: Duration = Duration::from_secs(10);

/// Items on a page of the API.
pub const PAGE_ITEMS_MAX: u32 = 1_000;

/// The longest cursor that we give out has the longest name of a cron in it; longer ones are not ours.
pub const CURSOR_CHARS_MAX: usize = 2_000;

/// The store's answer to whoever asks whether the daemon lives: a slow disk is no dead daemon.
pub const HEALTH_WAIT: Duration = Duration::from_secs(5);

/// A request that is passed on to the agent server: what it is asked with fits in a fraction of this.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The line and the headers of a request, and what is read at once of its body.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Connections by TCP at once; each may take another one to the agent server, and the files that a service may have
/// open are 16 384. Whoever comes then waits until one has ended.
pub const HTTP_CONNECTIONS_MAX: usize = 2_048;

/// Connections to the Unix socket at once: commands, for which there is always a place, however many come by TCP.
pub const SOCKET_CONNECTIONS_MAX: usize = 64;

/// Bodies of requests for runs that are held in memory at once, to see whether they ask for a webhook; who comes then
/// waits for its turn.
pub const HELD_BODIES_BYTES_MAX: usize = 8 * HTTP_BODY_BYTES_MAX;

/// How long the body of such a request may take in all.
pub const HELD_BODY_WAIT: Duration = Duration::from_secs(60);

/// Of an answer, this much is listened to on its way to the client, to learn which run it tells of: its first event, or
/// the run itself with what it was given.
pub const TEE_BYTES_MAX: usize = 1024 * 1024;

/// How long a client may keep us waiting for a request, for more of its body, and with taking an answer.
pub const CLIENT_SILENCE: Duration = Duration::from_secs(30);

/// A cron made through the API: its payload may have 1 MiB, and JSON may be written with blanks.
pub const CRON_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Crons made through the API; each is held in memory by the scheduler, and a client in a loop must find an end.
pub const API_CRONS_MAX: u64 = 20_000;

/// Crons in one answer of a search, as the agent server has it.
pub const SEARCH_LIMIT_MAX: usize = 1_000;

/// Crons taken over from a server at once: more than one file should hold.
pub const IMPORTED_CRONS_MAX: usize = 10_000;

/// Reads of the API at once: as many as a small machine can serve beside the daemon's own work; each has a connection of
/// its own, which is three open files.
pub const READS_AT_ONCE: usize = 4;

/// The assistant of a run that a client asks for: an id, or a name of the length that configurations may have.
pub const ASSISTANT_CHARS_MAX: usize = 256;

/// The longest note of a pause or a hold: a reason, not a report.
pub const NOTE_CHARS_MAX: usize = 500;

/// Starts claimed in one transaction and in flight at once: enough to keep a fast server busy, few enough that
/// the first of a large burst goes out while the rest is still being claimed.
pub const STARTS_IN_FLIGHT: usize = 128;

/// Connections held open by `join`; beyond that runs are polled, so that descriptors cannot run out.
pub const JOINS_MAX: usize = 512;

/// A `join` is asked again after this long even if it is alive, so that no half-open connection holds a run forever.
pub const JOIN_WAIT: Duration = Duration::from_secs(600);

/// The agent server keeps `join` alive with a byte every 5 s; three missed and the connection is taken for dead.
pub const JOIN_SILENCE: Duration = Duration::from_secs(20);

/// The wait between two looks at a run whose `join` is not to be had.
pub const POLL_WAIT: Duration = Duration::from_secs(2);

/// How often in a row the backend may not know a run before it is called lost: a replica that lags is no loss.
pub const NOT_FOUND_MAX: u32 = 5;

/// How long we ask a backend about an attempt in doubt before we give up and say so.
pub const UNCONFIRMED_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a cancelled run may take to end before we record its end without the backend's word.
pub const CANCEL_WAIT: Duration = Duration::from_secs(60);

/// The largest answer read from the backend; larger values count as too large to keep.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest line of a server-sent event: larger ones are passed over, the run's truth is asked for afterwards.
pub const EVENT_LINE_BYTES_MAX: usize = 1024 * 1024;

/// Words of an error answer that are kept: enough to see what it was, too little to fill the store.
pub const DETAIL_CHARS_MAX: usize = 2_000;

/// Runs listed on a thread to find ours: it is among the newest.
pub const LISTED_RUNS_MAX: usize = 1_000;

/// The fence waits this long on the server: ten years, longer than any copy of a request can be late.
pub const FENCE_SECONDS: u64 = 315_360_000;

/// Fenced threads are deleted after this long: by then no copy of the request can still be on its way.
pub const FENCE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Thread deletions in flight at once: housekeeping must not crowd out runs.
pub const DELETIONS_IN_FLIGHT: usize = 8;

/// Webhook attempts in flight at once.
pub const ATTEMPTS_IN_FLIGHT: usize = 64;

/// Webhook attempts in flight to one origin at once: a receiver that hangs holds this many places and no more.
pub const ATTEMPTS_PER_ORIGIN: usize = 4;

/// Origins that are remembered for having failed: clients name them, and a name is easily made up. Beyond it those are
/// forgotten that need not be left alone now.
pub const ORIGINS_REMEMBERED: usize = 10_000;

/// One webhook attempt in all, from name lookup to the last byte of the answer.
pub const ATTEMPT_WAIT: Duration = Duration::from_secs(20);

/// The most that is read of a receiver's answer; a webhook's answer carries no information for us.
pub const RECEIVER_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Of an answer that is no success, this much is kept: enough to read an error message.
pub const RECEIVER_ANSWER_KEPT_BYTES_MAX: usize = 4 * 1024;

/// A receiver may ask for patience, but not for more than this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// A signature older or younger than this proves nothing: the tolerance of the Standard Webhooks libraries.
pub const SIGNATURE_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Certificates of a receiver's chain that are shown; more than a few say nothing more.
pub const CERTIFICATES_SHOWN: usize = 10;

/// Names of a certificate that are shown: some are for hundreds.
pub const CERTIFICATE_NAMES_SHOWN: usize = 5;

/// A receiver's clock that is this far off is worth a warning: it may drift on to where signatures are refused.
pub const CLOCK_SKEW_WARNED: Duration = Duration::from_secs(60);

/// Connections that `webhook listen` has open at once; a courier opens four.
pub const LISTEN_CONNECTIONS: usize = 32;

/// The largest body that `webhook listen` reads: no webhook of ours is larger.
pub const LISTEN_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bodies that `webhook listen` holds at once: its memory stays bounded whoever sends.
pub const LISTEN_BODIES: usize = 4;

/// A body that takes longer to arrive over loopback is not meant to arrive.
pub const LISTEN_BODY_WAIT: Duration = Duration::from_secs(30);

/// Webhook ids that `webhook listen` remembers to tell repeats: hours of a busy daemon.
pub const LISTEN_IDS_KEPT: usize = 10_000;

/// One look-up of a receiver's name.
pub const LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// Addresses of one receiver that are tried; each gets its share of the time.
pub const RECEIVER_ADDRESSES_MAX: usize = 4;

/// TCP and TLS together, and towards the agent server its name's look-up as well; after this nothing was sent.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Closures waiting for the writer; beyond it callers wait, so memory stays flat when the disk is slow.
pub const WRITES_QUEUED: usize = 4_096;

/// Closures in one transaction: large enough to share one fsync, small enough to answer the first soon.
pub const WRITES_PER_COMMIT: usize = 256;

/// No sleep is longer: the wall clock is read again after it, so a step or a resume from suspend is seen.
pub const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Crons planned in one pass, and one transaction: the first of a large burst are sent while the rest is still being
/// planned by the passes that follow at once.
pub const CRONS_PER_PASS: usize = 256;

/// Questions about runs in flight at once; with the starts, the joins and the webhooks fewer than the 1 024 files that
/// a process may have open by default.
pub const ASKS_IN_FLIGHT: usize = 128;

/// Runs to be looked at that are taken in hand at once: a restart may meet thousands, and starts wait behind them.
pub const CHECKS_PER_CLAIM: usize = 1_024;

/// Webhooks a second after a release at a rate: more than a receiver wants that asks for one.
pub const RELEASE_RATE_MAX: u32 = 1_000;

/// Deliveries replayed by one request unless it says otherwise, and at the most: more are asked for by mistake, and the
/// writer has other work.
pub const REPLAY_DEFAULT: u32 = 1_000;
/// See [`REPLAY_DEFAULT`].
pub const REPLAY_MAX: u32 = 10_000;

/// Deliveries that a replay tells one by one.
pub const REPLAY_LISTED: usize = 20;

/// Deliveries that one transaction suppresses, so that the writer is never away for long.
pub const SUPPRESSED_PER_COMMIT: usize = 5_000;

/// Definitions that one transaction forgets: all runs of a cron may have to be looked through for each.
pub const DEFINITIONS_PER_COMMIT: usize = 100;

/// Suspended URLs that are told one by one.
pub const SUSPENDED_LISTED: u32 = 20;
