//! Changes of many rows by the same statement, made one: the server takes longer to begin a statement than to change a row.
//!
//! `UPDATE t SET a = $2 WHERE id = $1` becomes `UPDATE t SET a = given.p2 FROM unnest(CAST($1 AS text[]), CAST($2 AS int8[])) AS given
//! (p1, p2) WHERE id = given.p1`, and the `VALUES` of an insert a `SELECT` from the same. Of which types the parameters are says the
//! statement itself.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt;
use rusqlite::types::Value;
use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use super::{Known, Prepared, Session};
use crate::store::StoreError;
use crate::store::sql::postgres::dialect::token_length;
use crate::store::sql::postgres::params::Sent;

/// The rows that a statement changes.
pub(super) struct Group {
    known: Arc<Known>,
    rows: Vec<Vec<Sent>>,
    /// What tells each row from the others, and whether it was changed.
    changed: Vec<(String, Arc<AtomicUsize>)>,
    keys: HashSet<String>,
}

impl Session {
    /// Keeps a change of one row until something else is asked for. Returns where it will be found whether the row was changed, if the
    /// statement returns the keys of those that were.
    pub(in crate::store::sql::postgres) fn gather(
        &self,
        known: &Arc<Known>,
        key: String,
        values: Vec<Sent>,
    ) -> Result<Arc<AtomicUsize>, StoreError> {
        // One statement changes a row once.
        if self.gathered.borrow().iter().any(|group| group.is_of(known) && group.keys.contains(&key)) {
            self.flush()?;
        }
        let mut gathered = self.gathered.borrow_mut();
        let at = gathered.iter().position(|group| group.is_of(known)).unwrap_or_else(|| {
            let known = Arc::clone(known);
            gathered.push(Group { known, rows: Vec::new(), changed: Vec::new(), keys: HashSet::new() });
            gathered.len() - 1
        });
        let (group, changed) = (&mut gathered[at], Arc::new(AtomicUsize::new(0)));
        group.keys.insert(key.clone());
        group.changed.push((key, Arc::clone(&changed)));
        group.rows.push(values);
        Ok(changed)
    }

    /// Sends what was kept, in the order in which its statements came first.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        if self.gathered.borrow().is_empty() {
            return Ok(());
        }
        for mut group in self.gathered.take() {
            match (group.rows.pop(), group.changed.pop(), group.rows.is_empty()) {
                (Some(values), Some((_, changed)), true) => self.send(&group.known, values, changed)?,
                (Some(values), Some(changed), false) => {
                    group.rows.push(values);
                    group.changed.push(changed);
                    self.send_all(group)?;
                }
                (_, _, _) => {}
            }
        }
        Ok(())
    }

    fn send_all(&self, group: Group) -> Result<(), StoreError> {
        let Some(statement) = self.prepared_for_many(&group)? else {
            let each = group.rows.into_iter().zip(group.changed);
            return each
                .into_iter()
                .try_for_each(|(row, (_, changed))| self.send(&group.known, row, changed));
        };
        let columns: Vec<Sent> = (0..statement.params().len())
            .map(|column| Sent::array(group.rows.iter().map(|row| &row[column])))
            .collect();
        let client = self.client();
        self.push(async move {
            let rows: Vec<tokio_postgres::Row> =
                client.query_raw(&statement, columns).await?.try_collect().await?;
            let keys: HashSet<&str> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
            for (key, changed) in &group.changed {
                changed.store(usize::from(keys.contains(key.as_str())), Ordering::Relaxed);
            }
            Ok(())
        })
    }

    /// Returns `None` if no statement stays prepared, since of which types the parameters are says only one that is.
    fn prepared_for_many(&self, group: &Group) -> Result<Option<Statement>, StoreError> {
        if let Some(prepared) = group.known.for_many.get() {
            return Ok(Some(prepared.clone()));
        }
        let Prepared::Once(one) = self.prepared(&group.known, &group.rows[0])? else { return Ok(None) };
        let prepared = self.prepare(&for_many(&group.known.said.sql, one.params()), &[])?;
        Ok(Some(group.known.for_many.get_or_init(|| prepared).clone()))
    }
}

impl Group {
    fn is_of(&self, known: &Arc<Known>) -> bool {
        Arc::ptr_eq(&self.known, known)
    }
}

