//! What is wrong, and what is unusual on purpose, worst first. The text, the JSON and the exit code of `status` are made
//! from this one list.

mod notices;

use jiff::Timestamp;

use super::{counted, first_words, runs, times};
use crate::domain::backoff;
use crate::domain::bounds::{SIGN_OF_LIFE_EVERY, UNDELIVERED_AFTER, UNDELIVERED_LISTED};
use crate::domain::cron_state::{CronStatus, Pause, PauseCause};
use crate::domain::daemon::DaemonName;
use crate::domain::delivery_mode::{DeliveryMode, HoldCause};
use crate::domain::disk_space::DiskSpace;
use crate::domain::outage::{Away, Outage};
use crate::domain::words::words;
use crate::store::{
    CronHead, DaemonState, Denied, FormerDaemon, LostWebhooks, PanicTrace, STATUS_PERIOD, StatusSnapshot,
    Unstarted, WebhookQueue,
};
use crate::webhook::{is_of, redacted};

words!(
    /// What something is about, the worst first.
    Concern {
        /// All crons are paused. It is wanted, and stands first all the same: nothing of the schedule fires.
        AllPaused = "all_paused",
        /// The daemon does not run, or does not respond.
        Daemon = "daemon",
        /// A loop of the daemon is stuck.
        LoopStuck = "loop_stuck",
        /// The store cannot commit.
        Disk = "disk",
        /// The server of the store is away.
        Store = "store",
        /// The agent server is away or refuses our credentials.
        Backend = "backend",
        /// The agent server answers, and does not take runs.
        Unstarted = "unstarted",
        /// Another daemon runs with a copy of the store.
        StoreCopy = "store_copy",
        /// A part of the daemon panicked within a day.
        Panicked = "panicked",
        /// The disk of the store will be full soon.
        DiskLow = "disk_low",
        /// The files have mistakes, or differ from what is in force.
        Configuration = "configuration",
        /// A definition cannot be read by this version.
        CronUnreadable = "cron_unreadable",
        /// The last run of a cron failed.
        CronFailing = "cron_failing",
        /// A cron is paused.
        CronPaused = "cron_paused",
        /// The agent server refuses to show us runs or to delete threads.
        Denied = "denied",
        /// A receiver of webhooks is away.
        Receiver = "receiver",
        /// Webhooks to a URL do not get through, although its receiver is not away.
        Undelivered = "undelivered",
        /// A URL gets no webhooks, because its receiver said that it is gone.
        UrlSuspended = "url_suspended",
        /// Webhooks have failed for good.
        WebhooksLost = "webhooks_lost",
        /// The last backup failed.
        Backup = "backup",
        /// The port could not be opened.
        Listen = "listen",
        /// No webhook is sent until they are released.
        WebhooksHeld = "webhooks_held",
        /// The configuration disables webhooks.
        WebhooksDisabled = "webhooks_disabled",
        /// The backlog is being released at a rate.
        WebhooksReleased = "webhooks_released",
        /// The wall clock was set.
        ClockStep = "clock_step",
    }
);

/// One thing that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    pub what: Concern,
    /// Which cron, receiver or URL it is about; `None` if there is only one of its kind.
    pub subject: Option<String>,
    pub since: Option<Timestamp>,
    /// What is wrong, on one line. It may quote what came from outside.
    pub text: String,
    /// What to do about it; `None` if nothing has to be done.
    pub todo: Option<String>,
    /// `false` if somebody wants it so, or if it passes by itself.
    pub needs_person: bool,
}

impl Attention {
    fn new(what: Concern, text: impl Into<String>) -> Self {
        Self { what, subject: None, since: None, text: text.into(), todo: None, needs_person: true }
    }

    fn of(self, subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..self }
    }

    fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }

    fn todo(self, todo: impl Into<String>) -> Self {
        Self { todo: Some(todo.into()), ..self }
    }

    /// Names the daemon that says so, if several share the store.
    fn said_by(self, daemon: Option<&DaemonName>) -> Self {
        let Some(name) = daemon else { return self };
        Self { text: format!("{} ({name})", self.text), ..self }
    }

    fn on_purpose(self) -> Self {
        Self { needs_person: false, ..self }
    }
}

impl Concern {
    /// Returns what the order of the list depends on first: what somebody wanted comes last, but for what stops everything.
    pub fn rank(self, needs_person: bool) -> (bool, Self) {
        (!needs_person && self != Concern::AllPaused, self)
    }

