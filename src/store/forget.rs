//! Removes everything that is stored about a cron or about a thread, so that its bytes are gone from the files as well.
//! What is in progress is not removed: whoever asks is told what to do about it first.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio::time::Instant;

use super::retention::{Deleted, Record, delete_run};
use super::rows::{parsed, parsed_option};
use super::sql::Transaction;
use super::{Purpose, Store, StoreError, acts, notifications};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::bounds::{DELETED_PER_COMMIT, DELETION_PAUSES, EXPIRED_PER_READ, THREADS_LISTED};
use crate::domain::ids::{CronId, DeliveryId, RunId, ThreadId};
use crate::domain::ping::PingSignal;

/// What to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForgetSubject {
    /// Every run that has or had this thread.
    Thread(ThreadId),
    /// Every cron of this name or id, removed ones included.
    Cron(String),
}

impl ForgetSubject {
    /// Returns the act, which does not say what it was about: that is to be forgotten too.
    fn act(&self, at: Timestamp, by: Actor) -> Act {
        let note = match self {
            Self::Thread(_) => "of a thread",
            Self::Cron(_) => "of a cron",
        };
        Act { at, by, what: ActKind::Forgotten, subject: Subject::default(), note: Some(note.to_owned()) }
    }
}

/// What was forgotten, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub deleted: Deleted,
    /// Versions of definitions that nothing uses any more.
    pub definitions: u64,
    /// Crons that are forgotten themselves, because they had been removed.
    pub crons: u64,
    /// Crons that go on, without a history.
    pub crons_stay: u64,
    /// The threads on which its runs took place, which are on the agent server unless they were deleted there; not more
    /// than can be listed.
    pub threads: Vec<ThreadId>,
}

/// The tables besides `runs` that have rows about a cron under its id. Whatever is stored about a cron and is not deleted
/// with its runs belongs here.
const TABLES_ABOUT_CRON: [&str; 2] = ["acts", "inactive_spans"];

/// What was found about a subject.
struct Found {
    crons: Vec<CronId>,
    /// The rows of runs and records.
    rows: Vec<i64>,
}

impl Store {
    /// Forgets a subject, unless it is a dry run. The bytes are gone only after [`Store::erase`]. That somebody has had something
    /// forgotten is on record with the first of it, and not what that was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such cron, and [`StoreError::Conflict`] if something of it is in progress.
    pub async fn forget(
        &self,
        now: Timestamp,
        by: Actor,
        subject: ForgetSubject,
        purpose: Purpose,
    ) -> Result<Forgotten, StoreError> {
        let found = match &subject {
            ForgetSubject::Cron(name) => self.about_cron(name.clone()).await?,
            ForgetSubject::Thread(thread_id) => self.about_thread(*thread_id).await?,
        };
        for rows in found.rows.chunks(EXPIRED_PER_READ) {
            let rows = rows.to_vec();
            self.read_at_one_moment(move |tx| rows.iter().try_for_each(|seq| demand_finished(tx, *seq)))
                .await?;
        }
        let mut forgotten =
            Forgotten { threads: self.threads_of(&found.rows).await?, ..Forgotten::default() };
        let mut act = Some(subject.act(now, by));
        for rows in found.rows.chunks(DELETED_PER_COMMIT) {
            let (rows, began, act) = (rows.to_vec(), Instant::now(), act.take());
            forgotten.deleted.add(match purpose {
                Purpose::Act => {
                    self.write(move |tx| {
                        let deleted = delete_all(tx, &rows)?;
                        act.iter().try_for_each(|act| acts::record(tx, act))?;
                        Ok(deleted)
                    })
                    .await?
                }
                Purpose::DryRun => self.read_at_one_moment(move |tx| count_all(tx, &rows)).await?,
            });
            if purpose == Purpose::Act {
                tokio::time::sleep(began.elapsed() * DELETION_PAUSES).await;
            }
        }
        for cron_id in found.crons {
            let whole = matches!(subject, ForgetSubject::Cron(_));
            let of_cron = match purpose {
                Purpose::Act => {
                    let act = act.take();
                    self.write(move |tx| {
                        let cleared = clear_cron(tx, cron_id, whole)?;
                        act.iter().try_for_each(|act| acts::record(tx, act))?;
                        Ok(cleared)
                    })
                    .await?
                }
                Purpose::DryRun => {
                    self.read_at_one_moment(move |tx| would_clear_cron(tx, cron_id, whole)).await?
                }
            };
            if whole && purpose == Purpose::Act {
                self.forget_counts(cron_id).await?;
            }
            forgotten.definitions += of_cron.definitions;
            forgotten.crons += of_cron.crons;
            forgotten.crons_stay += of_cron.crons_stay;
        }
        Ok(forgotten)
    }

