//! The limit of every queue, body, fan-out and wait, each with its reason.

use std::time::Duration;

use jiff::Timestamp;

mod acts;
mod asked_times;
mod backup;
mod daemons;
mod editing;
mod feeds;
mod generations;
mod grep;
mod notifications;
mod page;
mod page_crons;
mod page_runs;
mod report;
mod retention;
mod self_care;
mod server;
mod setting_up;
mod waiting;
mod writes;

pub use acts::*;
pub use asked_times::*;
pub use backup::*;
pub use daemons::*;
pub use editing::*;
pub use feeds::*;
pub use generations::*;
pub use grep::*;
pub use notifications::*;
pub use page::*;
pub use page_crons::*;
pub use page_runs::*;
pub use report::*;
pub use retention::*;
pub use self_care::*;
pub use server::*;
pub use setting_up::*;
pub use waiting::*;
pub use writes::*;

/// Occurrences that one pass plans, which the crons that are due share: after an outage of a year, crons that fire every
/// second must not hold the writer for minutes. The next pass, which follows at once, plans the rest.
pub const OCCURRENCES_PER_PASS: usize = 10_000;

/// An occurrence found at most this late is on time: a busy machine or a restart of the daemon is not a misfire.
pub const ON_TIME_WITHIN: Duration = Duration::from_secs(5);

/// How long a cron waits for a run that was recovered to be looked at before it is planned all the same, because the agent
/// server may be away. It is shorter than [`ON_TIME_WITHIN`], so only an occurrence with a shorter deadline comes too late by it.
pub const RECOVERED_WAIT: Duration = Duration::from_secs(3);

/// The default `start_deadline` is the time until the next occurrence, but at most this.
pub const START_DEADLINE_MAX: Duration = Duration::from_secs(3600);

/// Further runs of one occurrence: what has failed so often needs a person.
pub const RETRIES_MAX: u32 = 10;

/// How much longer each wait before a retry may be than the one before.
pub const RETRY_FACTOR_MAX: u32 = 10;

/// The longest wait before a retry, whatever the policy or the error says: what comes later is another occurrence.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);

/// The least wait before a retry after an overload: providers count most limits by the minute.
pub const OVERLOAD_WAIT_MIN: Duration = Duration::from_secs(60);

/// Backfilled runs of one cron start one after the other, which may take days; after this long nobody waits for them.
pub const BACKFILL_DEADLINE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Occurrences that are counted in a record that a step of the clock cuts: the writer must not be held for long. A record
/// with more is a pause of ten days of a cron that fires every second, and stays as it is.
pub const RANGE_WALK_MAX: usize = 1_000_000;

/// How often calendars are compared with the zone database, which looks at the files in use every five minutes: it costs
/// next to nothing.
pub const ZONES_CHECKED_EVERY: Duration = Duration::from_secs(60);

/// This program did not exist before 2026, so a clock that shows an earlier time has not been set since the machine was
/// started.
pub const CLOCK_EARLIEST: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The wall clock may differ from the monotonic clock by this much between two checks, which are at
/// most a second apart, before it counts as a step.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(2);

/// The body of a request to our own `/v1`, whose longest part is a note.
pub const API_BODY_BYTES_MAX: usize = 64 * 1024;

/// One read of the API, including the wait for its turn: a longer read keeps SQLite from resetting the WAL.
pub const READ_WAIT: Duration = Duration::from_secs(10);

/// Items on one page of the API.
pub const PAGE_ITEMS_MAX: u32 = 1_000;

/// The longest cursor that we give out contains the longest name of a cron; a longer one is not ours.
pub const CURSOR_CHARS_MAX: usize = 2_000;

/// How long a health check waits for the store: a slow disk does not mean that the daemon is dead.
pub const HEALTH_WAIT: Duration = Duration::from_secs(5);

/// The body of a request that is forwarded to the agent server: real requests are a fraction of this.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The request line and the headers of a request, and the part of its body that is read at once.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;

