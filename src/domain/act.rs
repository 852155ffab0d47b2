//! Acts: what somebody did that changed something, and who that was.

use std::fmt;

use jiff::Timestamp;

use super::access::Caller;
use super::ids::{CronId, DeliveryId, RunId};
use super::run::Run;
use super::words::words;

words!(
    /// What was done.
    ActKind {
        /// A cron was paused.
        Paused = "paused",
        /// The pause of a cron ended.
        Resumed = "resumed",
        /// The next occurrence of a cron will be skipped.
        SkipNext = "skip_next",
        /// All crons were paused.
        AllPaused = "all_paused",
        /// The pause of all crons ended.
        AllResumed = "all_resumed",
        /// A run of a cron was started.
        Triggered = "triggered",
        /// Past occurrences of a cron are run.
        Backfilled = "backfilled",
        /// The occurrence of a run is run again.
        Retried = "retried",
        /// A run was cancelled.
        Cancelled = "cancelled",
        /// A client made a cron.
        Created = "created",
        /// A client changed a cron.
        Updated = "updated",
        /// A client deleted a cron.
        Deleted = "deleted",
        /// All webhooks were held.
        WebhooksHeld = "webhooks_held",
        /// They were released.
        WebhooksReleased = "webhooks_released",
        /// Waiting webhooks were given up.
        WebhooksDiscarded = "webhooks_discarded",
        /// Webhooks are sent again.
        WebhooksReplayed = "webhooks_replayed",
        /// A URL that was suspended gets webhooks again.
        UrlResumed = "url_resumed",
        /// History that is kept no longer was deleted at once.
        Pruned = "pruned",
        /// Everything about a cron or a thread was deleted. What it was is not said.
        Forgotten = "forgotten",
    }
);

words!(
    /// What is known of somebody who acts.
    ActorKind {
        /// A user of this machine, at the Unix socket: the name is the user's id.
        Uid = "uid",
        /// The holder of a key: the name is that of the key.
        Key = "key",
        /// Some program on this machine, over TCP and without a key.
        Local = "local",
        /// agentcron itself.
        Agentcron = "agentcron",
    }
);

words!(
    /// What somebody can do on the web page.
    PageAct {
        /// Start a run of a cron.
        Trigger = "trigger",
        /// Pause crons.
        Pause = "pause",
        /// Resume crons.
        Resume = "resume",
        /// Skip the next occurrence of crons.
        SkipNext = "skip-next",
        /// Run past occurrences of a cron.
        Backfill = "backfill",
        /// Pause all crons.
        PauseAll = "pause-all",
        /// End the pause of all crons.
        ResumeAll = "resume-all",
        /// Cancel a run.
        Cancel = "cancel",
        /// Run the occurrence of a run again.
        Retry = "retry",
        /// Hold all webhooks.
        Hold = "hold",
        /// Release them.
        Release = "release",
        /// Send webhooks again.
        Replay = "replay",
        /// Send to a suspended URL again.
        ResumeUrl = "resume-url",
    }
);

/// Somebody who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    /// `None` if there is only one of this kind, or if it is not known.
    pub name: Option<String>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub at: Timestamp,
    pub by: Actor,
    pub what: ActKind,
    pub subject: Subject,
    /// What the person wrote, or what the act came to.
    pub note: Option<String>,
}

/// What something was done to. Nothing is named if it was done to all webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// With its name at that time.
    pub cron: Option<(CronId, String)>,
    pub run_id: Option<RunId>,
    pub delivery_id: Option<DeliveryId>,
}

impl Subject {
    pub fn cron(cron_id: CronId, name: &str) -> Self {
        Self { cron: Some((cron_id, name.to_owned())), ..Self::default() }
    }

    /// Returns the run, with its cron if it has one.
    pub fn run(run: &Run) -> Self {
        let cron = run.cron.as_ref().map(|cron| (cron.cron_id, cron.name.clone()));
        Self { cron, run_id: Some(run.run_id), delivery_id: None }
    }
}

impl Actor {
    /// agentcron itself.
    pub const AGENTCRON: Self = Self { kind: ActorKind::Agentcron, name: None };

    /// Returns the user of this machine with this id, if it is known.
    pub fn uid(uid: Option<u32>) -> Self {
        Self { kind: ActorKind::Uid, name: uid.map(|uid| uid.to_string()) }
    }

    /// Returns who a caller is.
    pub fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Socket { uid } => Self::uid(*uid),
            Caller::Key { name, .. } => Self { kind: ActorKind::Key, name: Some(name.clone()) },
            // A stranger may do nothing that is recorded.
            Caller::Local | Caller::Stranger => Self { kind: ActorKind::Local, name: None },
        }
    }
}

impl fmt::Display for Actor {
    /// Writes `uid 1000`, `key deploy` or `agentcron`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.name) {
            (kind, Some(name)) => write!(f, "{kind} {name}"),
            (ActorKind::Local, None) => f.write_str("a local program"),
            (kind, None) => write!(f, "{kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Access;

    #[test]
    fn every_caller_has_a_name_as_an_actor() {
        let key = Caller::Key { name: "deploy".to_owned(), access: Access::Act };
        let cases = [
            (Caller::Socket { uid: Some(1000) }, "uid 1000"),
            (Caller::Socket { uid: None }, "uid"),
            (key, "key deploy"),
            (Caller::Local, "a local program"),
        ];
        for (caller, expected) in cases {
            assert_eq!(Actor::of(&caller).to_string(), expected);
        }
        assert_eq!(Actor::AGENTCRON.to_string(), "agentcron");
    }
}
