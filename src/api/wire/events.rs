//! What has changed, as the feed of events says it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Word, topics};
use crate::store::{Change, Topic};

/// Something that has changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Changed {
    #[schema(schema_with = topics)]
    pub what: Word<Topic>,
    /// The name of the cron; null if it is about none, or about all.
    pub cron: Option<String>,
    /// The run; null if it is about none.
    #[schema(format = Uuid)]
    pub run_id: Option<String>,
}

impl Changed {
    pub fn of(change: &Change) -> Self {
        let Change { topic, cron, run_id } = change.clone();
        Self { what: Word(topic), cron, run_id }
    }
}
