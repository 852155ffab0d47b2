//! Statements are written in the words of SQLite. This says the same in those of PostgreSQL: form only, as far as the two engines
//! mean the same.
//!
//! - Parameters have numbers only: `?2` is `$2`, `?` has the next number, and so has each name.
//! - `iif(a, b, c)` is `CASE WHEN a THEN b ELSE c END`.
//! - `min` and `max` of several values are `least` and `greatest`, `instr` is `strpos`.
//! - A `BLOB` is a `bytea`, and a text from which `->>` takes something is made JSON.
//! - `group_concat` is `string_agg`.
//! - What is written `/*: so */` is only said here: the locks of rows, which SQLite does not have, because there whoever writes is
//!   alone, and what an index or a table needs more.
//! - No index can be demanded, and no order in which tables are joined: a `CROSS JOIN` with a condition is a `JOIN`.

/// A statement in the words of PostgreSQL.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) sql: String,
    /// The names of its parameters, in the order of their numbers; none if they have none.
    pub(super) names: Vec<String>,
    /// How many parameters it has.
    pub(super) parameters: usize,
}

/// Says a statement in the words of PostgreSQL.
pub(super) fn say(sql: &str) -> Said {
    let mut said = Said::default();
    said.sql = said.say(sql);
    said.parameters = said.parameters.max(said.names.len());
    said
}

impl Said {
    fn say(&mut self, sql: &str) -> String {
        let mut said = String::with_capacity(sql.len() + 16);
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            let (token, behind) = rest.split_at(token_length(rest));
            let (word, after) = match first {
                '?' => {
                    let number = token[1..].parse().unwrap_or(self.parameters + 1);
                    self.parameters = self.parameters.max(number);
                    (format!("${number}"), behind)
                }
                ':' if token.len() > 1 && token != "::" => (self.number_of(&token[1..]), behind),
                _ if token.eq_ignore_ascii_case("INDEXED") => {
                    let (_, behind) = next_word(behind);
                    ("".to_owned(), next_word(behind).1.trim_start())
                }
                '/' if rest.starts_with("/*:") => {
                    let (only_here, behind) = rest[3..].split_once("*/").unwrap_or((&rest[3..], ""));
                    (self.say(only_here.trim()), behind)
                }
                '-' if rest.starts_with("->>") => ("::json ->>".to_owned(), &rest[3..]),
                _ if token == "BLOB" => ("bytea".to_owned(), behind),
                _ if token.eq_ignore_ascii_case("CROSS") && is_join_with_condition(behind) => {
                    ("".to_owned(), behind.trim_start())
                }
                _ if behind.starts_with('(') => match function(token) {
                    Some(name) => {
                        let (arguments, behind) = arguments(behind);
                        let said: Vec<String> = arguments.iter().map(|argument| self.say(argument)).collect();
                        (call(name, token, &said), behind)
                    }
                    None => (token.to_owned(), behind),
                },
                _ => (token.to_owned(), behind),
            };
            said.push_str(&word);
            rest = after;
        }
        said
    }

    /// Returns the number of a parameter with a name, which is the same wherever it comes.
    fn number_of(&mut self, name: &str) -> String {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("${}", index + 1)
    }
}

/// A function that PostgreSQL calls otherwise.
#[derive(Clone, Copy)]
enum Function {
    Iif,
    Least,
    Greatest,
    Strpos,
    StringAgg,
}

fn function(name: &str) -> Option<Function> {
    match name {
        "iif" => Some(Function::Iif),
        "min" => Some(Function::Least),
        "max" => Some(Function::Greatest),
        "instr" => Some(Function::Strpos),
        "group_concat" => Some(Function::StringAgg),
        _ => None,
    }
}

fn call(function: Function, name: &str, arguments: &[String]) -> String {
    let list = arguments.join(", ");
    match (function, arguments) {
        (Function::Iif, [a, b, c]) => format!("CASE WHEN {a} THEN {b} ELSE {c} END"),
        (Function::Least, [_, _, ..]) => format!("least({list})"),
        (Function::Greatest, [_, _, ..]) => format!("greatest({list})"),
        (Function::Strpos, _) => format!("strpos({list})"),
        (Function::StringAgg, _) => format!("string_agg({list})"),
        // An aggregate, of one value.
        (Function::Iif | Function::Least | Function::Greatest, _) => format!("{name}({list})"),
    }
}

