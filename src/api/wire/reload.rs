//! What came of reading the configuration files again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::engine::reloads::Outcome;

/// What came of reading the configuration files again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Whether all of the files is in force now, but for what needs a restart.
    pub in_force: bool,
    /// Why not all of it is, human-readable; null if it is.
    pub problem: Option<String>,
    /// The settings that a restart puts in force.
    pub needs_restart: Vec<String>,
}

impl Reloaded {
    pub fn of(Outcome { problem, needs_restart }: Outcome) -> Self {
        let needs_restart = needs_restart.into_iter().map(str::to_owned).collect();
        Self { in_force: problem.is_none(), problem, needs_restart }
    }
}
