//! A piece of the expression that remembers where it stands, so that a fault can point at it.

use std::ops::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// In bytes from the beginning of the expression.
    pub(super) start: usize,
}

impl<'a> Word<'a> {
    pub(super) fn whole(text: &'a str) -> Word<'a> {
        Word { text, start: 0 }
    }

    pub(super) fn span(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// For messages: an empty word would read as a slip of the message.
    pub(super) fn quoted(self) -> &'a str {
        if self.text.is_empty() { "(nothing)" } else { self.text }
    }

    /// Digits only; what is too big for any field stays too big.
    pub(super) fn number(self) -> Option<u16> {
        let digits = !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| self.text.parse().unwrap_or(u16::MAX))
    }

    /// Separated by ASCII white space only: croniter reads a no-break space as part of a field, too.
    pub(super) fn split_whitespace(self) -> impl Iterator<Item = Word<'a>> {
        self.split_where(|c| c.is_ascii_whitespace() || c == '\x0b').filter(|word| !word.text.is_empty())
    }

    pub(super) fn split_commas(self) -> impl Iterator<Item = Word<'a>> {
        self.split_where(|c| c == ',')
    }

    /// The separators are ASCII, one byte each.
    fn split_where(self, is_separator: fn(char) -> bool) -> impl Iterator<Item = Word<'a>> {
        self.text.split(is_separator).scan(self.start, |start, text| {
            let word = Word { text, start: *start };
            *start += text.len() + 1;
            Some(word)
        })
    }

    /// Around the first `separator`, which is ASCII.
    pub(super) fn split_once(self, separator: char) -> Option<(Word<'a>, Word<'a>)> {
        let (left, right) = self.text.split_once(separator)?;
        let right_start = self.start + left.len() + 1;
        Some((Word { text: left, start: self.start }, Word { text: right, start: right_start }))
    }

    pub(super) fn strip_prefix(self, prefix: &str) -> Option<Word<'a>> {
        let text = self.text.strip_prefix(prefix)?;
        Some(Word { text, start: self.start + prefix.len() })
    }

    pub(super) fn strip_suffix(self, suffix: &str) -> Option<Word<'a>> {
        let text = self.text.strip_suffix(suffix)?;
        Some(Word { text, start: self.start })
    }
}
