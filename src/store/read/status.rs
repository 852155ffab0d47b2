//! What the store says of the whole at one time, from which `status` is made.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::crons::heads;
use super::{
    CronHead, DaemonRow, DaemonState, Notice, Overview, Reader, RunRow, WebhookQueue, row_columns, run_row,
};
use crate::domain::bounds::{FAILURES_LOOKED_THROUGH, FAILURES_QUOTED, UNSTARTED_AFTER};
use crate::domain::cron_state::{CronHealth, CronStatus, Pause};
use crate::domain::disk_space::DiskSpace;
use crate::domain::ids::CronId;
use crate::domain::outage::{self, Away, DISK_WHY, Outage};
use crate::domain::plan::just_before;
use crate::domain::reason::ReasonCode;
use crate::domain::run::RunState;
use crate::store::daemons::former;
use crate::store::disk_space::disk_space;
use crate::store::lease::Sharing;
use crate::store::lock::LifeSigns;
use crate::store::open::installation_id;
use crate::store::panic_trace::{PanicTrace, last_panic};
use crate::store::rows::{millis, time, time_option};
use crate::store::set_back::decided;
use crate::store::sql::Transaction;
use crate::store::{FormerDaemon, NextPlan, NoticeKind, StoreError, definitions, pauses_of_all, zone_rules};

/// How far back ended runs, deliveries and outages are shown.
pub const STATUS_PERIOD: SignedDuration = SignedDuration::from_hours(24);
/// Longer than the retry schedule of webhooks.
const LONGEST_DELIVERY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the store says, and whether a daemon has it.
pub struct StatusSnapshot {
    pub daemon: DaemonState,
    /// The daemon that has the store or had it last; `None` if none ever had.
    pub last_daemon: Option<FormerDaemon>,
    /// The daemons of the store, the worst first.
    pub daemons: Vec<DaemonRow>,
    pub overview: Overview,
    /// The pause of all crons, if it is in force.
    pub pause_of_all: Option<Pause>,
    /// The crons with their own pauses.
    pub crons: Vec<CronHead>,
    /// The next occurrence of all crons, and the cron's name; `None` if nothing is scheduled.
    pub next: NextPlan,
    /// The last failure of each cron that failed the last time.
    pub last_failures: HashMap<CronId, RunRow>,
    /// Without those that only the daemon knows.
    pub outages: Vec<Outage>,
    pub notices: Vec<Notice>,
    pub queue: WebhookQueue,
    pub queued: Vec<QueuedWebhooks>,
    /// Until when the circuit breakers of receivers let nothing through. Only the daemon knows.
    pub probes: HashMap<String, Timestamp>,
    pub backend: BackendContact,
    pub unstarted: Option<Unstarted>,
    /// How large the store is, with the latest changes, which may be in a file beside it; `None` if there is none yet.
    pub bytes: Option<u64>,
    /// The room on the disk of the store; `None` if the system does not say.
    pub disk: Option<DiskSpace>,
    /// The last panic of a daemon, however long ago.
    pub panic: Option<PanicTrace>,
    /// The loops that are stuck, each with since when. Only the daemon knows.
    pub stuck: Vec<(&'static str, Timestamp)>,
    pub lost: Option<LostWebhooks>,
    /// When the daemon made its last backup; `None` if it never made one.
    pub backed_up_at: Option<Timestamp>,
}

/// Webhooks that ended within [`STATUS_PERIOD`] without having been delivered, and that nobody has replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostWebhooks {
    pub count: u64,
    /// When the first of them ended.
    pub since: Timestamp,
}

/// Runs that should be at the agent server and that it does not take, although it may answer otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstarted {
    pub count: u64,
    /// When the first of them was due.
    pub since: Timestamp,
    /// What came of sending the last of them.
    pub why: String,
}

/// What is known of the agent server. Only the daemon knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendContact {
    /// When it answered last.
    pub heard_at: Option<Timestamp>,
    /// What the latest call came to that it did not answer, with no answer since.
    pub silent: Option<String>,
}

