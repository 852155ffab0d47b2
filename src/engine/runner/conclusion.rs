//! What a reconciliation concludes about an unconfirmed start from the runs that are listed on its thread.
//! These functions are pure.

use jiff::Timestamp;

use crate::backend::{Denial, ListedRun};
use crate::domain::ids::{BackendRunId, RunId};

/// What happened to an unconfirmed start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// The backend has the run.
    Started(BackendRunId),
    /// The backend does not have the run, and never will.
    NeverStarts,
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

/// Reads the list of runs on a fenced thread. `posted` is the fence that was posted just now, if it was
/// accepted; a server that reports no metadata does not mark it as a fence.
pub(super) fn read_fenced_thread(listed: &[ListedRun], posted: Option<BackendRunId>) -> FencedThread<'_> {
    let is_fence = |run: &&ListedRun| run.is_fence || Some(run.backend_run_id) == posted;
    let fence = listed.iter().find(is_fence);
    // Only we start runs on this thread, so every run that is not a fence is ours, even without metadata.
    match (listed.iter().rev().find(|run| !is_fence(run)), fence) {
        (Some(ours), fence) => FencedThread::OurRun {
            backend_run_id: ours.backend_run_id,
            fence: fence.map(|fence| fence.backend_run_id),
        },
        (None, Some(fence)) => FencedThread::OnlyTheFence(fence),
        (None, None) => FencedThread::Nothing,
    }
}

/// Who knows the thread of an unconfirmed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadOwner {
    /// Only this run: its id is derived from the run's, or the server made the thread for it.
    ThisRun,
    /// The user, whose other runs may be on it.
    User,
}

/// Who sends the request that starts the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartedBy {
    Agentcron,
    /// A client of the agent server's API, which may have sent other requests.
    Client,
}

/// The run that is looked for in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    pub(super) run_id: RunId,
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

/// Concludes from the list of runs on a thread without a fence, where our run is recognised by our id in its
/// metadata.
pub(super) fn conclude_from_list(listed: &[ListedRun], sought: Sought) -> Conclusion {
    let is_ours = |run: &ListedRun| {
        // On a thread of its own, a run without metadata can only be this one.
        let is_alone = sought.thread_owner == ThreadOwner::ThisRun && !run.has_metadata;
        !run.is_fence && (run.run_id == Some(sought.run_id) || is_alone)
    };
    if let Some(ours) = listed.iter().rev().find(|run| is_ours(run)) {
        return Conclusion::Started(ours.backend_run_id);
    }
    if sought.started_by == StartedBy::Client && listed.iter().any(|run| !run.has_metadata) {
        return Conclusion::Undecidable("this agent server does not report the metadata of runs".to_owned());
    }
    conclude_from_absence(sought.window)
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
