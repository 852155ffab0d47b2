//! The included files that were without a mistake, so that a file that has not changed is not parsed again when another one
//! has: of a hundred files, a reload parses the one that was edited.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::cron_definition::CronDefinition;
use super::fields::CronFields;
use super::source_file::SourceFile;
use crate::domain::template;
use crate::domain::url_policy::UrlPolicy;

/// What the last reading found to be clean. Only what depends on nothing but the bytes of a file, `[defaults]` and the
/// policy for URLs is remembered: no file with placeholders, whose values may change, and none that was warned about.
#[derive(Debug, Default)]
pub struct CleanFiles {
    files: HashMap<Arc<Path>, CleanFile>,
    defaults: CronFields,
    policy: Option<UrlPolicy>,
}

/// Of the text of a file.
pub(super) type TextDigest = [u8; 32];

#[derive(Debug)]
struct CleanFile {
    digest: TextDigest,
    crons: Vec<Arc<CronDefinition>>,
}

impl CleanFiles {
    /// Makes room for so many files.
    pub(super) fn new(files: usize, defaults: &CronFields, policy: Option<&UrlPolicy>) -> Self {
        Self { files: HashMap::with_capacity(files), defaults: defaults.clone(), policy: policy.cloned() }
    }

    /// Returns whether files mean the same by both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.defaults == other.defaults && self.policy == other.policy
    }

    /// Returns the crons of the file if it has the same text.
    pub(super) fn crons(&self, file: &Path, digest: TextDigest) -> Option<&[Arc<CronDefinition>]> {
        let known = self.files.get(file)?;
        (known.digest == digest).then_some(&known.crons)
    }

    /// Adds a file without a mistake.
    pub(super) fn insert(&mut self, file: Arc<Path>, digest: TextDigest, crons: Vec<Arc<CronDefinition>>) {
        if !crons.iter().any(|cron| may_name_values(&cron.body)) {
            self.files.insert(file, CleanFile { digest, crons });
        }
    }
}

/// Returns whether a text may have a placeholder that is filled from the environment.
fn may_name_values(text: &str) -> bool {
    template::is_template(text) && ["env.", "credential."].iter().any(|source| text.contains(source))
}

pub(super) fn digest(source: &SourceFile) -> TextDigest {
    Sha256::digest(&source.text).into()
}
