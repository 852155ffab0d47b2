//! The crons that files define, as text.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::errors::Position;
use super::fields::CronFields;
use super::validate_cron::validate_cron;
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, InstallationId};

/// A valid cron that is defined in a file. It is kept as text, because a parsed one takes more memory, and of a hundred
/// thousand crons only a few are due at a time.
#[derive(Clone, PartialEq, Eq)]
pub struct CronDefinition {
    pub name: String,
    /// The name from which its id follows, if that is another.
    pub was: Option<String>,
    pub enabled: bool,
    /// The fields in JSON as written, with `[defaults]` merged in. `webhook`, `input`, `config`, `context` and `metadata`
    /// still have their placeholders.
    pub body: String,
    /// The place of its header.
    pub location: SourceLocation,
}

impl CronDefinition {
    /// Returns the id that it has in this installation.
    pub fn cron_id(&self, installation: InstallationId) -> CronId {
        CronId::of_name(installation, self.was.as_deref().unwrap_or(&self.name))
    }

    /// Returns its fields, which were written by the code that reads them here.
    pub fn fields(&self) -> CronFields {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Returns the cron, whose ids belong to no installation. It is `None` only if the zone database has lost its zone.
    pub fn cron(&self) -> Option<Cron> {
        validate_cron(&self.name, &self.fields()).ok()
    }

    /// Returns a definition as a file would have it.
    #[cfg(test)]
    pub(crate) fn of_body(name: &str, body: &str) -> Arc<Self> {
        let fields: CronFields = serde_json::from_str(body).unwrap();
        let cron = validate_cron(name, &fields).unwrap();
        let position = Position { line: 1, column: 1 };
        let location = SourceLocation { file: Path::new("crons.toml").into(), position };
        let (name, enabled, body) = (cron.name, cron.enabled, body.to_owned());
        Arc::new(Self { name, was: fields.was, enabled, body, location })
    }
}

/// Leaves out what must not reach a log line.
impl fmt::Debug for CronDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CronDefinition")
            .field("name", &self.name)
            .field("fields", &self.fields())
            .finish_non_exhaustive()
    }
}

/// A place in one of several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The path as it was given.
    pub file: Arc<Path>,
    pub position: Position,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.position.line, self.position.column)
    }
}
