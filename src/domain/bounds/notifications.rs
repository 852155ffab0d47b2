//! How soon and how often people are notified.

use std::time::Duration;

/// How long what begins or ends is gathered before it is told: what fails together is told together, and what is over by then is
/// not told at all.
pub const NOTIFIED_AFTER: Duration = Duration::from_secs(10);

/// Between two notifications of one kind: crons that fail one after the other must not make one message each.
pub const NOTIFIED_EVERY: Duration = Duration::from_secs(60);

/// Notifications about one thing that are made at once: that it fails, and that it works again.
pub const NOTIFIED_AT_ONCE: u32 = 2;

/// Between further notifications about one thing that comes and goes: somebody knows of it already.
pub const NOTIFIED_AGAIN_AFTER: Duration = Duration::from_secs(30 * 60);

/// A thing of which nothing was told for this long is told of at once again.
pub const NOTIFIED_AFRESH_AFTER: Duration = Duration::from_secs(60 * 60);

/// An outage of which nothing was told while it lasted is told of if it was at least this long: a restart is shorter.
pub const OUTAGE_WORTH_TELLING: Duration = Duration::from_secs(60);

/// How far back what is over already is looked for: a daemon that was away for longer has other news.
pub const NEWS_OF: Duration = Duration::from_secs(24 * 3600);

/// How long the store remembers what was told: longer than [`NEWS_OF`], so that nothing is told twice.
pub const TOLD_REMEMBERED: Duration = Duration::from_secs(48 * 3600);

/// Things that one notification names; of the others it has the number.
pub const NOTIFIED_NAMED_MAX: usize = 20;

/// From a commit to the look at what is to be told, so that many commits are one look.
pub const NOTIFIER_LOOKS_EVERY: Duration = Duration::from_secs(2);

/// The same while nothing was: a pause may have ended, or a run may be late by now.
pub const NOTIFIER_LOOKS_IDLY_EVERY: Duration = Duration::from_secs(20);

/// A run is said to be still running once it has been in progress for this long: most runs of agents take minutes.
pub const STILL_RUNNING_AFTER: Duration = Duration::from_secs(3600);

/// Targets of notifications in a configuration: each is told of everything, one request each.
pub const NOTIFY_TARGETS_MAX: usize = 100;

/// How long notifications that have ended are kept, for whoever asks whether one was sent.
pub const NOTIFICATIONS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a notification waits for its target to be in the files again.
pub const NOTIFICATION_WITHOUT_TARGET: Duration = Duration::from_secs(24 * 3600);

/// Between two pings for the daemon: the shortest period that services like healthchecks.io have.
pub const PING_EVERY: Duration = Duration::from_secs(60);

/// The least time between two: no service needs more.
pub const PING_EVERY_LEAST: Duration = Duration::from_secs(10);
