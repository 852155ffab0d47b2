//! What a reconciliation concludes about an unconfirmed start from the runs that are listed on its thread.
//! These functions are pure.

use jiff::Timestamp;

use crate::backend::{Denial, ListedRun};
use crate::domain::ids::{BackendRunId, DaemonId, InstallationId, RunId};

/// Why a run is not recognised.
pub(super) const NO_METADATA: &str = "this agent server does not report the metadata of runs";

/// What happened to an unconfirmed start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// The backend has the run.
    Started(BackendRunId),
    /// The backend does not have the run, and never will.
    NeverStarts,
    /// No copy of the request can be on its way any more, and no run that is there shows whose it is. None is taken
    /// for ours: it may be another's.
    NotRecognised,
    /// The backend does not have the run, but a copy of the request may arrive until this instant.
    MayStartUntil(Timestamp),
    /// The backend did not give a clear answer this time.
    Unanswered(String),
    /// The backend refuses us.
    Denied(Denial),
    /// The backend cannot answer the question at all.
    Undecidable(String),
}

/// What is listed on a thread that only we know, and on which a fence was posted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FencedThread<'a> {
    /// Our run is there. The fence, if it is there as well, has no purpose any more.
    OurRun {
        backend_run_id: BackendRunId,
        fence: Option<BackendRunId>,
    },
    OnlyTheFence(&'a ListedRun),
    Nothing,
}

/// Who knows the thread of an unconfirmed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadOwner {
    /// Only this run: its id is derived from the run's, or the server made the thread for it.
    ThisRun,
    /// The user, whose other runs may be on it, and those of other installations.
    User,
}

/// The run whose start is unconfirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoughtRun {
    pub(super) run_id: RunId,
    pub(super) installation_id: InstallationId,
}

impl SoughtRun {
    /// Whether a listed run is certainly this one. Metadata is a proof; where the server reports none, only a thread
    /// that nobody else knows is.
    fn is(self, listed: &ListedRun, thread_owner: ThreadOwner) -> bool {
        match (listed.has_metadata, thread_owner) {
            (true, _) => listed.mark.is(self.run_id, self.installation_id),
            (false, ThreadOwner::ThisRun) => true,
            (false, ThreadOwner::User) => false,
        }
    }

    /// Whether a listed run is this one, and was sent by another daemon that runs at the same time with a copy of
    /// this store. A run from before this daemon's start shows nothing: this store may be a restored backup, which
    /// does not know the later lives of its daemon.
    pub(super) fn was_sent_by_copy(
        self,
        listed: &ListedRun,
        started_at: Timestamp,
        is_known: impl Fn(DaemonId) -> bool,
    ) -> bool {
        listed.mark.is(self.run_id, self.installation_id)
            && listed.created_at.is_some_and(|created_at| created_at > started_at)
            && listed.mark.daemon_id.is_some_and(|daemon_id| !is_known(daemon_id))
    }
}

/// Reads the list of runs on a fenced thread. `posted` is the fence that was posted just now, if it was
/// accepted; a server that reports no metadata does not mark it as a fence.
pub(super) fn read_fenced_thread(
    listed: &[ListedRun],
    sought: SoughtRun,
    posted: Option<BackendRunId>,
) -> FencedThread<'_> {
    let is_fence = |run: &&ListedRun| run.is_fence || Some(run.backend_run_id) == posted;
    let is_ours = |run: &&ListedRun| !is_fence(run) && sought.is(run, ThreadOwner::ThisRun);
    let fence = listed.iter().find(is_fence);
    match (listed.iter().rev().find(is_ours), fence) {
        (Some(ours), fence) => FencedThread::OurRun {
            backend_run_id: ours.backend_run_id,
            fence: fence.map(|fence| fence.backend_run_id),
        },
        (None, Some(fence)) => FencedThread::OnlyTheFence(fence),
        (None, None) => FencedThread::Nothing,
    }
}

/// Who sends the request that starts the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartedBy {
    Agentcron,
    /// A client of the agent server's API, which may have sent other requests.
    Client,
}

/// What is looked for in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) run: SoughtRun,
    pub(super) thread_owner: ThreadOwner,
    pub(super) started_by: StartedBy,
    pub(super) window: ArrivalWindow,
}

/// How long a copy of the request may still arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArrivalWindow {
    pub(super) now: Timestamp,
    /// From this instant on, no copy of the request can be on its way.
    pub(super) closes_at: Timestamp,
}

/// Concludes from the list of runs on a thread without a fence.
pub(super) fn conclude_from_list(listed: &[ListedRun], sought: Sought) -> Conclusion {
    let is_ours = |run: &&ListedRun| !run.is_fence && sought.run.is(run, sought.thread_owner);
    if let Some(ours) = listed.iter().rev().find(is_ours) {
        return Conclusion::Started(ours.backend_run_id);
    }
    let is_blind = listed.iter().any(|run| !run.has_metadata && !run.is_fence);
    match (conclude_from_absence(sought.window), sought.started_by) {
        (_, StartedBy::Client) if is_blind => Conclusion::Undecidable(NO_METADATA.to_owned()),
        (Conclusion::NeverStarts, StartedBy::Agentcron) if is_blind => Conclusion::NotRecognised,
        (conclusion, _) => conclusion,
    }
}

/// Concludes from the absence of the run: a copy of the request may still be on its way, until the window has
/// closed.
pub(super) fn conclude_from_absence(window: ArrivalWindow) -> Conclusion {
    if window.now < window.closes_at {
        Conclusion::MayStartUntil(window.closes_at)
    } else {
        Conclusion::NeverStarts
    }
}

#[cfg(test)]
mod tests;