    /// Whether it keeps all webhooks, or all to one URL, from their receivers.
    pub fn is_of_all_webhooks(self) -> bool {
        matches!(
            self,
            Self::WebhooksDisabled | Self::WebhooksHeld | Self::WebhooksReleased | Self::UrlSuspended
        )
    }

    /// Returns the words for it, before a name if it has one.
    pub fn called(self) -> &'static str {
        self.shown().0
    }

    /// Returns the command that lists all that this is about; `None` if there is never more than one.
    pub fn listed_by(self) -> Option<&'static str> {
        self.shown().1
    }

    fn shown(self) -> (&'static str, Option<&'static str>) {
        match self {
            Concern::AllPaused => ("all crons", None),
            Concern::Daemon => ("daemon", None),
            Concern::LoopStuck => ("stuck", None),
            Concern::Disk => ("disk", None),
            Concern::Store => ("store", None),
            Concern::Panicked => ("panic", None),
            Concern::DiskLow => ("disk", None),
            Concern::Backend => ("agent server", None),
            Concern::Unstarted => ("starts", Some("agentcron history --status unconfirmed,pending")),
            Concern::StoreCopy => ("copy of this store", None),
            Concern::Configuration => ("configuration", None),
            Concern::CronUnreadable => ("cron", Some("agentcron list")),
            Concern::CronFailing => ("cron", Some("agentcron list --failing")),
            Concern::CronPaused => ("cron", Some("agentcron list --state paused")),
            Concern::Denied => ("no access", None),
            Concern::Receiver => ("receiver", Some("agentcron outages")),
            Concern::Undelivered => ("URL", Some("agentcron webhook list --status pending")),
            Concern::UrlSuspended => ("URL", Some("agentcron webhook list --status gone")),
            Concern::WebhooksLost => ("webhooks", None),
            Concern::Backup => ("backup", None),
            Concern::Listen => ("not listening", None),
            Concern::WebhooksHeld | Concern::WebhooksDisabled | Concern::WebhooksReleased => {
                ("webhooks", None)
            }
            Concern::ClockStep => ("clock step", None),
        }
    }
}

/// Returns everything that is wrong or unusual, the worst first.
pub fn attention(snapshot: &StatusSnapshot, now: Timestamp) -> Vec<Attention> {
    let mut found: Vec<Attention> = daemon(snapshot, now).into_iter().collect();
    found.extend(snapshot.pause_of_all.as_ref().map(|pause| all_paused(pause, now)));
    found.extend(snapshot.stuck.iter().map(|(name, since)| stuck(name, *since)));
    let lasting = snapshot.outages.iter().filter(|outage| outage.until.is_none());
    found.extend(lasting.filter_map(|outage| away(outage, snapshot, now)));
    found.extend(snapshot.disk.filter(|space| space.is_low()).map(disk_low));
    found.extend(snapshot.panic.as_ref().and_then(|panic| panicked(panic, now)));
    found.extend(suspected(snapshot));
    found.extend(unstarted(snapshot));
    found
        .extend(snapshot.notices.iter().filter_map(|notice| notices::noticed(notice, &snapshot.daemon, now)));
    found.extend(snapshot.crons.iter().filter_map(|row| cron(row, snapshot, now)));
    found.extend(denied(snapshot.overview.denied));
    found.extend(undelivered(snapshot, now));
    found.extend(snapshot.lost.map(lost));
    found.extend(of_queue(&snapshot.queue));
    found.sort_by(|a, b| {
        let key = |one: &Attention| (one.what.rank(one.needs_person), one.since);
        key(a).cmp(&key(b)).then_with(|| a.subject.cmp(&b.subject))
    });
    found
}

/// Returns what is to be said of a daemon that has the store and does not respond at its socket.
pub fn daemon_silent(why: &str) -> Attention {
    Attention::new(Concern::Daemon, format!("it runs, and does not respond at its socket: {why}"))
        .todo("see its log, and restart it if it stays so")
}

/// Returns what is to be said of a loop that has been busy with one thing for too long.
fn stuck(name: &str, since: Timestamp) -> Attention {
    Attention::new(Concern::LoopStuck, format!("the {name} does not go on; this is a bug"))
        .since(since)
        .todo("restart the daemon, which loses nothing; WatchdogSec= in its unit does so by itself")
}

