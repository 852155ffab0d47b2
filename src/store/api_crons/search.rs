//! Searching crons: filtered and ordered by the content of their definitions. Only the crons of one page are
//! read whole.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{StoredCron, stored};
use crate::domain::containment::contains;
use crate::domain::cron::{Cron, CronSource, Target};
use crate::domain::ids::{AssistantId, CronId, ThreadId};
use crate::domain::words::words;
use crate::store::definitions::Definitions;
use crate::store::rows::{parsed, time};
use crate::store::sql::Transaction;
use crate::store::{Store, StoreError};

/// Which crons to find. A field that is `None` or empty does not restrict the search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CronFilter {
    /// The assistant's id, or the id that derives from the name of its graph.
    pub assistant_id: Option<AssistantId>,
    pub thread_id: Option<ThreadId>,
    pub enabled: Option<bool>,
    /// A part that the metadata must contain.
    pub metadata: Map<String, Value>,
    /// Whether this part may be of the values that a file has; otherwise it would tell them to somebody who guesses.
    pub searches_file_values: bool,
    /// Only these crons.
    pub ids: Option<HashSet<CronId>>,
}

/// A search for a page of crons.
#[derive(Clone, Debug, PartialEq)]
pub struct CronSearch {
    pub filter: CronFilter,
    pub order: CronOrder,
    pub direction: Direction,
    pub offset: usize,
    pub limit: usize,
}

/// A page of the crons that were found.
#[derive(Clone, Debug)]
pub struct CronPage {
    pub crons: Vec<StoredCron>,
    /// Whether more crons follow.
    pub has_more: bool,
}

words!(
    CronOrder {
        CronId = "cron_id",
        AssistantId = "assistant_id",
        ThreadId = "thread_id",
        /// The next instant of the calendar.
        NextRunDate = "next_run_date",
        /// The end of the calendar.
        EndTime = "end_time",
        CreatedAt = "created_at",
        UpdatedAt = "updated_at",
    }
);
words!(
    Direction {
        /// The smallest first, and those without a value last.
        Ascending = "asc",
        /// The exact reverse.
        Descending = "desc",
    }
);

/// The sort key of a cron: those without a value come last, and equal ones in the order of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    is_absent: bool,
    id: uuid::Uuid,
    at: Timestamp,
    row: i64,
}

/// The part of a cron's row that a search reads.
struct Candidate {
    cron_id: CronId,
    row: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Store {
    /// Returns a page of the crons that are not removed.
    pub async fn search_crons(&self, now: Timestamp, search: CronSearch) -> Result<CronPage, StoreError> {
        let cache = self.definitions.clone();
        self.read_at_one_moment(move |tx| {
            let mut found = Vec::new();
            each(tx, &cache, &search.filter, |candidate, cron| {
                found.push((key(&search, &candidate, cron, now), candidate.cron_id));
            })?;
            match search.direction {
                Direction::Ascending => found.sort_unstable(),
                Direction::Descending => found.sort_unstable_by(|a, b| b.cmp(a)),
            }
            let has_more = found.len() > search.offset.saturating_add(search.limit);
            let page = found.iter().skip(search.offset).take(search.limit);
            let crons = page.filter_map(|(_, cron_id)| stored(tx, *cron_id).transpose());
            let crons = crons.map(|found| found.map(|(stored, _)| stored)).collect::<Result<_, _>>()?;
            Ok(CronPage { crons, has_more })
        })
        .await
    }

    /// Returns how many crons the filter finds, without removed ones.
    pub async fn count_crons(&self, filter: CronFilter) -> Result<usize, StoreError> {
        let cache = self.definitions.clone();
        self.read_at_one_moment(move |tx| {
            let mut count = 0;
            each(tx, &cache, &filter, |_, _| count += 1)?;
            Ok(count)
        })
        .await
    }
}

/// Calls `visit` for every cron that the filter finds. A cron that cannot be read back is never found; the
/// log reports it when it is not scheduled.
fn each(
    tx: &Transaction<'_>,
    cache: &Definitions,
    filter: &CronFilter,
    mut visit: impl FnMut(Candidate, &Cron),
) -> Result<(), StoreError> {
    let part = Value::Object(filter.metadata.clone());
    let searched = |cron: &Cron, location: Option<&str>| match filter.searches_file_values {
        true => metadata(cron, location),
        false => public_metadata(cron),
    };
    let mut statement = tx.prepare(
        "SELECT seq, cron_id, name, location, definition_id, created_at, updated_at \
         FROM crons WHERE removed_at IS NULL",
    )?;
    let mut rows = statement.query(())?;
    while let Some(row) = &rows.next()? {
        let name: String = row.get("name")?;
        let cron = match cache.get(tx, parsed(row, "definition_id")?, &name) {
            Ok(cron) => cron,
            Err(StoreError::BadRow(_) | StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        let location: Option<String> = row.get("location")?;
        let matches = filter.ids.as_ref().is_none_or(|ids| ids.contains(&cron.cron_id))
            && filter.assistant_id.is_none_or(|id| id == assistant(&cron))
            && filter.thread_id.is_none_or(|id| thread(&cron) == Some(id))
            && filter.enabled.is_none_or(|enabled| enabled == cron.enabled)
            && (filter.metadata.is_empty()
                || contains(&Value::Object(searched(&cron, location.as_deref())), &part));
        if matches {
            let candidate = Candidate {
                cron_id: cron.cron_id,
                row: row.get("seq")?,
                created_at: time(row, "created_at")?,
                updated_at: time(row, "updated_at")?,
            };
            visit(candidate, &cron);
        }
    }
    Ok(())
}

fn key(search: &CronSearch, candidate: &Candidate, cron: &Cron, now: Timestamp) -> Key {
    let absent = Key { is_absent: true, id: uuid::Uuid::nil(), at: Timestamp::MIN, row: candidate.row };
    let of_id = |id| Key { is_absent: false, id, ..absent };
    let of_time = |at| Key { is_absent: false, at, ..absent };
    match search.order {
        CronOrder::CronId => of_id(candidate.cron_id.0),
        CronOrder::AssistantId => of_id(assistant(cron).0),
        CronOrder::ThreadId => thread(cron).map_or(absent, |id| of_id(id.0)),
        CronOrder::NextRunDate => cron.calendar.next_after(now).map_or(absent, |next| of_time(next.at)),
        CronOrder::EndTime => cron.end_time.map_or(absent, of_time),
        CronOrder::CreatedAt => of_time(candidate.created_at),
        CronOrder::UpdatedAt => of_time(candidate.updated_at),
    }
}

fn assistant(cron: &Cron) -> AssistantId {
    AssistantId::of_word(&cron.request.assistant_id)
}

fn thread(cron: &Cron) -> Option<ThreadId> {
    match cron.request.target {
        Target::Thread(thread_id) => Some(thread_id),
        Target::Stateless(_) => None,
    }
}

/// Returns the user's metadata. That of a cron from a file also says so, and where it is defined.
pub(super) fn metadata(cron: &Cron, location: Option<&str>) -> Map<String, Value> {
    let mut metadata = cron.request.metadata.clone();
    metadata.extend(public_metadata(cron));
    if cron.source == CronSource::File {
        metadata.insert("location".to_owned(), json!(location));
    }
    metadata
}

/// Returns the metadata without the values that a file has.
pub(super) fn public_metadata(cron: &Cron) -> Map<String, Value> {
    match cron.source {
        CronSource::Api => cron.request.metadata.clone(),
        CronSource::File => Map::from_iter([
            ("source".to_owned(), json!(cron.source.as_str())),
            ("name".to_owned(), json!(cron.name)),
        ]),
    }
}
