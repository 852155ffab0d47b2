//! Listings: filters, and pages that go on where the last one ended, whatever was inserted meanwhile.
//!
//! A cursor names the place of the last item in the order of the listing. It is opaque so that nobody builds one.

use std::fmt::Display;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::api::error_response::ErrorResponse;
use crate::api::wire::Page;
use crate::domain::bounds::{CURSOR_CHARS_MAX, PAGE_ITEMS_MAX};

const PAGE_ITEMS_DEFAULT: u32 = 100;

/// How many items are asked for.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, ErrorResponse> {
    let limit = asked.unwrap_or(PAGE_ITEMS_DEFAULT);
    if (1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(ErrorResponse::Invalid(format!("limit: {limit} is not between 1 and {PAGE_ITEMS_MAX}")))
}

/// The place that a cursor names.
pub(super) fn cursor<P: FromStr>(cursor: Option<&str>) -> Result<Option<P>, ErrorResponse> {
    let Some(cursor) = cursor else { return Ok(None) };
    let decoded = (cursor.len() <= CURSOR_CHARS_MAX).then(|| URL_SAFE_NO_PAD.decode(cursor));
    let text = decoded.and_then(Result::ok).and_then(|bytes| String::from_utf8(bytes).ok());
    let cursor = text.and_then(|text| text.parse().ok());
    cursor.map(Some).ok_or_else(|| {
        ErrorResponse::NotFound(
            "cursor: there is no such page; give the `next_cursor` of the one before".to_owned(),
        )
    })
}

/// A page of at most `limit` items out of rows of which one more was asked for, to see whether there are more.
pub(super) fn page<P: Display, Row, Item>(
    mut rows: Vec<(P, Row)>,
    limit: u32,
    item: impl Fn(&Row) -> Item,
) -> Page<Item> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more);
    let next_cursor = last.map(|(cursor, _)| URL_SAFE_NO_PAD.encode(cursor.to_string()));
    Page { items: rows.iter().map(|(_, row)| item(row)).collect(), next_cursor }
}

/// `error,timeout`: words, each of which must be known.
pub(super) fn words<Word: FromStr>(name: &str, text: Option<&str>) -> Result<Vec<Word>, ErrorResponse>
where
    Word::Err: Display,
{
    text.into_iter().flat_map(|text| text.split(',')).map(|word| one(name, word)).collect()
}

/// One word, or an id.
pub(super) fn one<Word: FromStr>(name: &str, text: &str) -> Result<Word, ErrorResponse>
where
    Word::Err: Display,
{
    text.parse().map_err(|error| ErrorResponse::Invalid(format!("{name}: {error}")))
}

/// An instant.
pub(super) fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, ErrorResponse> {
    let parse = |text: &str| {
        // In a query `+` is a space, and whoever forgets to write it as `%2B` still means the one thing.
        text.replace(' ', "+").parse().map_err(|_| {
            ErrorResponse::Invalid(format!(
                "{name}: got `{text}`, expected a time such as 2026-03-02T09:00:00Z"
            ))
        })
    };
    text.map(parse).transpose()
}