/// TCP connections with an accepted request at once: each may take another one to the agent server, and a service may have
/// 16 384 files open. The one that has waited longest for its next request makes room for another; if all are busy, further
/// requests are refused.
pub const HTTP_CONNECTIONS_MAX: usize = 2_048;

/// TCP connections at once of which no request has been accepted: each may fill the buffer of a head. They are always
/// accepted, and the oldest is dropped for a new one, so there must be enough that a client whose request is on its way is
/// not the oldest.
pub const HTTP_STRANGERS_MAX: usize = 512;

/// Connections that the system keeps for us until we accept them: during a flood, a client that finds the queue full would
/// try again only after a second.
pub const ACCEPT_QUEUE: u32 = 1_024;

/// How long a new connection may take until its first request is accepted: its head fits into a few packets.
pub const STRANGER_WAIT: Duration = Duration::from_secs(10);

/// Connections to the Unix socket at once, with and without a request. They are for commands and are counted apart, so that
/// a command can connect however many clients there are over TCP.
pub const SOCKET_CONNECTIONS_MAX: usize = 64;

/// Bodies of requests for runs and crons that are held in memory at once: they are read as a whole. They are counted as
/// they arrive.
pub const HELD_BODIES_BYTES_MAX: usize = 8 * HTTP_BODY_BYTES_MAX;

/// The beginning of a held body that is not counted: ordinary requests are shorter, and never wait for large ones. The
/// number of connections bounds how many there are.
pub const HELD_BODY_UNCOUNTED_BYTES: usize = 64 * 1024;

/// How long a held body waits until there is room for its next piece. Many half bodies may wait for one another, and the
/// first that gives up lets the others go on.
pub const HELD_BODY_TURN_WAIT: Duration = Duration::from_secs(5);

/// How long the body of a request for a run may take to arrive completely.
pub const HELD_BODY_WAIT: Duration = Duration::from_secs(60);

/// Bodies that are forwarded to the agent server before they are complete: each keeps a worker there waiting, and a server
/// that waits for thousands of clients serves nobody.
pub const STREAMED_BODIES: usize = 64;

/// What must have arrived of such a body: ordinary requests are shorter, and are forwarded when they are complete.
pub const STREAMED_BODY_BEGINNING_BYTES: usize = 64 * 1024;

/// How long a shorter body is waited for before what there is of it is forwarded: it may be a stream of its own.
pub const STREAMED_BODY_BEGINNING_WAIT: Duration = Duration::from_secs(1);

/// How long such a body waits for one of these places.
pub const STREAMED_BODY_TURN_WAIT: Duration = Duration::from_secs(5);

/// The slowest average at which a body may arrive, after the first [`CLIENT_SILENCE`]: a client that sends byte after byte
/// must not hold its connection for hours. A poor mobile network has several times this.
pub const BODY_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;

/// JSON up to this size is parsed at once; it takes a fraction of a millisecond. Longer JSON is parsed beside the loops.
pub const PARSED_AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// Long JSON texts that are parsed at the same time: the loops need the processors as well.
pub const PARSES_AT_ONCE: usize = 2;

/// The part of a response that is read on its way to the client, to learn the ids of its run: the first event, or the
/// run itself with its input.
pub const TEE_BYTES_MAX: usize = 1024 * 1024;

/// How long a client may take to send a request, to send more of its body, and to receive more of a response.
pub const CLIENT_SILENCE: Duration = Duration::from_secs(30);

/// The request that creates a cron through the API: its payload may be 1 MiB long, and JSON may contain white space.
pub const CRON_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The values of that request, those within others included: a parsed value takes up to a hundred bytes, however short it
/// is written.
pub const CRON_VALUES_MAX: usize = 100_000;

/// Crons made through the API: each takes rows and its turns, and a client in a loop must be stopped.
pub const API_CRONS_MAX: u64 = 20_000;

