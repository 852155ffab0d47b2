//! One file of the configuration: reads it up to a limit, and turns byte offsets into lines and columns.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::draft::Draft;
use super::errors::{ConfigError, Position, Report};
use super::limits::FILE_BYTES_MAX;
use super::regular_file::read_regular;

/// The distance between known character counts, by which a column is found without reading a long line from its start.
const CHECKPOINT_BYTES: usize = 4096;

/// A file's text, and the places where its lines begin.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// The path as it was given.
    pub(super) file: Arc<Path>,
    /// Without a byte order mark.
    pub(super) text: String,
    line_starts: Vec<usize>,
    /// The number of characters before every `CHECKPOINT_BYTES`-th byte.
    chars_before: Vec<usize>,
}

/// What to do about a file that the daemon, or whoever runs a command, may not read.
const DENIED: &str =
    "permission denied; the daemon and its group have to read it: `chgrp agentcron FILE`, `chmod 640 FILE`";

impl SourceFile {
    /// Reads a file, or what is to be written to it. The error says what is wrong with the file as a whole.
    pub(super) fn read(path: &Path, draft: Option<&Draft>) -> Result<Self, String> {
        match draft.filter(|draft| draft.is_of(path)) {
            Some(draft) => Self::of_bytes(path, &draft.bytes),
            None => {
                let bytes = read_regular(path, FILE_BYTES_MAX).map_err(|error| match error.kind() {
                    ErrorKind::PermissionDenied => DENIED.to_owned(),
                    _ => error.to_string(),
                })?;
                Self::of_bytes(path, &bytes)
            }
        }
    }

    fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, String> {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err("the file is UTF-16, and must be UTF-8 text: iconv -f utf-16 -t utf-8".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            format!(
                "byte {at} is not UTF-8: the file must be UTF-8 text (from Latin-1: iconv -f latin1 -t utf-8)"
            )
        })?;
        if let Some(at) = text.find('\0') {
            return Err(format!("byte {at} is NUL: the file must be UTF-8 text"));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self::of_text(path, text))
    }

    /// Reads a file, or reports why it cannot be read.
    pub(super) fn read_or_report(path: &Path, draft: Option<&Draft>, report: &mut Report) -> Option<Self> {
        Self::read(path, draft).map_err(|message| report.file_error(&path.into(), message)).ok()
    }

    /// Returns a source with the given text, without reading a file.
    pub(super) fn of_text(path: &Path, text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let mut chars = 0;
        let chars_before = text.as_bytes().chunks(CHECKPOINT_BYTES).map(|chunk| {
            let before = chars;
            chars += count_chars(chunk);
            before
        });
        Self {
            file: path.into(),
            line_starts: std::iter::once(0).chain(newlines).collect(),
            chars_before: chars_before.collect(),
            text: text.to_owned(),
        }
    }

    /// Returns the line and column of a byte.
    pub(super) fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let chars = if offset - start <= CHECKPOINT_BYTES {
            count_chars(&self.text.as_bytes()[start..offset])
        } else {
            self.chars_before(offset) - self.chars_before(start)
        };
        Position { line, column: chars + 1 }
    }

    /// Returns a line by its number, which counts from 1, without its line ending.
    pub(super) fn line(&self, number: usize) -> &str {
        let start = self.line_starts[number - 1];
        let end = self.line_starts.get(number).map_or(self.text.len(), |next| next - 1);
        self.text[start..end].trim_end_matches('\r')
    }

    /// Returns a mistake at a byte.
    pub(super) fn error(
        &self,
        offset: usize,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> ConfigError {
        let position = Some(self.position(offset));
        ConfigError { position, hint, ..ConfigError::of_file(Arc::clone(&self.file), message) }
    }

    fn chars_before(&self, offset: usize) -> usize {
        let checkpoint = offset / CHECKPOINT_BYTES;
        match self.chars_before.get(checkpoint) {
            Some(before) => {
                before + count_chars(&self.text.as_bytes()[checkpoint * CHECKPOINT_BYTES..offset])
            }
            // The offset is right behind a text that ends on a checkpoint.
            None => count_chars(self.text.as_bytes()),
        }
    }
}

/// Returns the number of bytes that begin a character.
fn count_chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_in_characters_even_far_into_a_long_line() {
        let long = "ü".repeat(CHECKPOINT_BYTES);
        let source = SourceFile::of_text(Path::new("x"), &format!("a\r\nüb\n{long}z"));
        let at = |offset| (source.position(offset).line, source.position(offset).column);
        assert_eq!((at(0), at(3), at(5), at(6)), ((1, 1), (2, 1), (2, 2), (2, 3)));
        assert_eq!(at(7 + long.len()), (3, CHECKPOINT_BYTES + 1));
        assert_eq!((at(usize::MAX), source.line(2)), ((3, CHECKPOINT_BYTES + 2), "üb"));
        assert_eq!(SourceFile::of_text(Path::new("x"), "").position(0), Position { line: 1, column: 1 });
    }
}
