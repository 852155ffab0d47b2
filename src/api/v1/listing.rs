//! Paging of listings: each page continues where the last one ended, whatever was inserted meanwhile.
//!
//! A cursor says where the last item is in the order of the listing. It is encoded so that clients do not build their
//! own.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::error_response::ErrorResponse;
use crate::api::wire::Page;
use crate::domain::bounds::{CURSOR_CHARS_MAX, PAGE_ITEMS_MAX};

const PAGE_ITEMS_DEFAULT: u32 = 100;

/// Which page of a listing is asked for.
pub(super) struct PageRequest<Cursor> {
    /// `None` for the first page.
    pub(super) cursor: Option<Cursor>,
    /// The most items on the page.
    pub(super) limit: u32,
}

impl<Cursor: FromStr> PageRequest<Cursor> {
    pub(super) fn parse(cursor: Option<&str>, limit: Option<u32>) -> Result<Self, ErrorResponse> {
        let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
        if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
            return Err(ErrorResponse::invalid(format!(
                "limit: {limit} is not between 1 and {PAGE_ITEMS_MAX}"
            )));
        }
        Ok(Self { cursor: cursor.map(decoded).transpose()?, limit })
    }

    /// Returns how many rows to read: one more than the page has, to see whether there is a next page.
    pub(super) fn rows(&self) -> u32 {
        self.limit + 1
    }
}

fn decoded<Cursor: FromStr>(cursor: &str) -> Result<Cursor, ErrorResponse> {
    let bytes = (cursor.len() <= CURSOR_CHARS_MAX).then(|| URL_SAFE_NO_PAD.decode(cursor));
    let text = bytes.and_then(Result::ok).and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        ErrorResponse::not_found(
            "cursor: there is no such page; pass the `next_cursor` of the previous page".to_owned(),
        )
    })
}

/// Makes a page of at most `limit` items out of the rows that [`PageRequest::rows`] asked for.
pub(super) fn page<Cursor: Display, Row, Item>(
    rows: Vec<(Cursor, Row)>,
    limit: u32,
    item: impl Fn(&Row) -> Item,
) -> Page<Item> {
    page_until(rows, None, limit, item)
}

/// Does the same for a search that may have stopped before its end, and goes on from there on the next page.
pub(super) fn page_until<Cursor: Display, Row, Item>(
    mut rows: Vec<(Cursor, Row)>,
    stopped_at: Option<Cursor>,
    limit: u32,
    item: impl Fn(&Row) -> Item,
) -> Page<Item> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more).map(|(cursor, _)| cursor);
    let next_cursor = last.or(stopped_at.as_ref());
    let next_cursor = next_cursor.map(|cursor| URL_SAFE_NO_PAD.encode(cursor.to_string()));
    Page { items: rows.iter().map(|(_, row)| item(row)).collect(), next_cursor }
}
