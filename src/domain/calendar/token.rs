//! A piece of the expression together with its position, so that a message about a mistake can point at it.

use std::ops::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// The byte in the expression at which the token begins.
    pub(super) start: usize,
}

impl<'a> Token<'a> {
    pub(super) fn whole(text: &'a str) -> Token<'a> {
        Token { text, start: 0 }
    }

    pub(super) fn span(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Returns the text for a message. An empty token becomes `(nothing)`, because a gap would look like a bug in the
    /// message.
    pub(super) fn quoted(self) -> &'a str {
        if self.text.is_empty() { "(nothing)" } else { self.text }
    }

    /// Returns the token as a number, or `None` if it is empty or has anything but digits. A number that is too large for
    /// `u16` becomes its greatest value, which is too large for every field.
    pub(super) fn number(self) -> Option<u16> {
        let digits = !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| self.text.parse().unwrap_or(u16::MAX))
    }

    /// Splits at ASCII white space only, because croniter, too, reads a no-break space as part of a field.
    pub(super) fn split_whitespace(self) -> impl Iterator<Item = Token<'a>> {
        self.split_where(|c| c.is_ascii_whitespace() || c == '\x0b').filter(|token| !token.text.is_empty())
    }

    pub(super) fn split_commas(self) -> impl Iterator<Item = Token<'a>> {
        self.split_where(|c| c == ',')
    }

    /// Splits at separators, which must be ASCII and so of one byte each.
    fn split_where(self, is_separator: fn(char) -> bool) -> impl Iterator<Item = Token<'a>> {
        self.text.split(is_separator).scan(self.start, |start, text| {
            let token = Token { text, start: *start };
            *start += text.len() + 1;
            Some(token)
        })
    }

    /// Splits around the first `separator`, which must be ASCII.
    pub(super) fn split_once(self, separator: char) -> Option<(Token<'a>, Token<'a>)> {
        let (left, right) = self.text.split_once(separator)?;
        let right_start = self.start + left.len() + 1;
        Some((Token { text: left, start: self.start }, Token { text: right, start: right_start }))
    }

    pub(super) fn strip_prefix(self, prefix: &str) -> Option<Token<'a>> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Token { text, start: self.start + prefix.len() })
    }

    pub(super) fn strip_suffix(self, suffix: &str) -> Option<Token<'a>> {
        let text = self.text.strip_suffix(suffix)?;
        Some(Token { text, start: self.start })
    }
}
