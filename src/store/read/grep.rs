//! Runs that mention a text. No index knows texts, so the runs of a filter are looked through, and not more than so many.

use super::positions::{Order, positions};
use super::{PageCursor, Reader, RunFilter, RunRow, row_columns, run_row};
use crate::domain::bounds::PAGE_ITEMS_MAX;
use crate::domain::needle::Needle;
use crate::store::StoreError;
use crate::store::rows::json_option;
use crate::store::sql::Row;

/// The runs that mention a text.
pub struct Mentions {
    /// The newest first, each with its own cursor.
    pub runs: Vec<(PageCursor, RunRow)>,
    /// Where the search stopped because it had looked through as many as it may; `None` if it found enough, or has looked
    /// through all.
    pub stopped_at: Option<PageCursor>,
}

impl Reader {
    /// Returns at most `limit` runs before `cursor`, or from the last one, that mention a text in their id, the name of their
    /// cron, their reason or their error. It looks through about `most` runs of the filter.
    pub fn runs_that_mention(
        &self,
        needle: &Needle,
        filter: &RunFilter,
        mut cursor: Option<PageCursor>,
        limit: u32,
        most: u32,
    ) -> Result<Mentions, StoreError> {
        let texts = "SELECT run_id, cron_name, reason, error FROM runs WHERE seq = ?1";
        let whole = format!("SELECT {} FROM runs WHERE seq = ?1", row_columns());
        self.at_one_moment(|tx| {
            let (mut runs, mut looked) = (Vec::new(), 0);
            while looked < most {
                let page = positions(tx, filter.query(Order::NewestFirst, cursor), PAGE_ITEMS_MAX, 0)?;
                for position in &page {
                    if tx.query_opt(texts, [position.row], |row| mentions(row, needle))? == Some(true) {
                        let row = tx.query_opt(&whole, [position.row], |row| run_row(tx, row))?;
                        runs.extend(row.map(|row| (*position, row)));
                    }
                    if runs.len() as u64 == u64::from(limit) {
                        return Ok(Mentions { runs, stopped_at: None });
                    }
                }
                looked += PAGE_ITEMS_MAX;
                cursor = page.last().copied();
                if (page.len() as u64) < u64::from(PAGE_ITEMS_MAX) {
                    return Ok(Mentions { runs, stopped_at: None });
                }
            }
            Ok(Mentions { runs, stopped_at: cursor })
        })
    }
}

fn mentions(row: &Row<'_>, needle: &Needle) -> Result<bool, StoreError> {
    let (run_id, cron): (String, Option<String>) = (row.get("run_id")?, row.get("cron_name")?);
    let reason: Option<String> = row.get("reason")?;
    let error = json_option(row, "error")?.unwrap_or_default();
    let of_error = ["error", "message"].map(|key| error[key].as_str().unwrap_or_default());
    let texts = [Some(run_id.as_str()), cron.as_deref(), reason.as_deref()];
    Ok(needle.is_in(texts.into_iter().flatten().chain(of_error)))
}

#[cfg(test)]
mod tests;
