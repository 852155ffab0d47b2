//! The journal of systemd, by its own protocol: each entry is one datagram with fields, so that a text of many lines is
//! one entry, has its priority, and can be found by cron or run.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use crate::config::Environment;
use crate::domain::bounds::JOURNAL_TEXT_BYTES_MAX;

/// See systemd's `JOURNAL_NATIVE_PROTOCOL`.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How serious an entry is, as `syslog(3)` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

#[derive(Debug)]
pub(in crate::cli) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Returns the journal if it is what reads our stderr: only then does `$JOURNAL_STREAM` name the device and inode of
    /// stderr (`systemd.exec(5)`).
    pub(super) fn of_stderr(environment: &Environment) -> Option<Self> {
        let named = environment.lookup("env.JOURNAL_STREAM").ok()?;
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
        if named.expose() != format!("{}:{}", stderr.dev(), stderr.ino()) {
            return None;
        }
        Some(Self { socket: UnixDatagram::unbound().ok()?, path: SOCKET.into() })
    }

    /// Writes one entry, as lines of stderr if the socket does not take it.
    pub(super) fn write(
        &self,
        priority: Priority,
        text: &str,
        fields: &[(String, String)],
    ) -> io::Result<()> {
        let mut entry = Vec::new();
        append(&mut entry, "PRIORITY", &(priority as u8).to_string());
        append(&mut entry, "SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
        append(&mut entry, "MESSAGE", text);
        for (name, value) in fields {
            append(&mut entry, name, value);
        }
        if self.socket.send_to(&entry, &self.path).is_ok() {
            return Ok(());
        }
        self.write_lines(priority, text)
    }

    /// Writes the text to stderr, where a prefix gives each line its priority (`sd-daemon(3)`). The journal knows whose
    /// stderr that is, even if the process has ended before it looks.
    pub(super) fn write_lines(&self, priority: Priority, text: &str) -> io::Result<()> {
        let priority = priority as u8;
        let prefixed: String = text.lines().map(|line| format!("<{priority}>{line}\n")).collect();
        io::stderr().write_all(prefixed.as_bytes())
    }
}

/// Appends a field, in the form that allows a value to have many lines.
fn append(entry: &mut Vec<u8>, name: &str, value: &str) {
    let fits = |end: &usize| value.is_char_boundary(*end);
    let value = &value[..(0..=value.len().min(JOURNAL_TEXT_BYTES_MAX)).rfind(fits).unwrap_or(0)];
    entry.extend(name.as_bytes());
    entry.push(b'\n');
    entry.extend((value.len() as u64).to_le_bytes());
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

/// Returns the name of a field of ours.
pub(super) fn field_name(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
    format!("AGENTCRON_{}", name.chars().map(plain).take(48).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_fields_and_a_text_of_many_lines_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let reader = UnixDatagram::bind(&path).unwrap();
        let journal = Journal { socket: UnixDatagram::unbound().unwrap(), path };
        let fields = [(field_name("run_id"), "7".to_owned())];
        journal.write(Priority::Warning, "two\nlines", &fields).unwrap();
        let mut entry = vec![0; 4096];
        let length = reader.recv(&mut entry).unwrap();
        let expected = b"PRIORITY\n\x01\0\0\0\0\0\0\x004\nSYSLOG_IDENTIFIER\n\x09\0\0\0\0\0\0\0agentcron\n\
            MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nAGENTCRON_RUN_ID\n\x01\0\0\0\0\0\0\x007\n";
        assert_eq!(&entry[..length], &expected[..]);
    }

    #[test]
    fn a_name_has_only_what_the_journal_allows() {
        assert_eq!(field_name("log.file"), "AGENTCRON_LOG_FILE");
        assert_eq!(field_name(&"é".repeat(100)).len(), 58);
    }

    #[test]
    fn a_text_is_cut_before_the_journal_refuses_it() {
        let mut entry = Vec::new();
        append(&mut entry, "MESSAGE", &"a".repeat(JOURNAL_TEXT_BYTES_MAX + 1));
        assert_eq!(entry.len(), "MESSAGE\n".len() + 8 + JOURNAL_TEXT_BYTES_MAX + 1);
    }
}
