//! Text in lines that fit the terminal, broken between words.

/// Returns the text in lines of this width, all but the first indented. A word that is longer has a line of its own.
pub(in crate::cli) fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{:indent$}{word}", "")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
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
            ("", 5, 1, &[]),
        ] {
            assert_eq!(wrapped(text, width, indent), expected, "{text}");
        }
    }
}