/// Returns what is to be said of a panic, until a day has passed.
fn panicked(panic: &PanicTrace, now: Timestamp) -> Option<Attention> {
    let found = Attention::new(Concern::Panicked, format!("this is a bug, at {}", panic.text));
    let todo = "please report it, with what `agentcron support` collects";
    (now.duration_since(panic.at) <= STATUS_PERIOD).then(|| found.since(panic.at).todo(todo))
}

/// Returns what is to be said of a disk that will be full soon.
fn disk_low(space: DiskSpace) -> Attention {
    let text = format!("nearly full: {}", space.described());
    Attention::new(Concern::DiskLow, text)
        .todo("make room: on a full disk, nothing can be recorded, and nothing starts")
}

/// Returns what is to be said of files that differ from what is in force.
pub fn files_differ(added: usize, changed: usize, removed: usize, daemon: Option<bool>) -> Attention {
    let text = format!(
        "the files differ from what is in force: {added} added, {changed} changed, {removed} removed"
    );
    let todo = match daemon {
        Some(false) => "they are read when the daemon starts",
        Some(true) | None => "the daemon reads them within half a minute, or says why not",
    };
    Attention::new(Concern::Configuration, text).todo(todo).on_purpose()
}

/// Returns what is to be said of mistakes that no daemon has seen yet.
pub fn files_mistaken(mistakes: u64) -> Attention {
    Attention::new(Concern::Configuration, format!("{} in the files", counted(mistakes, "mistake")))
        .todo("`agentcron check` shows them")
}

/// Returns what is to be said of all webhooks: what keeps them from their receivers.
pub fn of_queue(queue: &WebhookQueue) -> Vec<Attention> {
    let disabled = queue.disabled_since.map(|since| {
        Attention::new(Concern::WebhooksDisabled, "disabled (http.disable_webhooks): recorded, not sent")
            .since(since)
            .todo("remove the setting to send those of later runs")
            .on_purpose()
    });
    let mode = match &queue.mode {
        DeliveryMode::Free => None,
        DeliveryMode::Held(hold) => {
            let note = hold.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            let held =
                Attention::new(Concern::WebhooksHeld, format!("held{note}; {} waiting", queue.backlog));
            let held = held.since(hold.since);
            Some(match hold.cause {
                HoldCause::Request => held.todo("`agentcron webhook release` sends them").on_purpose(),
                HoldCause::Mistakes => held.todo("mend the configuration, and they are sent"),
            })
        }
        DeliveryMode::Released(release) => {
            let (rate, left) = (release.per_second, queue.backlog);
            let text = format!("released at {rate} per second; {left} of the backlog left");
            Some(Attention::new(Concern::WebhooksReleased, text).since(release.since).on_purpose())
        }
    };
    let suspended = queue.suspended.iter().map(|suspension| {
        Attention::new(Concern::UrlSuspended, format!("suspended: {}", first_words(&suspension.detail)))
            .of(&redacted(&suspension.url))
            .since(suspension.since)
            .todo("correct the cron's webhook, or `agentcron webhook resume URL`")
    });
    let named = queue.suspended.len() as u64;
    let more = queue.suspended.last().filter(|_| queue.suspended_count > named).map(|last| {
        let text = format!("{} more are suspended", queue.suspended_count - named);
        Attention::new(Concern::UrlSuspended, text).since(last.since)
    });
    disabled.into_iter().chain(mode).chain(suspended).chain(more).collect()
}

/// Returns what is to be said of the daemon's absence if no outage says it.
fn daemon(snapshot: &StatusSnapshot, now: Timestamp) -> Option<Attention> {
    match (&snapshot.daemon, snapshot.last_daemon) {
        (DaemonState::Running { .. } | DaemonState::Starting { .. }, _) | (DaemonState::Stopped, Some(_)) => {
            None
        }
        (DaemonState::Stopped, None) => Some(not_running("it has never run with this database")),
        (DaemonState::Unknown(problem), last) => {
            let is_alive = |last: FormerDaemon| {
                last.stopped_at.is_none() && backoff::between(last.seen_at, now) < 2 * SIGN_OF_LIFE_EVERY
            };
            let text = format!("no sign of life, and its lock cannot be read: {problem}");
            let unknown =
                Attention::new(Concern::Daemon, text).todo("look at it as root, or as its own user");
            match last {
                Some(last) if is_alive(last) => None,
                Some(last) => Some(unknown.since(last.seen_at)),
                None => Some(unknown),
            }
        }
    }
}