/// Crons in one response to a search, as on the agent server.
pub const SEARCH_LIMIT_MAX: usize = 1_000;

/// Crons imported from a server at once: one file should not hold more.
pub const IMPORTED_CRONS_MAX: usize = 10_000;

/// Crons from files with metrics of their own: some twenty series each, in a text of 1.5 MB that takes 50 ms, which is much for
/// one target and little for Prometheus. Whoever has more watches them by other labels.
pub const METRIC_CRONS_MAX: usize = 1_000;

/// Reads of the API at once: a small machine can serve this many beside the daemon's own work. Each has a connection of
/// its own, which takes three open files.
pub const READS_AT_ONCE: usize = 4;

/// The runs with a webhook in one batch: they are recorded in one transaction, which must not keep the writer for long.
pub const BATCH_WEBHOOKS_MAX: usize = 1_000;

/// The assistant of a run that a client asks for: an id, or a name as long as configurations may have.
pub const ASSISTANT_CHARS_MAX: usize = 256;

/// The note of a pause or a hold: a reason, not a report.
pub const NOTE_CHARS_MAX: usize = 500;

/// Starts claimed in one transaction and in flight at once: enough to keep a fast server busy, and few enough that the
/// first of a large burst is sent while the rest is still being claimed.
pub const STARTS_IN_FLIGHT: usize = 128;

/// One of so many places on the agent server is kept for crons from files: enough that they start in time while clients
/// hold all the others, and few enough that clients hardly miss them.
pub const PLACES_PER_KEPT_ONE: usize = 8;

/// Connections that are held open by `join`. Further runs are polled, so that file descriptors cannot run out.
pub const JOINS_MAX: usize = 512;

/// A `join` is repeated after this long even if its connection is alive, so that a half-open connection cannot hold a
/// run for ever.
pub const JOIN_WAIT: Duration = Duration::from_secs(600);

/// The agent server keeps `join` alive with a byte every 5 s; after three are missing the connection counts as dead.
pub const JOIN_SILENCE: Duration = Duration::from_secs(20);

/// The time between two queries of a run that cannot be joined.
pub const POLL_WAIT: Duration = Duration::from_secs(2);

/// How often in a row the backend may not find a run before the run is recorded as lost: a replica that lags may not
/// know it yet.
pub const NOT_FOUND_MAX: u32 = 5;

/// How long we query the backend about an unconfirmed start before we give up and record that.
pub const UNCONFIRMED_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a cancelled run may take to end before we record its end without the backend's confirmation.
pub const CANCEL_WAIT: Duration = Duration::from_secs(60);

/// The largest response that is read from the backend. Values in a larger one are too large to keep.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest line of a server-sent event. Longer ones are skipped, and the run is queried afterwards.
pub const EVENT_LINE_BYTES_MAX: usize = 1024 * 1024;

/// The part of an error response that is kept: enough to see what happened, and too little to fill the store.
pub const DETAIL_CHARS_MAX: usize = 2_000;

/// The message of a graph's error that is kept: a traceback fits in, and a webhook with it is still small.
pub const RUN_ERROR_CHARS_MAX: usize = 16_000;

/// Assistants whose graphs are remembered as having breakpoints or not; beyond this, all are forgotten.
pub const ASSISTANTS_REMEMBERED: usize = 10_000;

/// How long that is remembered: a deployment may change the graph, and asking after every run would slow a burst down.
pub const BREAKPOINTS_REMEMBERED: Duration = Duration::from_secs(60);

/// A thread that is younger than its run by more than this was made anew, by a server that had lost it; clocks differ.
pub const THREAD_YOUNGER_MAX: Duration = Duration::from_secs(5);

/// Outages that a store remembers. A year of one every hour is more than anybody reads.
pub const OUTAGES_REMEMBERED: u32 = 10_000;