    async fn threads_of(&self, rows: &[i64]) -> Result<Vec<ThreadId>, StoreError> {
        let mut threads = BTreeSet::new();
        for rows in rows.chunks(EXPIRED_PER_READ) {
            let rows = rows.to_vec();
            let sql = "SELECT thread_id FROM runs WHERE seq = ?1 AND thread_id IS NOT NULL";
            let of_rows = self.read_at_one_moment(move |tx| {
                let mut of_rows = Vec::new();
                for seq in rows {
                    of_rows.extend(tx.query_opt(sql, [seq], |row| parsed::<ThreadId>(row, "thread_id"))?);
                }
                Ok(of_rows)
            });
            threads.extend(of_rows.await?);
            if threads.len() >= THREADS_LISTED {
                break;
            }
        }
        Ok(threads.into_iter().take(THREADS_LISTED).collect())
    }

    async fn about_cron(&self, name: String) -> Result<Found, StoreError> {
        let called = name.clone();
        let crons: Vec<CronId> = self
            .read_at_one_moment(move |tx| {
                let sql = "SELECT cron_id FROM crons WHERE name = ?1 OR cron_id = ?1 ORDER BY seq";
                tx.query(sql, [&name], |row| parsed(row, "cron_id"))
            })
            .await?;
        if crons.is_empty() {
            return Err(StoreError::NotFound(format!("nothing is stored about a cron `{called}`")));
        }
        let mut rows = Vec::new();
        for cron_id in &crons {
            let sql = "SELECT seq FROM runs WHERE cron_id = ?1";
            let cron_id = cron_id.to_string();
            rows.extend(
                self.read_at_one_moment(move |tx| tx.query(sql, [cron_id], |row| row.get::<i64>(0))).await?,
            );
        }
        Ok(Found { crons, rows })
    }

    /// Looks through all runs: which of them a thread was for follows from their ids, and no index has that.
    async fn about_thread(&self, thread_id: ThreadId) -> Result<Found, StoreError> {
        let (mut found, mut after) = (Found { crons: Vec::new(), rows: Vec::new() }, Some(0));
        while let Some(from) = after {
            let (next, step) = self.read_at_one_moment(move |tx| of_thread(tx, thread_id, from)).await?;
            for (seq, cron_id) in step {
                found.rows.push(seq);
                found.crons.extend(cron_id.filter(|cron_id| !found.crons.contains(cron_id)));
            }
            after = next;
        }
        let is_queued = self.read_at_one_moment(move |tx| {
            let sql = "SELECT EXISTS (SELECT 1 FROM thread_deletions WHERE thread_id = ?1)";
            tx.query_value::<bool>(sql, [thread_id.to_string()])
        });
        match is_queued.await? {
            true => Err(in_progress(&format!("thread {thread_id}"), WAIT_FOR_THREAD)),
            false => {
                // Two runs of one occurrence may both have had it.
                found.rows.sort_unstable();
                found.rows.dedup();
                Ok(found)
            }
        }
    }
}

const WAIT_FOR_THREAD: &str = "is about to be deleted on the agent server; ask again once that is done, which `agentcron status` \
     shows if it takes long";

fn in_progress(what: &str, advice: &str) -> StoreError {
    StoreError::Conflict(format!("{what} {advice}; nothing more was forgotten"))
}

/// Returns the next runs that have or had this thread, with the other runs of their occurrences, and behind which row to go
/// on; `None` at the end.
#[expect(clippy::type_complexity, reason = "the pairs are rows with their cron")]
fn of_thread(
    tx: &Transaction<'_>,
    thread_id: ThreadId,
    after: i64,
) -> Result<(Option<i64>, Vec<(i64, Option<CronId>)>), StoreError> {
    let sql = "SELECT runs.seq AS seq, runs.run_id AS run_id, cron_id, scheduled_for, start_number + starts_ahead AS starts, \
               runs.thread_id = ?1 OR coalesce(client_runs.thread_id = ?1, FALSE) AS has_it FROM runs \
               LEFT JOIN client_runs ON client_runs.run_id = runs.run_id WHERE runs.seq > ?2 ORDER BY runs.seq LIMIT ?3";
    let limit = i64::try_from(EXPIRED_PER_READ).unwrap_or(i64::MAX);
    let (mut last, mut count, mut found) = (None, 0, Vec::new());
    tx.each(sql, (thread_id.to_string(), after, limit), |row| {
        let (seq, run_id): (i64, RunId) = (row.get("seq")?, parsed(row, "run_id")?);
        (last, count) = (Some(seq), count + 1);
        let starts: u32 = row.get("starts")?;
        let had_it = || (1..=starts).any(|start| run_id.thread_of_start(start) == thread_id);
        if row.get::<Option<bool>>("has_it")?.unwrap_or(false) || had_it() {
            let cron_id: Option<CronId> = parsed_option(row, "cron_id")?;
            found.push((seq, cron_id, row.get::<i64>("scheduled_for")?));
        }
        Ok(())
    })?;
    let mut rows = Vec::new();
    for (seq, cron_id, scheduled_for) in found {
        let Some(cron_id) = cron_id else {
            rows.push((seq, None));
            continue;
        };
        let sql = "SELECT seq FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2";
        let of_occurrence: Vec<i64> =
            tx.query(sql, (cron_id.to_string(), scheduled_for), |row| row.get(0))?;
        rows.extend(of_occurrence.into_iter().map(|seq| (seq, Some(cron_id))));
    }
    Ok((last.filter(|_| count == limit), rows))
}

