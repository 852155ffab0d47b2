//! Acts: a listing, and the latest of one cron or one run.

use jiff::Timestamp;

use super::history::LOOKUPS_MAX;
use super::positions::{Columns, Conditions, Lookup, Order, one_of, positions, select, texts};
use super::{PageCursor, Reader, RunRow};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::bounds::ACTS_SHOWN;
use crate::domain::ids::CronId;
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, parsed_option, time};
use crate::store::sql::{Row, Transaction, Value};

const BY_TIME: &str = "acts INDEXED BY acts_by_time WHERE true";
const BY_CRON: &str = "acts INDEXED BY acts_by_cron WHERE cron_id IS NOT NULL AND cron_id = ?";

const COLUMNS: &str = "at, what, actor_kind, actor_name, cron_id, cron_name, run_id, delivery_id, note";

/// Which acts to list. A field that is `None` does not restrict the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    pub crons: Option<Vec<CronId>>,
    /// The start of the period (inclusive).
    pub since: Option<Timestamp>,
    /// The end of the period (exclusive).
    pub until: Option<Timestamp>,
}

impl Reader {
    /// Returns at most `limit` acts before `cursor`, or from the last one, the latest first, each with its own cursor.
    pub fn acts_before(
        &self,
        filter: &ActFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, Act)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM acts WHERE seq = ?1");
        self.at_one_moment(|tx| {
            let mut acts = Vec::new();
            for cursor in positions(tx, filter.query(cursor), limit, 0)? {
                acts.extend(tx.query_opt(&sql, [cursor.row], |row| Ok((cursor, from_row(row)?)))?);
            }
            Ok(acts)
        })
    }

    /// Returns the act by which a cron, or all crons, had been paused when an occurrence of this instant fell due; `None` if they
    /// had not, or if that act is not kept.
    pub fn paused_by(&self, cron_id: CronId, at: Timestamp) -> Result<Option<Act>, StoreError> {
        self.at_one_moment(|tx| paused_by(tx, cron_id, at))
    }
}

impl ActFilter {
    fn query(&self, cursor: Option<PageCursor>) -> (String, Vec<Value>) {
        let lookups = match &self.crons {
            Some(crons) if (1..=LOOKUPS_MAX).contains(&crons.len()) => Lookup::each(BY_CRON, crons),
            _ => vec![Lookup::of(BY_TIME)],
        };
        let columns = Columns { at: "acts.at", seq: "acts.seq" };
        select(&columns, &lookups, self.conditions(), Order::NewestFirst, cursor)
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(crons) = &self.crons {
            conditions.demand(&one_of("cron_id", crons), texts(crons));
        }
        if let Some(since) = self.since {
            conditions.demand("acts.at >= ?", [Value::Integer(millis(since))]);
        }
        if let Some(until) = self.until {
            conditions.demand("acts.at < ?", [Value::Integer(millis(until))]);
        }
        conditions
    }
}

/// Returns the latest acts of a cron, the latest first.
pub(super) fn acts_of_cron(tx: &Transaction<'_>, cron_id: CronId) -> Result<Vec<Act>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM acts WHERE cron_id IS NOT NULL AND cron_id = ?1 ORDER BY at DESC, seq DESC LIMIT ?2"
    );
    tx.query(&sql, (cron_id.to_string(), ACTS_SHOWN), from_row)
}

fn paused_by(tx: &Transaction<'_>, cron_id: CronId, at: Timestamp) -> Result<Option<Act>, StoreError> {
    let of_cron = format!(
        "SELECT {COLUMNS} FROM acts WHERE cron_id IS NOT NULL AND cron_id = ?1 AND what IN ('paused', 'resumed') AND at < ?2 \
         ORDER BY at DESC, seq DESC LIMIT 1"
    );
    let own = tx.query_opt(&of_cron, (cron_id.to_string(), millis(at)), from_row)?;
    if let Some(act) = own.filter(|act| act.what == ActKind::Paused) {
        return Ok(Some(act));
    }
    let of_all = format!(
        "SELECT {COLUMNS} FROM acts WHERE what IN ('all_paused', 'all_resumed') AND at < ?1 ORDER BY at DESC, seq DESC LIMIT 1"
    );
    Ok(tx.query_opt(&of_all, [millis(at)], from_row)?.filter(|act| act.what == ActKind::AllPaused))
}

/// Returns the latest acts of a run and of the other runs of its occurrence, the latest first.
pub(super) fn acts_of_run(
    tx: &Transaction<'_>,
    run: &RunRow,
    of_occurrence: &[RunRow],
) -> Result<Vec<Act>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM acts WHERE run_id IS NOT NULL AND run_id = ?1 ORDER BY at DESC, seq DESC LIMIT ?2"
    );
    let others = of_occurrence.iter().map(|other| other.run.run_id);
    let others = others.filter(|run_id| *run_id != run.run.run_id);
    let mut acts: Vec<Act> = Vec::new();
    for run_id in [run.run.run_id].into_iter().chain(others) {
        acts.extend(tx.query(&sql, (run_id.to_string(), ACTS_SHOWN), from_row)?);
    }
    acts.sort_by_key(|act| std::cmp::Reverse(act.at));
    acts.truncate(usize::try_from(ACTS_SHOWN).unwrap_or(usize::MAX));
    Ok(acts)
}

fn from_row(row: &Row<'_>) -> Result<Act, StoreError> {
    let cron_id: Option<CronId> = parsed_option(row, "cron_id")?;
    let cron_name: Option<String> = row.get("cron_name")?;
    Ok(Act {
        at: time(row, "at")?,
        by: Actor { kind: parsed(row, "actor_kind")?, name: row.get("actor_name")? },
        what: parsed(row, "what")?,
        subject: Subject {
            cron: cron_id.map(|cron_id| (cron_id, cron_name.unwrap_or_default())),
            run_id: parsed_option(row, "run_id")?,
            delivery_id: parsed_option(row, "delivery_id")?,
        },
        note: row.get("note")?,
    })
}