/// Receivers of clients that are known to be away at the same time: clients choose them, so there may be any number.
pub const RECEIVERS_AWAY_MAX: usize = 100;

/// An outage of the agent server is noticed within this time, while anything depends on it.
pub const BACKEND_NOTICED_WITHIN: Duration = Duration::from_secs(5);

/// While something depends on the agent server, it has been heard of within this time, or it is asked. The sooner it is
/// asked, the slower it may be without seeming away.
pub const BACKEND_ASKED_EVERY: Duration = Duration::from_millis(500);

/// How long it may take to answer such a question, unless `backend.request_timeout` is shorter: what is left of
/// [`BACKEND_NOTICED_WITHIN`], less a moment in which the outage is committed.
pub const BACKEND_ANSWERS_WITHIN: Duration = Duration::from_millis(4400);

/// A question that fails after this time fails for good: two of them would take longer than [`BACKEND_NOTICED_WITHIN`]. What
/// fails sooner is asked a second time, because a server that starts refuses connections for a moment.
pub const BACKEND_HANGS_AFTER: Duration = Duration::from_secs(2);

/// How long `status` waits for an agent server that has not been asked lately; `health` takes two seconds at most.
pub const BACKEND_STATUS_WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two questions to an agent server that is away.
pub const BACKEND_AWAY_ASKED_EVERY: Duration = Duration::from_secs(5);

/// A run that was sent and not taken is no longer a hiccup when it is so late.
pub const UNSTARTED_AFTER: Duration = Duration::from_secs(10);

/// A receiver that failed is away if it has not been well again within this time, or if it fails again.
pub const RECEIVER_AWAY_AFTER: Duration = Duration::from_secs(3);

/// A receiver that is away again within this time has not been back: it fails now and then.
pub const RECEIVER_BACK_AFTER: Duration = Duration::from_secs(60);

/// The outages of one receiver are told in the log once in this time.
pub const RECEIVER_TOLD_EVERY: Duration = Duration::from_secs(3600);

/// But one that lasts this long is told in any case.
pub const RECEIVER_TOLD_AFTER: Duration = Duration::from_secs(5 * 60);

/// A daemon that cannot open its database because the disk is full tries again this often.
pub const ROOM_LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// The daemon writes until when it lived into its lock file this often. That is not flushed, so it costs nothing, and only a
/// power cut can take it back.
pub const SEEN_EVERY: Duration = Duration::from_secs(1);

/// The daemon commits a sign of life this often, even if it has nothing else to commit.
pub const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(30);

/// Runs listed on a thread to find ours, which is among the newest.
pub const LISTED_RUNS_MAX: usize = 1_000;

/// The fence waits this long on the server: ten years, which is longer than any copy of a request can be delayed.
pub const FENCE_SECONDS: u64 = 315_360_000;

/// Fenced threads are deleted after this long: by then no copy of the request can still be on its way.
pub const FENCE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Thread deletions in flight at once: housekeeping must not crowd out runs.
pub const DELETIONS_IN_FLIGHT: usize = 8;

/// Webhook attempts in flight at once.
pub const ATTEMPTS_IN_FLIGHT: usize = 256;
/// Of these, attempts for clients: their URLs, which may all hang, leave the others to the webhooks of files.
pub const CLIENT_ATTEMPTS_IN_FLIGHT: usize = ATTEMPTS_IN_FLIGHT / 4 * 3;

/// URLs of one receiver that are looked through in one pass for a webhook that may be sent.
pub const URLS_PER_PASS: usize = 256;

/// Webhook attempts in flight to one URL at once: a receiver that hangs holds this many permits and no more.
pub const ATTEMPTS_PER_URL: usize = 4;
/// Webhook attempts in flight to one origin at once: one of its URLs that hangs leaves as many to the others.
pub const ATTEMPTS_PER_ORIGIN: usize = 2 * ATTEMPTS_PER_URL;