/// Fails if a run has not ended, or something that follows from it is left to be done.
fn demand_finished(tx: &Transaction<'_>, seq: i64) -> Result<(), StoreError> {
    let Some(record) = Record::read(tx, seq)? else { return Ok(()) };
    if record.is_finished(tx)? {
        return Ok(());
    }
    let run_id = record.run_id();
    let advice = if !record.has_ended() {
        format!(
            "is in progress; `agentcron cancel {run_id}` ends it (`agentcron pause` keeps its cron from starting others)"
        )
    } else if record.has_webhook_to_send(tx)? {
        "has a webhook that is still to be sent; wait for it, or give it up with `agentcron webhook hold` and \
         `agentcron webhook release --discard-older-than 0s`, which gives up all that wait"
            .to_owned()
    } else {
        format!("has ended, and its thread {WAIT_FOR_THREAD}")
    };
    Err(in_progress(&format!("run {run_id}"), &advice))
}

fn delete_all(tx: &Transaction<'_>, rows: &[i64]) -> Result<Deleted, StoreError> {
    let mut deleted = Deleted::default();
    tx.overwrite_deleted(true)?;
    let done = rows.iter().try_for_each(|seq| {
        demand_finished(tx, *seq)?;
        let Some(record) = Record::read(tx, *seq)? else { return Ok(()) };
        tx.execute("DELETE FROM acts WHERE run_id = ?1", [record.run_id().to_string()])?;
        for signal in PingSignal::ALL {
            let ping = DeliveryId::of_ping(record.run_id(), signal.as_str());
            tx.execute("DELETE FROM deliveries WHERE delivery_id = ?1", [ping.to_string()])?;
        }
        deleted.add(delete_run(tx, &record)?);
        Ok(())
    });
    tx.overwrite_deleted(false)?;
    done.map(|()| deleted)
}

fn count_all(tx: &Transaction<'_>, rows: &[i64]) -> Result<Deleted, StoreError> {
    let mut deleted = Deleted::default();
    for seq in rows {
        let sql = "SELECT count(*) FROM deliveries WHERE run_id = (SELECT run_id FROM runs WHERE seq = ?1)";
        deleted.add(Deleted { runs: 1, deliveries: tx.query_count(sql, [seq])?, values: 0 });
    }
    Ok(deleted)
}

/// A definition of a cron that nothing uses.
const UNUSED: &str = "cron_id = ?1 AND NOT EXISTS (SELECT 1 FROM crons WHERE crons.cron_id = definitions.cron_id \
     AND definitions.definition_id IN (crons.definition_id, crons.former_definition_id)) \
     AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.cron_id = definitions.cron_id \
     AND runs.definition_id = definitions.definition_id)";

/// Deletes what is stored about a cron besides its runs: all of it, or only what a forgotten run leaves behind. A cron that
/// has been removed goes itself.
fn clear_cron(tx: &Transaction<'_>, cron_id: CronId, whole: bool) -> Result<Forgotten, StoreError> {
    let cron = cron_id.to_string();
    tx.overwrite_deleted(true)?;
    let mut forgotten = Forgotten::default();
    if whole {
        for table in TABLES_ABOUT_CRON {
            tx.execute(&format!("DELETE FROM {table} WHERE cron_id = ?1"), [&cron])?;
        }
        let sql =
            "UPDATE crons SET failures = 0, failing_since = NULL, recovered_at = NULL WHERE cron_id = ?1";
        tx.execute(sql, [&cron])?;
        let sql = "DELETE FROM crons WHERE cron_id = ?1 AND removed_at IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.cron_id = crons.cron_id)";
        notifications::forget_cron(tx, cron_id)?;
        forgotten.crons = tx.execute(sql, [&cron])? as u64;
        forgotten.crons_stay = 1 - forgotten.crons;
    }
    forgotten.definitions = tx.execute(&format!("DELETE FROM definitions WHERE {UNUSED}"), [&cron])? as u64;
    tx.overwrite_deleted(false)?;
    Ok(forgotten)
}

fn would_clear_cron(tx: &Transaction<'_>, cron_id: CronId, whole: bool) -> Result<Forgotten, StoreError> {
    if !whole {
        return Ok(Forgotten::default());
    }
    let cron = cron_id.to_string();
    let is_removed: bool =
        tx.query_value("SELECT removed_at IS NOT NULL FROM crons WHERE cron_id = ?1", [&cron])?;
    let all = tx.query_count("SELECT count(*) FROM definitions WHERE cron_id = ?1", [&cron])?;
    let in_force = u64::from(!is_removed);
    Ok(Forgotten {
        definitions: all.saturating_sub(in_force),
        crons: u64::from(is_removed),
        crons_stay: in_force,
        ..Forgotten::default()
    })
}

#[cfg(test)]
mod tests;