/// Returns the length of the first token: a text, a word with the sign before it, or one character.
pub(super) fn token_length(sql: &str) -> usize {
    let mut characters = sql.char_indices();
    let Some((_, first)) = characters.next() else { return 0 };
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    match first {
        // Two quotes are one in a text; taken for the end and the beginning of two texts, they come to the same.
        '\'' | '"' => {
            characters.find(|(_, character)| *character == first).map_or(sql.len(), |(at, _)| at + 1)
        }
        // A cast.
        ':' if sql.starts_with("::") => 2,
        _ if is_of_word(first) || matches!(first, '?' | ':') => {
            characters.find(|(_, next)| !is_of_word(*next)).map_or(sql.len(), |(at, _)| at)
        }
        _ => first.len_utf8(),
    }
}

/// Returns whether this is `JOIN table ON` or `JOIN table AS name ON`.
fn is_join_with_condition(sql: &str) -> bool {
    let mut rest = sql;
    let words = [(); 5].map(|()| {
        let (word, behind) = next_word(rest);
        rest = behind;
        word
    });
    words[0].eq_ignore_ascii_case("JOIN")
        && [words[2], words[4]].iter().any(|word| word.eq_ignore_ascii_case("ON"))
}

/// Returns the next word, and what is behind it.
fn next_word(sql: &str) -> (&str, &str) {
    let sql = sql.trim_start();
    sql.split_at(token_length(sql))
}

/// Returns the arguments in the parentheses with which this begins, and what is behind them.
fn arguments(sql: &str) -> (Vec<&str>, &str) {
    let (mut depth, mut begin, mut at) = (0, 1, 0);
    let mut arguments = Vec::new();
    while at < sql.len() {
        let length = token_length(&sql[at..]);
        match &sql[at..at + length] {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 1 => {
                arguments.push(sql[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            arguments.push(sql[begin..at].trim());
            return (arguments, &sql[at + length..]);
        }
        at += length;
    }
    arguments.push(sql[begin.min(sql.len())..].trim());
    (arguments, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn postgres_has_words_of_its_own() {
        for (written, said) in [
            ("SELECT a FROM t WHERE b = ?2 AND c = ?1", "SELECT a FROM t WHERE b = $2 AND c = $1"),
            ("SET a = :one, b = :two WHERE c = :one", "SET a = $1, b = $2 WHERE c = $1"),
            ("'?1 :one' || max(a, ?1) || \"?1\"", "'?1 :one' || greatest(a, $1) || \"?1\""),
            ("min(a), min(a, b), min(coalesce(a, b))", "min(a), least(a, b), min(coalesce(a, b))"),
            (
                "iif(a = ',', iif(b, 1, 0), max(c, d))",
                "CASE WHEN a = ',' THEN CASE WHEN b THEN 1 ELSE 0 END ELSE greatest(c, d) END",
            ),
            ("runs INDEXED BY runs_by_turn WHERE x", "runs WHERE x"),
            ("instr(name, ?1) > 0", "strpos(name, $1) > 0"),
            ("a = ? AND b = ?", "a = $1 AND b = $2"),
            ("(a - b)::bigint", "(a - b)::bigint"),
            ("error ->> 'error'", "error ::json ->> 'error'"),
            ("'it''s ?1' = ?1", "'it''s ?1' = $1"),
            ("iif(a, b", "iif(a, b)"),
            ("a CROSS JOIN b AS c ON c.d = a.d", "a JOIN b AS c ON c.d = a.d"),
            ("a CROSS JOIN b ON c", "a JOIN b ON c"),
            ("a CROSS JOIN b", "a CROSS JOIN b"),
            ("WHERE a = ?1 /*: FOR UPDATE */", "WHERE a = $1 FOR UPDATE"),
            ("(a /*: , max(b, c) */)", "(a , greatest(b, c))"),
            ("a /* b ?1 */", "a /* b $1 */"),
            ("a /*: b", "a b"),
        ] {
            assert_eq!(say(written).sql, said);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_said(sql in "[a-z?:'\"(), 1é*/]{0,60}") {
            say(&sql);
        }
    }
}