/// The webhooks that are queued for one URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWebhooks {
    /// With its placeholders not filled. It must be redacted before it is shown.
    pub url: String,
    pub count: u64,
    /// When the next attempt is due, if the receiver's circuit breaker lets it through.
    pub next_at: Timestamp,
    /// Those of which an attempt has failed; `None` if there is none.
    pub failing: Option<FailingWebhooks>,
}

/// Webhooks of which an attempt has failed, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingWebhooks {
    pub count: u64,
    /// When the oldest was recorded.
    pub since: Timestamp,
    pub next_at: Timestamp,
    /// What came of the last attempt at the newest of them.
    pub why: String,
}

impl StatusSnapshot {
    /// Reads the store.
    pub fn read(
        reader: &Reader,
        sharing: Sharing,
        daemon: DaemonState,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let since = now.saturating_sub(STATUS_PERIOD).unwrap_or(Timestamp::MIN);
        let (crons, next, pause_of_all) = reader.at_one_moment(|tx| {
            let pause_of_all = pauses_of_all::now(tx, now)?;
            let (crons, next) = crons_and_next(tx, pause_of_all.as_ref(), now)?;
            Ok((crons, next, pause_of_all))
        })?;
        Ok(Self {
            pause_of_all,
            last_daemon: reader.former_daemon(&daemon, now)?,
            daemons: reader.daemons(sharing, &daemon, now)?,
            overview: reader.overview(since)?,
            last_failures: reader.at_one_moment(|tx| last_failures(tx, &crons))?,
            outages: reader.outages_seen(&daemon, since, now)?,
            notices: reader.notices()?,
            queue: reader.webhook_queue()?,
            queued: reader.at_one_moment(queued)?,
            probes: HashMap::new(),
            backend: BackendContact::default(),
            lost: reader.at_one_moment(|tx| lost(tx, since))?,
            backed_up_at: reader.at_one_moment(|tx| {
                tx.query_one("SELECT backed_up_at FROM installation", (), |row| {
                    time_option(row, "backed_up_at")
                })
            })?,
            bytes: Some(reader.bytes()?),
            disk: reader.file().and_then(disk_space),
            panic: last_panic(reader.beside()),
            stuck: Vec::new(),
            unstarted: reader
                .at_one_moment(|tx| unstarted(tx, now.saturating_sub(UNSTARTED_AFTER).unwrap_or(now)))?,
            crons,
            next,
            daemon,
        })
    }

    /// Returns the snapshot of a store that does not exist yet.
    pub fn empty() -> Self {
        Self {
            daemon: DaemonState::Stopped,
            last_daemon: None,
            daemons: Vec::new(),
            pause_of_all: None,
            overview: Overview::default(),
            crons: Vec::new(),
            next: None,
            last_failures: HashMap::new(),
            outages: Vec::new(),
            notices: Vec::new(),
            queue: WebhookQueue::default(),
            queued: Vec::new(),
            probes: HashMap::new(),
            backend: BackendContact::default(),
            bytes: None,
            disk: None,
            panic: None,
            stuck: Vec::new(),
            unstarted: None,
            lost: None,
            backed_up_at: None,
        }
    }

    /// Returns how many mistakes a running daemon has found in the configuration; `None` if it has found none.
    pub fn mistakes(&self) -> Option<usize> {
        let notice = self.notices.iter().find(|notice| notice.kind == NoticeKind::Configuration);
        notice
            .filter(|_| self.daemon != DaemonState::Stopped)
            .map(|notice| usize::try_from(notice.count).unwrap_or(usize::MAX))
    }
}

