//! Text in lines that fit the terminal, broken between words.

/// Returns the text in lines of this width, all but the first indented. A word that is longer has a line of its own. A command in
/// backticks is on one line if it fits, so that it can be copied.
pub(in crate::cli) fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words(text, width.saturating_sub(indent)) {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(&word) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(_) => lines.push(format!("{:indent$}{word}", "")),
            None => lines.push(word),
        }
    }
    lines
}

/// Returns the words, of which those that one pair of backticks is around are one, unless it is longer than this.
fn words(text: &str, longest: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        quoted.push(word);
        let is_open = quoted.iter().map(|word| word.matches('`').count()).sum::<usize>() % 2 == 1;
        if !is_open {
            let whole = quoted.join(" ");
            match columns(&whole) <= longest {
                true => words.push(whole),
                false => words.extend(quoted.iter().map(|word| (*word).to_owned())),
            }
            quoted.clear();
        }
    }
    words.extend(quoted.into_iter().map(str::to_owned));
    words
}

/// Returns how many columns a text takes, whose colours take none.
pub(super) fn columns(text: &str) -> usize {
    let (mut columns, mut rest) = (0, text);
    while let Some((before, _, after)) = color_in(rest) {
        columns += before.chars().count();
        rest = after;
    }
    columns + rest.chars().count()
}

/// Splits a text at its first colour code, such as `ESC[31m`.
pub(super) fn color_in(text: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in text.match_indices("\u{1b}[") {
        let code = &text[at + 2..];
        let digits = code.len() - code.trim_start_matches(|char: char| char.is_ascii_digit()).len();
        if code[digits..].starts_with('m') {
            let end = at + 2 + digits + 1;
            return Some((&text[..at], &text[at..end], &text[end..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_colours_take_no_room() {
        for (text, width, indent, expected) in [
            ("one two three", 13, 2, &["one two three"][..]),
            ("one two three", 12, 2, &["one two", "  three"]),
            ("a-very-long-word b", 5, 1, &["a-very-long-word", " b"]),
            ("\u{1b}[31mred\u{1b}[0m two", 7, 0, &["\u{1b}[31mred\u{1b}[0m two"]),
            ("so `run it now`, and", 15, 2, &["so", "  `run it now`,", "  and"]),
            ("an open `quote of many", 9, 0, &["an open", "`quote of", "many"]),
            ("a `much too long` b", 8, 0, &["a `much", "too", "long` b"]),
            ("", 5, 1, &[]),
        ] {
            assert_eq!(wrapped(text, width, indent), expected, "{text}");
        }
    }
}