fn not_running(why: &str) -> Attention {
    Attention::new(Concern::Daemon, format!("not running: {why}"))
        .todo("nothing fires until it is started (`systemctl start agentcron`, or `agentcron run`)")
}

fn away(outage: &Outage, snapshot: &StatusSnapshot, now: Timestamp) -> Option<Attention> {
    let why = first_words(&outage.why);
    let found = match outage.what {
        // It is over by the time when it is known.
        Away::Record => return None,
        Away::Daemon => not_running(&why),
        Away::Disk => Attention::new(Concern::Disk, format!("the store cannot commit: {why}")).todo(
            "make room on the disk, or end the program that locks the file; nothing is started until then",
        ),
        Away::Store => Attention::new(Concern::Store, format!("its server is away: {why}"))
            .todo("see to that server, or correct store.url and restart; nothing is started until then"),
        Away::Backend => Attention::new(Concern::Backend, format!("away: {why}"))
            .todo("start it, or correct [backend]; runs wait until their start deadline"),
        Away::Access => Attention::new(Concern::Backend, format!("refuses us: {why}")).todo(
            "correct backend.api_key or backend.headers and restart; runs wait until their start deadline",
        ),
        Away::Receiver => {
            Attention::new(Concern::Receiver, why + &queued_for(&outage.subject, snapshot, now))
                .of(&outage.subject)
                .todo("repair it; `agentcron webhook list --status pending` shows what waits")
        }
    };
    let found = found.said_by(outage.seen_by.as_ref());
    let is_known = outage.what == Away::Daemon || snapshot.daemon != DaemonState::Stopped;
    is_known.then(|| found.since(outage.since))
}

/// Returns what is to be said of an agent server that does not answer and is not known to be away.
fn suspected(snapshot: &StatusSnapshot) -> Option<Attention> {
    let silence = snapshot.backend.silent.as_ref()?;
    let is_known = |outage: &Outage| outage.what == Away::Backend && outage.until.is_none();
    (!snapshot.outages.iter().any(is_known)).then(|| {
        let text = format!("does not answer so far: {}", first_words(silence));
        Attention::new(Concern::Backend, text).todo("it is asked again at once").on_purpose()
    })
}

/// Returns what is to be said of runs that the agent server does not take, unless an outage says it.
fn unstarted(snapshot: &StatusSnapshot) -> Option<Attention> {
    let Unstarted { count, since, why } = snapshot.unstarted.as_ref()?;
    let says_it =
        |outage: &Outage| outage.until.is_none() && matches!(outage.what, Away::Backend | Away::Access);
    (!snapshot.outages.iter().any(says_it)).then(|| {
        let text = format!("{} not taken by the agent server: {}", counted(*count, "run"), first_words(why));
        Attention::new(Concern::Unstarted, text)
            .since(*since)
            .todo("look into its log; what is not started waits until its start deadline")
    })
}

/// Returns `; 20 webhooks queued, next attempt in 4 min`, or nothing if none is queued for this receiver.
fn queued_for(subject: &str, snapshot: &StatusSnapshot, now: Timestamp) -> String {
    let queued = snapshot.queued.iter().filter(|queued| is_of(&queued.url, subject));
    let (count, next) = queued.fold((0, None::<Timestamp>), |(count, next), queued| {
        (count + queued.count, Some(next.map_or(queued.next_at, |next| next.min(queued.next_at))))
    });
    let Some(next) = snapshot.probes.get(subject).copied().or(next).filter(|_| count > 0) else {
        return String::new();
    };
    let next = match snapshot.queue.mode {
        DeliveryMode::Held(_) => "held".to_owned(),
        DeliveryMode::Free | DeliveryMode::Released(_) => {
            format!("next attempt {}", times::relative(next.max(now), now))
        }
    };
    format!("; {} queued, {next}", counted(count, "webhook"))
}