impl Sent {
    /// Returns an array of these values.
    fn array<'v>(values: impl Iterator<Item = &'v Sent>) -> Self {
        let mut array = String::from("{");
        for (place, Sent(value)) in values.enumerate() {
            if place > 0 {
                array.push(',');
            }
            match value {
                Value::Null => array.push_str("NULL"),
                Value::Integer(number) => array.push_str(&number.to_string()),
                Value::Real(number) => array.push_str(&number.to_string()),
                Value::Text(text) => quote(&mut array, text),
                Value::Blob(bytes) => quote_bytes(&mut array, bytes),
            }
        }
        array.push('}');
        Sent(Value::Text(array))
    }
}

fn quote(array: &mut String, text: &str) {
    let mut rest = text;
    array.push('"');
    while let Some(at) = rest.find(['"', '\\']) {
        let (plain, special) = rest.split_at(at);
        array.extend([plain, "\\", &special[..1]]);
        rest = &special[1..];
    }
    array.extend([rest, "\""]);
}

fn quote_bytes(array: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    array.push_str("\"\\\\x");
    array.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| DIGITS[usize::from(half)]));
    array.push('"');
}

/// Says a statement for many rows that changes one.
pub(super) fn for_many(sql: &str, types: &[Type]) -> String {
    let places = 1..=types.len();
    let arrays: Vec<String> = places
        .clone()
        .zip(types)
        .map(|(place, kind)| format!("CAST(${place} AS {}[])", kind.name()))
        .collect();
    let names: Vec<String> = places.map(|place| format!("p{place}")).collect();
    let given = format!("FROM unnest({}) AS given ({})", arrays.join(", "), names.join(", "));
    let is_insert = sql.starts_with("INSERT");
    let (mut said, mut rest, mut depth, mut is_done, mut in_values) = (String::new(), sql, 0, false, false);
    while !rest.is_empty() {
        let (token, behind) = rest.split_at(token_length(rest));
        rest = behind;
        match token {
            "$" => {
                said.push_str("given.p");
                continue;
            }
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        let at_top = depth == 0 && !is_done;
        match token {
            "VALUES" if is_insert && at_top => {
                (is_done, in_values) = (true, true);
                said.push_str("SELECT");
            }
            // The parentheses of the values go.
            "(" if in_values && depth == 1 => {}
            ")" if in_values && depth == 0 => {
                in_values = false;
                write!(said, " {given}").unwrap_or_default();
            }
            "FROM" if is_insert && at_top => {
                is_done = true;
                write!(said, "{given} CROSS JOIN LATERAL").unwrap_or_default();
            }
            "WHERE" if !is_insert && at_top => {
                is_done = true;
                write!(said, "{given} WHERE").unwrap_or_default();
            }
            token => said.push_str(token),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_for_one_row_is_said_for_many() {
        let given = "FROM unnest(CAST($1 AS text[]), CAST($2 AS int8[])) AS given (p1, p2)";
        for (one, many) in [
            (
                "UPDATE t SET a = (SELECT b FROM c WHERE d = $2) WHERE id = $1",
                format!("UPDATE t SET a = (SELECT b FROM c WHERE d = given.p2) {given} WHERE id = given.p1"),
            ),
            (
                "INSERT INTO t (a, b) VALUES ($1, coalesce($2, 1)) ON CONFLICT DO NOTHING RETURNING a",
                format!(
                    "INSERT INTO t (a, b) SELECT given.p1, coalesce(given.p2, 1) {given} ON CONFLICT DO NOTHING RETURNING a"
                ),
            ),
            (
                "INSERT INTO t (a) SELECT b FROM (SELECT $1 AS b FROM c WHERE d = $2) AS e WHERE true",
                format!(
                    "INSERT INTO t (a) SELECT b {given} CROSS JOIN LATERAL (SELECT given.p1 AS b FROM c WHERE d = given.p2) AS e \
                     WHERE true"
                ),
            ),
        ] {
            assert_eq!(for_many(one, &[Type::TEXT, Type::INT8]).replace("  ", " "), many);
        }
    }

    #[test]
    fn an_array_keeps_what_is_in_it() {
        let values = [
            Sent(Value::Null),
            Sent(Value::Integer(-1)),
            Sent(Value::Text("a \"b\" \\c, {NULL}".to_owned())),
            Sent(Value::Blob(vec![0, 255])),
        ];
        let Sent(array) = Sent::array(values.iter());
        assert_eq!(array, Value::Text(r#"{NULL,-1,"a \"b\" \\c, {NULL}","\\x00ff"}"#.to_owned()));
    }
}
