//! Acts: what somebody did that changed something.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Time, Word, act_kinds, actor_kinds};
use crate::domain::act::{self, ActKind, ActorKind};

/// Something that somebody did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Act {
    pub at: Time,
    /// What was done.
    #[schema(schema_with = act_kinds)]
    pub what: Word<ActKind>,
    pub by: Actor,
    /// The cron that it was done to; null if it was done to none.
    #[schema(format = Uuid)]
    pub cron_id: Option<String>,
    /// The name of the cron at that time.
    pub cron_name: Option<String>,
    /// The run that it was done to; for a retry and a trigger, the new run.
    #[schema(format = Uuid)]
    pub run_id: Option<String>,
    /// The delivery that it was done to.
    #[schema(format = Uuid)]
    pub delivery_id: Option<String>,
    /// What the person wrote, or what the act came to.
    pub note: Option<String>,
}

/// Who did something, as far as that is known.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// `uid`: a user of this machine, at the Unix socket; `key`: the holder of a key; `local`: some program on this machine,
    /// without a key; `agentcron`: the daemon itself.
    #[schema(schema_with = actor_kinds)]
    pub kind: Word<ActorKind>,
    /// The user's id, or the name of the key; null if there is no more to say.
    pub name: Option<String>,
}

impl Act {
    pub fn of(act: &act::Act) -> Self {
        let act::Subject { cron, run_id, delivery_id } = &act.subject;
        Self {
            at: Time(act.at),
            what: Word(act.what),
            by: Actor { kind: Word(act.by.kind), name: act.by.name.clone() },
            cron_id: cron.as_ref().map(|(cron_id, _)| cron_id.to_string()),
            cron_name: cron.as_ref().map(|(_, name)| name.clone()),
            run_id: run_id.map(|run_id| run_id.to_string()),
            delivery_id: delivery_id.map(|delivery_id| delivery_id.to_string()),
            note: act.note.clone(),
        }
    }

    /// Returns what was done, in words.
    pub fn did(&self) -> String {
        self.what.0.as_str().replace('_', " ")
    }

    /// Returns who did it.
    pub fn actor(&self) -> act::Actor {
        act::Actor { kind: self.by.kind.0, name: self.by.name.clone() }
    }

    /// Returns who did it, and the note.
    pub fn by_whom(&self) -> String {
        let note = self.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        format!("by {}{note}", self.actor())
    }
}