/// A receiver gets as many times as many as it answers faster than this: it gives each back at once, and they wait for
/// commits. So many times at most, and a quarter of that while half of all are in flight, so that others get theirs.
pub const FAST_ANSWER: Duration = Duration::from_millis(400);
pub const ATTEMPTS_IF_FAST: usize = 16;

/// Origins and URLs whose failures are remembered: clients choose them, and a name is easily made up. Beyond this, those
/// whose circuit breaker is closed are forgotten.
pub const RECEIVERS_REMEMBERED: usize = 10_000;

/// Receivers that are asked whether they are back, before anything is due there, in one pass: each costs a look into the
/// store, and the others have their turn in the next pass.
pub const EARLY_PER_PASS: usize = 32;

/// How often it is checked whether anything still waits for the receivers that are away, at most.
pub const IDLE_RECEIVERS_CHECKED_EVERY: Duration = Duration::from_secs(1);

/// One webhook attempt in all, from the name lookup to the last byte of the response.
pub const ATTEMPT_WAIT: Duration = Duration::from_secs(20);

/// The most that is read of a receiver's response, which carries no information for us.
pub const RECEIVER_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The part of an unsuccessful response that is kept: enough to read an error message.
pub const RECEIVER_ANSWER_KEPT_BYTES_MAX: usize = 4 * 1024;

/// Interim answers (1xx) that are read before the final one: a receiver may announce that it works, not fill the line.
pub const INTERIM_ANSWERS_MAX: usize = 100;

/// A receiver may ask us to retry later, but not later than this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// A signature that is older or younger than this proves nothing: the tolerance of the Standard Webhooks libraries.
pub const SIGNATURE_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Certificates of a receiver's chain that are shown; the later ones are of no interest.
pub const CERTIFICATES_SHOWN: usize = 10;

/// Names of a certificate that are shown: some certificates have hundreds.
pub const CERTIFICATE_NAMES_SHOWN: usize = 5;

/// A receiver's clock that is off by this much is worth a warning: it may drift on until it refuses signatures.
pub const CLOCK_SKEW_WARNED: Duration = Duration::from_secs(60);

/// Connections that `webhook listen` has open at once: as many as the courier opens to a receiver that answers fast.
pub const LISTEN_CONNECTIONS: usize = ATTEMPTS_PER_ORIGIN * ATTEMPTS_IF_FAST;

/// The largest body that `webhook listen` reads: no webhook of ours is larger.
pub const LISTEN_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bodies that `webhook listen` holds at once, so that its memory stays bounded under any load.
pub const LISTEN_BODIES: usize = 4;

/// How long a body for `webhook listen` may take: over loopback, one that takes longer is not going to arrive.
pub const LISTEN_BODY_WAIT: Duration = Duration::from_secs(30);

/// Webhook ids that `webhook listen` remembers to recognise repeats: hours of a busy daemon.
pub const LISTEN_IDS_KEPT: usize = 10_000;

/// One lookup of a receiver's name.
pub const LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// Addresses of one receiver that are tried; each gets its share of the time.
pub const RECEIVER_ADDRESSES_MAX: usize = 4;

/// TCP and TLS together, and for the agent server the lookup of its name as well. When this is over, nothing was sent.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// The longest sleep: the wall clock is read again after it, so that a step or a resume from suspend is noticed.
pub const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Parsed definitions that the store keeps in memory are at most twice as many. One takes some kilobytes, and parsing it
/// again takes less than a tenth of a millisecond.
pub const PARSED_DEFINITIONS: usize = 4_096;

/// A cron that is due waits no longer than this for room, so that its run can be sent without waiting in the store first:
/// well within [`ON_TIME_WITHIN`].
pub const PLANNED_WITHIN: Duration = Duration::from_secs(1);

/// Queries about runs in flight at once. Together with the starts, the joins and the webhooks they stay below the 1 024
/// files that a process may have open by default.
pub const QUERIES_IN_FLIGHT: usize = 128;