/// Returns the crons, those that cannot be read among them, and the next occurrence of all of them after `now`.
///
/// The daemon has read the crons that it has planned, and knows when each is due next. The other definitions are parsed, and of
/// those that are planned only the ones that are due before all others.
fn crons_and_next(
    tx: &Transaction<'_>,
    pause_of_all: Option<&Pause>,
    now: Timestamp,
) -> Result<(Vec<CronHead>, NextPlan), StoreError> {
    let mut crons = heads(tx)?;
    for cron in &mut crons {
        cron.state = std::mem::take(&mut cron.state).at(now);
        let is_paused = cron.state.paused.is_some() || pause_of_all.is_some();
        cron.status =
            cron.status.clone().map(|status| CronStatus::of(status != CronStatus::Disabled, is_paused));
    }
    let (are_current, decided, installation) =
        (zone_rules::are_current(tx)?, decided(tx, None, now)?, installation_id(tx)?);
    let planned_at = |cron: &CronHead| cron.next_at.filter(|at| *at > now && are_current);
    let mut by_time: Vec<usize> = (0..crons.len()).collect();
    by_time.sort_by_key(|index| planned_at(&crons[*index]));
    let mut next: NextPlan = None;
    for cron in by_time {
        let cron = &mut crons[cron];
        let planned = planned_at(cron).map(|at| (at, &cron.name));
        let is_later = || planned > next.as_ref().map(|(at, name)| (*at, name));
        let from = fires_from(cron.state.paused.as_ref(), pause_of_all, now);
        let is_never = from.is_none() || cron.status == Ok(CronStatus::Disabled);
        if planned.is_some() && (is_never || next.is_some() && is_later()) {
            continue;
        }
        match definitions::read(tx, installation, cron.definition_id, &cron.name) {
            Ok(parsed) => {
                let own = from.and_then(|from| decided.next_within(&parsed, from));
                next = next.into_iter().chain(own.map(|at| (at, cron.name.clone()))).min();
            }
            Err(problem @ StoreError::BadRow(_)) => cron.status = Err(problem.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok((crons, next))
}

/// Returns the instant after which an occurrence of the cron fires, unless it is paused for good.
pub(in crate::store) fn fires_from(
    own: Option<&Pause>,
    pause_of_all: Option<&Pause>,
    now: Timestamp,
) -> Option<Timestamp> {
    let pauses = own.into_iter().chain(pause_of_all);
    pauses.map(|pause| pause.until.map(just_before)).try_fold(now, |from, until| Some(from.max(until?)))
}

/// Returns the runs that were due by then and were sent without having been taken. What refuses our credentials is told
/// apart.
fn unstarted(tx: &Transaction<'_>, due_by: Timestamp) -> Result<Option<Unstarted>, StoreError> {
    let sql = "SELECT count(*) OVER () AS number, min(due_at) OVER () AS since, coalesce(reason, '') AS why FROM runs \
               WHERE phase <> 'ended' AND (phase = 'unconfirmed' OR (phase = 'pending' AND send_count > 0)) \
               AND due_at <= ?1 AND coalesce(reason_code, '') <> ?2 ORDER BY due_at DESC LIMIT 1";
    tx.query_opt(sql, (millis(due_by), ReasonCode::BackendDenied.as_str()), |row| {
        Ok(Unstarted { count: row.count("number")?, since: time(row, "since")?, why: row.get("why")? })
    })
}

/// Returns the webhooks that ended at `since` or later and did not get through. They were made a retry schedule earlier at
/// most.
fn lost(tx: &Transaction<'_>, since: Timestamp) -> Result<Option<LostWebhooks>, StoreError> {
    let made_since = since.saturating_sub(LONGEST_DELIVERY).unwrap_or(since);
    let sql = "SELECT count(*) AS number, min(ended_at) AS since FROM deliveries INDEXED BY deliveries_not_delivered \
               WHERE status <> 'delivered' AND status <> 'sending' AND status <> 'pending' AND status IN ('failed', 'blocked') \
               AND created_at >= ?1 AND ended_at >= ?2";
    tx.query_one(sql, (millis(made_since), millis(since)), |row| {
        let (count, since) = (row.count("number")?, time_option(row, "since")?);
        Ok(since.map(|since| LostWebhooks { count, since }))
    })
}

impl Reader {
    /// Returns the daemon that has the store or had it last, with what its lock file says if it has ended.
    pub(super) fn former_daemon(
        &self,
        daemon: &DaemonState,
        now: Timestamp,
    ) -> Result<Option<FormerDaemon>, StoreError> {
        let former = self.at_one_moment(former)?;
        let signs = match daemon {
            DaemonState::Stopped | DaemonState::Starting { .. } => {
                self.file().map(LifeSigns::of).unwrap_or_default()
            }
            DaemonState::Running { .. } | DaemonState::Unknown(_) => return Ok(former),
        };
        Ok(former.map(|former| former.told_by(signs, now)))
    }

    /// Returns the outages that had not ended before `since`, the latest first, those among them that no daemon could
    /// commit: that of a daemon that has stopped, and that of the disk.
    pub fn outages_seen(
        &self,
        daemon: &DaemonState,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Outage>, StoreError> {
        let mut outages = self.outages(since)?;
        let former = self.former_daemon(daemon, now)?;
        let uncommitted = match daemon {
            DaemonState::Running { .. } | DaemonState::Unknown(_) => return Ok(outages),
            DaemonState::Stopped => former.into_iter().flat_map(|former| former.outages(None)).collect(),
            DaemonState::Starting { disk_since, .. } => {
                let disk = disk_since.map(|since| Outage::new(Away::Disk, since, None, DISK_WHY));
                disk.into_iter().collect()
            }
        };
        if let Some(former) = former {
            outage::end_all(&mut outages, former.ended_at());
        }
        outage::merge(&mut outages, uncommitted);
        outages.retain(|outage| outage.until.is_none_or(|until| until >= since));
        Ok(outages)
    }
}

/// Returns the last failures of the crons that have failed the most times in a row.
fn last_failures(tx: &Transaction<'_>, crons: &[CronHead]) -> Result<HashMap<CronId, RunRow>, StoreError> {
    let mut failing: Vec<_> = crons.iter().filter(|row| row.state.failures > 0).collect();
    failing.sort_by_key(|row| std::cmp::Reverse(row.state.failures));
    let sql = format!(
        "SELECT {} FROM runs WHERE cron_id = ?1 AND phase = 'ended' ORDER BY scheduled_for DESC, retry DESC \
         LIMIT {FAILURES_LOOKED_THROUGH}",
        row_columns()
    );
    let mut failures = HashMap::new();
    for CronHead { cron_id, .. } in failing.into_iter().take(FAILURES_QUOTED) {
        let failed = tx.find(&sql, [cron_id.to_string()], |row| {
            let row = run_row(tx, row)?;
            let RunState::Ended { outcome, .. } = &row.run.state else { return Ok(None) };
            let fails = CronHealth::shown_by(outcome) == CronHealth::Fails;
            Ok(fails.then_some(row))
        })?;
        failures.extend(failed.map(|row| (*cron_id, row)));
    }
    Ok(failures)
}

fn queued(tx: &Transaction<'_>) -> Result<Vec<QueuedWebhooks>, StoreError> {
    let sql = "SELECT *, (SELECT reason FROM deliveries WHERE seq = newest) AS why FROM \
               (SELECT url, count(*) AS number, min(due_at) AS next_at, count(failed) AS failing, max(failed) AS newest, \
               min(iif(failed IS NULL, NULL, created_at)) AS failing_since, min(iif(failed IS NULL, NULL, due_at)) AS failing_next_at \
               FROM (SELECT url, due_at, created_at, \
               iif(reason_code IN ('attempt_failed', 'no_value'), seq, NULL) AS failed \
               FROM deliveries WHERE due_at IS NOT NULL) AS each_one GROUP BY url) AS by_url";
    tx.query(sql, (), |row| {
        let (url, count, next_at) = (row.get("url")?, row.count("number")?, time(row, "next_at")?);
        let failing = match row.count("failing")? {
            0 => None,
            count => Some(FailingWebhooks {
                count,
                since: time(row, "failing_since")?,
                next_at: time(row, "failing_next_at")?,
                why: row.get::<Option<String>>("why")?.unwrap_or_default(),
            }),
        };
        Ok(QueuedWebhooks { url, count, next_at, failing })
    })
}