/// Returns what is to be said of webhooks that have not got through for a while, or will not for a while, without an outage
/// that says it.
fn undelivered(snapshot: &StatusSnapshot, now: Timestamp) -> Vec<Attention> {
    let lasting = |outage: &&Outage| outage.what == Away::Receiver && outage.until.is_none();
    let is_away =
        |url: &str| snapshot.outages.iter().filter(lasting).any(|outage| is_of(url, &outage.subject));
    let mut failing: Vec<_> = snapshot
        .queued
        .iter()
        .filter_map(|queued| Some((queued.url.as_str(), queued.failing.as_ref()?)))
        .filter(|(url, failing)| {
            let waits = [(failing.since, now), (now, failing.next_at)];
            waits.iter().any(|(from, to)| backoff::between(*from, *to) >= UNDELIVERED_AFTER) && !is_away(url)
        })
        .collect();
    failing.sort_by_key(|(_, failing)| failing.since);
    let more = failing.len().saturating_sub(UNDELIVERED_LISTED);
    let more = (more > 0)
        .then(|| Attention::new(Concern::Undelivered, format!("webhooks to {more} more do not get through")));
    let listed = failing.into_iter().take(UNDELIVERED_LISTED).map(|(url, failing)| {
        let (count, why) = (counted(failing.count, "webhook"), first_words(&failing.why));
        let next = times::relative(failing.next_at.max(now), now);
        Attention::new(Concern::Undelivered, format!("{why}; {count} not delivered, next attempt {next}"))
            .of(&redacted(url))
            .since(failing.since)
            .todo("correct the URL, [webhooks] or the receiver; `agentcron webhook list --status pending`")
    });
    listed.chain(more).collect()
}

fn lost(lost: LostWebhooks) -> Attention {
    Attention::new(Concern::WebhooksLost, format!("{} failed for good", lost.count)).since(lost.since).todo(
        "`agentcron webhook list --status failed,blocked` says why, `agentcron webhook replay --status failed,blocked` sends them",
    )
}

fn all_paused(pause: &Pause, now: Timestamp) -> Attention {
    let note = pause.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let text = format!("paused{note}; nothing of any schedule fires{}", end_of(pause, now));
    Attention::new(Concern::AllPaused, text)
        .since(pause.since)
        .todo("`agentcron resume --all` ends the pause")
        .on_purpose()
}

/// Returns `, ends in 3 h` if a pause ends by itself.
fn end_of(pause: &Pause, now: Timestamp) -> String {
    pause.until.map(|until| format!(", ends {}", times::relative(until, now))).unwrap_or_default()
}

fn cron(row: &CronHead, snapshot: &StatusSnapshot, now: Timestamp) -> Option<Attention> {
    let (name, state) = (&row.name, &row.state);
    let found = match &row.status {
        Err(problem) => {
            Attention::new(Concern::CronUnreadable, format!("cannot be read: {}", first_words(problem)))
                .todo("define it again, for this version of agentcron")
        }
        Ok(CronStatus::Disabled) => return None,
        Ok(CronStatus::Active | CronStatus::Paused) => {
            let error = snapshot.last_failures.get(&row.cron_id).map(|row| first_words(&runs::why_of(row)));
            let error = error.filter(|error| !error.is_empty());
            match (&state.paused, state.failures) {
                (None, 0) => return None,
                (None, failures) => {
                    let times =
                        if failures == 1 { String::new() } else { format!(" {failures} times in a row") };
                    let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                    let found = Attention::new(Concern::CronFailing, format!("failed{times}{error}"));
                    Attention { since: state.failing_since, ..found }
                        .todo(format!("`agentcron history {name} --failed`"))
                }
                (Some(pause), _) => {
                    let note = pause.note.as_deref().unwrap_or("on request");
                    let found = |text| Attention::new(Concern::CronPaused, text).since(pause.since);
                    match pause.cause {
                        PauseCause::Request | PauseCause::All => {
                            found(format!("paused: {note}{}", end_of(pause, now)))
                                .todo(format!("`agentcron resume {name}` ends the pause"))
                                .on_purpose()
                        }
                        PauseCause::Failures => {
                            let error = error.map(|error| format!("; {error}")).unwrap_or_default();
                            found(format!("paused after failures: {note}{error}"))
                                .todo(format!("repair it, then `agentcron resume {name}`"))
                        }
                    }
                }
            }
        }
    };
    Some(found.of(name))
}

fn denied(denied: Denied) -> Option<Attention> {
    let runs = (denied.runs > 0).then(|| format!("{} cannot be followed", counted(denied.runs, "run")));
    let threads =
        (denied.threads > 0).then(|| format!("{} cannot be deleted", counted(denied.threads, "thread")));
    let what: Vec<String> = [runs, threads].into_iter().flatten().collect();
    let text = format!("{}: the agent server answers, and refuses it", what.join(", "));
    (!what.is_empty()).then(|| {
        Attention::new(Concern::Denied, text).todo(
            "`agentcron history --reason backend_denied` says why; if it is 401 or 403, set backend.api_key or \
             backend.headers to credentials that see everything",
        )
    })
}

#[cfg(test)]
mod tests;