/// Runs claimed at once for a query: a restart may find thousands, and starts wait behind them.
pub const CHECKS_PER_CLAIM: usize = 1_024;

/// Webhooks per second after a release with a rate: a receiver that needs a rate does not want more.
pub const RELEASE_RATE_MAX: u32 = 1_000;

/// Deliveries replayed by one request unless it says otherwise.
pub const REPLAY_DEFAULT: u32 = 1_000;

/// The most deliveries that one request can replay: a request for more is a mistake, and the writer has other work.
pub const REPLAY_MAX: u32 = 10_000;

/// Deliveries that the response to a replay lists one by one.
pub const REPLAY_LISTED: usize = 20;

/// Deliveries that one transaction suppresses, so that the writer is never busy for long.
pub const SUPPRESSED_PER_COMMIT: usize = 5_000;

/// Definitions that one transaction deletes: for each of them all runs of a cron may have to be searched.
pub const DEFINITIONS_PER_COMMIT: usize = 100;

/// Failing crons of which `status` quotes the last error: more than anybody reads, and quickly read from the store.
pub const FAILURES_QUOTED: usize = 50;

/// Ended runs of a failing cron that are looked through for the last failure. What is newer was skipped or missed.
pub const FAILURES_LOOKED_THROUGH: u32 = 50;

/// Characters of an error that `status` shows in its line about a cron or a receiver.
pub const ERROR_CHARS_IN_STATUS: usize = 120;

/// The newest runs that a command lists if the daemon is asked for all: they are in memory until the oldest has arrived.
pub const RUNS_FROM_DAEMON_MAX: u64 = 100_000;

/// A daemon that is well responds within milliseconds, and a command that could read the database must not wait for one
/// that hangs.
pub const RESPONSE_WITHIN: Duration = Duration::from_secs(1);

/// A webhook that failed is shown as trouble if it has waited for so long, or will: others get through at the next attempt.
pub const UNDELIVERED_AFTER: Duration = Duration::from_secs(60);

/// URLs to which webhooks do not get through that `status` lists one by one.
pub const UNDELIVERED_LISTED: usize = 20;

/// Suspended URLs that are listed one by one.
pub const SUSPENDED_LISTED: u32 = 20;

/// Times without occurrences that are remembered of each cron, to explain why it did not fire: a client that disables
/// and enables its cron in a loop must not fill the disk.
pub const INACTIVE_SPANS_PER_CRON: u32 = 100;

/// How often a delivery looks whether the placeholders of its URL have values: a credential that appears is used within
/// half a minute, and ten thousand such deliveries cost some hundred small commits a second.
pub const VALUE_LOOKED_UP_EVERY: Duration = Duration::from_secs(30);

/// How often the configuration files are looked at, without being opened: a change that nothing notifies us of takes
/// effect within half a minute, the time to read the files included.
pub const FILES_LOOKED_AT_EVERY: Duration = Duration::from_secs(20);

/// Symbolic links followed on the way to one file: the kernel follows no more (`path_resolution(7)`).
pub const SYMLINKS_FOLLOWED: usize = 40;

/// Characters of an error that the line of an ended run shows: `show` has all of it.
pub const LOGGED_ERROR_CHARS: usize = 200;

/// Failures whose last line is remembered, so that they are logged once an hour: a client can name any number of receivers.
pub const REPEATS_REMEMBERED: usize = 1_024;

/// Bytes of a text in an entry of the journal, whose fields must fit together into one datagram of some 200 KiB.
pub const JOURNAL_TEXT_BYTES_MAX: usize = 48 << 10;

/// How often the service manager is told what we do: a person reads it.
pub const STATUS_LINE_EVERY: Duration = Duration::from_secs(1);

/// Failing crons that the line for the service manager names.
pub const STATUS_LINE_CRONS: u64 = 3;
