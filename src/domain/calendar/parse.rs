//! What was typed: expression text to a tree with values in range, and every fault at its place.
//!
//! This file reads the whole and its fields, `item.rs` one element of a field. Nothing here knows what a value means
//! for a day; that is `meaning.rs`.

mod item;

use super::error::Fault;
use super::field::Field;
use super::word::Word;

pub(super) use item::Item;

/// Longer text is not a schedule but an accident or an attack.
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

/// The fields that were typed, in the order of [`Field::ORDER`]: five, six or seven of them.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) fields: Vec<TypedField>,
}

#[derive(Clone, Debug)]
pub(super) struct TypedField {
    /// In lowercase.
    pub(super) text: String,
    pub(super) items: Vec<Item>,
}

pub(super) fn parse(expression: &str) -> Result<Expression, Fault> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        let message =
            format!("expression is {} bytes long, at most {EXPRESSION_BYTES_MAX} allowed", expression.len());
        return Err(Fault::new(0..expression.len(), message));
    }
    let lowercase = expression.to_ascii_lowercase();
    let words: Vec<Word<'_>> = Word::whole(&lowercase).split_whitespace().collect();
    match words.as_slice() {
        [alias, rest @ ..] if alias.text.starts_with('@') => aliased(*alias, rest),
        [_, _, _, _, _] => fields(&words),
        [_, _, _, _, _, _] | [_, _, _, _, _, _, _] => {
            fields(&words).map_err(|fault| fault.or_hint(how_it_was_read(&words)))
        }
        _ => Err(wrong_count(&words, expression.len())),
    }
}

fn fields(words: &[Word<'_>]) -> Result<Expression, Fault> {
    let typed = Field::ORDER.iter().zip(words).map(|(field, word)| typed_field(*field, *word));
    Ok(Expression { fields: typed.collect::<Result<_, _>>()? })
}

fn how_it_was_read(words: &[Word<'_>]) -> String {
    let year = if words.len() == 7 { " year" } else { "" };
    let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
    let read = format!("{} fields are read as {FIVE_FIELDS} second{year}", words.len());
    match from_quartz_order(&texts) {
        Some(instead) => format!("{read}; if the seconds were meant to come first, write {instead}"),
        None => format!("{read}, not seconds first"),
    }
}

/// The same schedule in our order, if the fields make sense with the seconds first. Quartz numbers Sunday 1, so
/// weekdays must be told by their names.
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
    let words: Vec<Word<'_>> = Word::whole(&instead).split_whitespace().collect();
    fields(&words).is_ok().then_some(instead)
}

fn wrong_count(words: &[Word<'_>], length: usize) -> Fault {
    let expected = format!("expected 5 fields ({FIVE_FIELDS}), 6 (and second) or 7 (and year)");
    match (words, words.get(7..)) {
        ([], _) => Fault::new(0..length, format!("expression is empty, {expected}")),
        ([.., last], Some([first_extra, ..])) => {
            Fault::new(first_extra.start..last.span().end, format!("got {} fields, {expected}", words.len()))
        }
        ([only], _) => {
            let fault = Fault::new(only.span().end..only.span().end, format!("got 1 field, {expected}"));
            match ALIASES.iter().find(|(alias, _)| alias.strip_prefix('@') == Some(only.text)) {
                Some((alias, _)) => fault.hint(format!("did you mean {alias}?")),
                None => fault,
            }
        }
        ([.., last], _) => {
            let end = last.span().end;
            Fault::new(end..end, format!("got {} fields, {expected}", words.len()))
        }
    }
}

fn aliased(alias: Word<'_>, rest: &[Word<'_>]) -> Result<Expression, Fault> {
    match (ALIASES.iter().find(|(known, _)| *known == alias.text), rest) {
        (Some((_, spelt_out)), []) => parse(spelt_out),
        (Some(_), [extra, ..]) => Err(Fault::new(extra.span(), format!("{} stands alone", alias.text))),
        (None, _) => {
            let known = ALIASES.map(|(known, _)| known).join(" ");
            let message = format!("{} is not known, allowed are {known}", alias.text);
            Err(Fault::new(alias.span(), message).hint(match alias.text {
                "@reboot" => "a start of the daemon is not an instant of a calendar",
                _ => "other intervals are written in fields: */5 * * * * is every five minutes",
            }))
        }
    }
}

fn typed_field(field: Field, word: Word<'_>) -> Result<TypedField, Fault> {
    let items = word.split_commas().map(|part| item::parse(field, part)).collect::<Result<Vec<_>, _>>()?;
    if word.text.contains('?') && word.text != "?" {
        return Err(Fault::new(word.span(), format!("{} ? must stand alone", field.name())));
    }
    Ok(TypedField { text: word.text.to_owned(), items })
}

#[cfg(test)]
mod tests;
