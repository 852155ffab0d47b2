//! The environment as a capability: the only place that reads environment variables and systemd credentials.
//!
//! Every lookup reads the value again, so a rotated credential takes effect without a restart.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::limits::CREDENTIAL_BYTES_MAX;
use super::regular_file::{Links, open_regular};
use super::secret::Secret;
use crate::domain::template::{self, FillError};

/// Where systemd keeps the credentials of our unit while it runs; root may read them.
const CREDENTIALS_OF_UNIT: &str = "/run/credentials/agentcron.service";

/// The source of the values of `env.NAME` and `credential.NAME`. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    values: Values,
    /// Whether a secret without a value is a mistake; otherwise the daemon may have it.
    must_have_secrets: bool,
}

#[derive(Clone)]
enum Values {
    OfProcess {
        /// The folder of the credentials of a process without any.
        credentials: Option<&'static str>,
    },
    Fixed(Arc<BTreeMap<String, String>>),
}

/// Never shows a value.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment(…)")
    }
}

/// Why a name has no value. Never shows a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Neither `env.…` nor `credential.…`, or with characters that no such name may have.
    #[error("`{0}` is not the name of an environment variable or a credential")]
    InvalidName(String),
    #[error("{0} is not set")]
    Unset(String),
    /// Refused, because an empty token is worse than none.
    #[error("{0} is set, but empty")]
    Empty(String),
    #[error("{0} is not UTF-8 text")]
    NotText(String),
    /// The process has no credentials at all.
    #[error("{0} is not available: $CREDENTIALS_DIRECTORY is not set (LoadCredential= of systemd sets it)")]
    NoCredentials(String),
    #[error("{name} cannot be read: {error}")]
    Unreadable {
        name: String,
        /// The message of the operating system.
        error: String,
    },
    #[error("{0} is readable by everybody on this machine (chmod o-r)")]
    WorldReadable(String),
    /// Longer than systemd allows.
    #[error("{0} is longer than {CREDENTIAL_BYTES_MAX} bytes")]
    TooLong(String),
}

impl Environment {
    pub fn of_process() -> Self {
        Self::of(Values::OfProcess { credentials: None })
    }

    /// Returns the environment of this process, with the credentials of our unit if it has none of its own.
    pub fn of_operator() -> Self {
        Self::of(Values::OfProcess { credentials: Some(CREDENTIALS_OF_UNIT) })
    }

    /// Returns this environment for somebody who only looks: a secret without a value may be the daemon's, so that is a
    /// warning, and something else is used instead. Nothing that is made with it may be sent.
    pub fn for_looking(&self) -> Self {
        Self { must_have_secrets: false, ..self.clone() }
    }

    fn of(values: Values) -> Self {
        Self { values, must_have_secrets: true }
    }

    /// Returns an environment with fixed values by full name (`env.HOOK_TOKEN`, `credential.api_key`), for tests and
    /// the demo.
    pub fn of_map<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::of(Values::Fixed(Arc::new(values.collect())))
    }

    /// Returns the value of `env.NAME` or `credential.NAME`, which is never empty.
    pub fn lookup(&self, name: &str) -> Result<Secret, LookupError> {
        let (kind, own_name) = name.split_once('.').unwrap_or_default();
        let is_name = match kind {
            "env" => is_variable_name(own_name),
            "credential" => is_credential_name(own_name),
            _ => false,
        };
        let text = match &self.values {
            _ if !is_name => return Err(LookupError::InvalidName(name.chars().take(64).collect())),
            Values::Fixed(values) => values.get(name).cloned().ok_or(LookupError::Unset(name.to_owned()))?,
            Values::OfProcess { .. } if kind == "env" => variable_of_process(name, own_name)?,
            Values::OfProcess { credentials } => credential_of_process(name, own_name, *credentials)?,
        };
        if text.is_empty() { Err(LookupError::Empty(name.to_owned())) } else { Ok(Secret::new(&text)) }
    }

    /// Returns the text with its `env.…` and `credential.…` placeholders filled, which may put a secret into it.
    pub fn fill(&self, text: &str) -> Result<Secret, FillError<LookupError>> {
        let lookup = |name: &str| self.lookup(name).map(|secret| secret.expose().to_owned());
        template::fill(text, &lookup).map(|filled| Secret::new(&filled))
    }

    /// Returns whether a secret without a value is a mistake.
    pub(super) fn must_have_secrets(&self) -> bool {
        self.must_have_secrets
    }

    /// Returns the text filled with what is used instead of its secrets: it has the form of a signing key, which is
    /// valid as a key or a header too, and differs from name to name.
    pub(super) fn substitute(text: &str) -> String {
        let substitute = |name: &str| {
            let digest = Sha256::digest(name);
            Ok::<_, std::convert::Infallible>(format!("whsec_{}", BASE64_STANDARD.encode(digest)))
        };
        template::fill(text, &substitute).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that reads environment variables")]
fn variable_of_process(name: &str, variable: &str) -> Result<String, LookupError> {
    std::env::var(variable).map_err(|error| match error {
        std::env::VarError::NotPresent => LookupError::Unset(name.to_owned()),
        std::env::VarError::NotUnicode(_) => LookupError::NotText(name.to_owned()),
    })
}

fn credential_of_process(
    name: &str,
    credential: &str,
    otherwise: Option<&'static str>,
) -> Result<String, LookupError> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let otherwise = || otherwise.map(PathBuf::from).filter(|folder| folder.exists());
    let directory = directory.or_else(otherwise);
    let directory = directory.ok_or_else(|| LookupError::NoCredentials(name.to_owned()))?;
    read_credential(name, &directory.join(credential))
}

fn read_credential(name: &str, path: &Path) -> Result<String, LookupError> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => LookupError::Unset(name.to_owned()),
        _ => LookupError::Unreadable { name: name.to_owned(), error: error.to_string() },
    };
    let file = open_regular(path, OpenOptions::new().read(true), Links::Followed).map_err(unreadable)?;
    if is_world_readable(&file.metadata().map_err(unreadable)?) {
        return Err(LookupError::WorldReadable(name.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(CREDENTIAL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > CREDENTIAL_BYTES_MAX {
        return Err(LookupError::TooLong(name.to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| LookupError::NotText(name.to_owned()))?;
    // Editors and `echo` end a file with a newline that is not part of the secret.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(unix)]
fn is_world_readable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_world_readable(_metadata: &std::fs::Metadata) -> bool {
    false
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|char: char| char.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Returns whether this can be the name of a credential. It has no slash and no leading dot, so that it cannot lead
/// out of the directory.
fn is_credential_name(name: &str) -> bool {
    !name.starts_with('.')
        && !name.is_empty()
        && name.len() <= 255
        && name.chars().all(|char| char.is_ascii_alphanumeric() || "_-.".contains(char))
}

#[cfg(test)]
mod tests;
