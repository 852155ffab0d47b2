//! Parses the text of an expression into a tree whose values are in range, or returns a mistake with its position.
//!
//! This file parses the expression and its fields, and `item.rs` one element of a field. Only `recurrence.rs` knows
//! what the values mean for a day.

mod item;

use super::error::ParseError;
use super::field::Field;
use super::token::Token;

pub(super) use item::Item;

/// A longer text is not a schedule, but an accident or an attack.
pub(super) const EXPRESSION_BYTES_MAX: usize = 1024;

const ALIASES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const FIVE_FIELDS: &str = "minute hour day-of-month month day-of-week";

/// The fields of an expression in the order of [`Field::ORDER`]: five, six or seven of them.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) fields: Vec<ParsedField>,
}

#[derive(Clone, Debug)]
pub(super) struct ParsedField {
    /// In lower case.
    pub(super) text: String,
    pub(super) items: Vec<Item>,
}

pub(super) fn parse(expression: &str) -> Result<Expression, ParseError> {
    let is_odd = |char: &char| char.is_whitespace() && !char.is_ascii();
    parse_fields(expression).map_err(|error| match expression.chars().find(is_odd) {
        // It looks like a space, and separates nothing.
        Some(odd) => error.with_hint(format!("write a plain space instead of U+{:04X}", u32::from(odd))),
        None => error,
    })
}

fn parse_fields(expression: &str) -> Result<Expression, ParseError> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        let message =
            format!("expression is {} bytes long, expected at most {EXPRESSION_BYTES_MAX}", expression.len());
        return Err(ParseError::new(0..expression.len(), message));
    }
    let lowercase = expression.to_ascii_lowercase();
    let tokens: Vec<Token<'_>> = Token::whole(&lowercase).split_whitespace().collect();
    match tokens.as_slice() {
        [zone, ..] if zone.text.starts_with("cron_tz=") || zone.text.starts_with("tz=") => {
            Err(zone_in_expression(expression, *zone))
        }
        [alias, rest @ ..] if alias.text.starts_with('@') => aliased(*alias, rest),
        [_, _, _, _, _] => fields(&tokens),
        [_, _, _, _, _, _] | [_, _, _, _, _, _, _] => {
            fields(&tokens).map_err(|error| error.or_hint(how_it_was_read(&tokens)))
        }
        _ => Err(wrong_count(&tokens, expression.len())),
    }
}

fn zone_in_expression(expression: &str, token: Token<'_>) -> ParseError {
    let written = expression.get(token.span()).unwrap_or_default();
    let zone = written.split_once('=').map_or("", |(_, zone)| zone);
    let hint = format!("write it in `timezone`: \"{zone}\"");
    ParseError::new(token.span(), "the time zone is no part of a schedule").with_hint(hint)
}

fn fields(tokens: &[Token<'_>]) -> Result<Expression, ParseError> {
    let parsed = Field::ORDER.iter().zip(tokens).map(|(field, token)| parse_field(*field, *token));
    Ok(Expression { fields: parsed.collect::<Result<_, _>>()? })
}

fn how_it_was_read(tokens: &[Token<'_>]) -> String {
    let year = if tokens.len() == 7 { " year" } else { "" };
    let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    let read = format!("{} fields are read as {FIVE_FIELDS} second{year}", tokens.len());
    match from_quartz_order(&texts) {
        Some(instead) => format!("{read}; if the seconds were meant to come first, write {instead}"),
        None => format!("{read}, not seconds first"),
    }
}

/// Returns the same schedule in our order, if the fields make sense with the seconds first. Quartz numbers Sunday 1,
/// so the weekdays must be given by their names.
pub(super) fn from_quartz_order(texts: &[&str]) -> Option<String> {
    let [seconds, rest @ ..] = texts else { return None };
    let (five, year) = rest.split_at_checked(5)?;
    if five.last()?.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut instead = five.to_vec();
    if *seconds != "0" || !year.is_empty() {
        instead.push(*seconds);
    }
    instead.extend(year);
    let instead = instead.join(" ");
    let tokens: Vec<Token<'_>> = Token::whole(&instead).split_whitespace().collect();
    fields(&tokens).is_ok().then_some(instead)
}

fn wrong_count(tokens: &[Token<'_>], length: usize) -> ParseError {
    let expected = format!("expected 5 fields ({FIVE_FIELDS}), 6 (and second) or 7 (and year)");
    match (tokens, tokens.get(7..)) {
        ([], _) => ParseError::new(0..length, format!("expression is empty, {expected}")),
        ([.., last], Some([first_extra, ..])) => ParseError::new(
            first_extra.start..last.span().end,
            format!("got {} fields, {expected}", tokens.len()),
        ),
        ([only], _) => {
            let error = ParseError::new(only.span().end..only.span().end, format!("got 1 field, {expected}"));
            match ALIASES.iter().find(|(alias, _)| alias.strip_prefix('@') == Some(only.text)) {
                Some((alias, _)) => error.with_hint(format!("did you mean {alias}?")),
                None => error,
            }
        }
        ([.., last], _) => {
            let end = last.span().end;
            ParseError::new(end..end, format!("got {} fields, {expected}", tokens.len()))
        }
    }
}

fn aliased(alias: Token<'_>, rest: &[Token<'_>]) -> Result<Expression, ParseError> {
    match (ALIASES.iter().find(|(known, _)| *known == alias.text), rest) {
        (Some((_, spelt_out)), []) => parse(spelt_out),
        (Some(_), [extra, ..]) => Err(ParseError::new(extra.span(), format!("{} must be alone", alias.text))),
        (None, _) => {
            let known = ALIASES.map(|(known, _)| known).join(" ");
            let message = format!("{} is unknown, expected one of {known}", alias.text);
            Err(ParseError::new(alias.span(), message).with_hint(match alias.text {
                "@reboot" => "a start of the daemon is not an instant of a calendar",
                _ => "write other intervals in fields: */5 * * * * is every five minutes",
            }))
        }
    }
}

fn parse_field(field: Field, token: Token<'_>) -> Result<ParsedField, ParseError> {
    let items = token.split_commas().map(|part| item::parse(field, part)).collect::<Result<Vec<_>, _>>()?;
    if token.text.contains('?') && token.text != "?" {
        return Err(ParseError::new(token.span(), format!("{} ? must be alone", field.name())));
    }
    Ok(ParsedField { text: token.text.to_owned(), items })
}

#[cfg(test)]
mod tests;
