//! Follows the generation of files that is in force, where several daemons share a store: another daemon may adopt files at any
//! time. It also tells the others what they need to know of this one, and people what differs between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::in_force::SettingsInForce;
use crate::clock::Clock;
use crate::config::{Environment, NeededValues};
use crate::domain::generation::{Adoption, Generation};
use crate::domain::ids::CronId;
use crate::domain::missing_values::{self, Names};
use crate::engine::Wakes;
use crate::engine::lacking::{Lacking, Lacks};
use crate::pulse::Pulse;
use crate::store::{GenerationInForce, NewNotice, NoticeKind, Proposed, Published, Store, StoreError};

/// What following needs.
pub(super) struct Follower {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) wakes: Wakes,
    pub(super) environment: Environment,
    pub(super) in_force: Arc<SettingsInForce>,
    /// Where the loops look what they leave to others.
    pub(super) lacking: Lacking,
    pub(super) host: String,
}

/// What was found before.
#[derive(Default)]
struct Known {
    generation: Option<i64>,
    needed: Vec<(CronId, NeededValues)>,
    /// All of them together.
    names: Names,
    published: Option<Published>,
    left: BTreeSet<CronId>,
    lacks: Lacks,
    /// What was last written of each kind.
    notices: [Option<Option<NewNotice>>; 2],
}

/// Follows until it is stopped.
pub(super) async fn run(follower: Follower, pulse: Pulse, stop: CancellationToken) -> Result<(), StoreError> {
    let mut known = Known::default();
    loop {
        pulse.busy();
        pass(&follower, &mut known).await?;
        pulse.idle();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = follower.in_force.files_read.notified() => {}
            () = follower.wakes.files.notified() => {}
        }
    }
}

async fn pass(follower: &Follower, known: &mut Known) -> Result<(), StoreError> {
    let Follower { store, clock, wakes, in_force, .. } = follower;
    let files = in_force.files();
    let Some(found) = store.generation_in_force(files.digest).await? else { return Ok(()) };
    let GenerationInForce { generation, settings, files: own } = found;
    if known.generation != Some(generation.number) {
        known.needed = store.needed_values().await?;
        let all = known.needed.iter().flat_map(|(_, needed)| needed.by_runs.iter().chain(&needed.by_webhook));
        known.names = all.cloned().collect();
        store.count_crons_of_files().await?;
        if own != Some(generation.number) {
            tracing::info!(
                generation = generation.number,
                host = generation.host,
                "another daemon's files followed"
            );
        }
        known.generation = Some(generation.number);
        wakes.runner.notify_one();
    }
    let changed = settings.map(|settings| in_force.set_common(settings));
    if changed.is_some_and(|changed| changed.webhooks) {
        wakes.courier.notify_one();
    }
    let others = store.published_by_others(clock.now()).await?;
    let mut missing = follower.environment.lacks(&known.names);
    if !in_force.sends_webhooks() {
        missing.insert(missing_values::WEBHOOKS.to_owned());
    }
    let published = Published {
        host: follower.host.clone(),
        files: own,
        settings: files.agreed,
        missing: missing.clone(),
    };
    if known.published.as_ref() != Some(&published) {
        store.publish(published.clone()).await?;
    }
    let lacking = others.iter().map(|other| other.missing.clone()).collect();
    leave(follower, known, Lacks { own: missing, others: lacking });
    let notices = [
        (NoticeKind::Files, files_notice(own, &generation)),
        (NoticeKind::Settings, settings_notice(&published, &others)),
    ];
    for (written, (kind, notice)) in known.notices.iter_mut().zip(notices) {
        if written.as_ref() != Some(&notice) {
            store.notice(clock.now(), kind, notice.clone()).await?;
            *written = Some(notice);
        }
    }
    known.published = Some(published);
    Ok(())
}

/// Leaves to others what lacks something here that they have.
fn leave(follower: &Follower, known: &mut Known, lacks: Lacks) {
    if known.lacks == lacks && follower.store.leaves_as(&known.left) {
        return;
    }
    let needed = known.needed.iter();
    known.left =
        needed.filter(|(_, needed)| lacks.leaves(&needed.by_runs)).map(|(cron_id, _)| *cron_id).collect();
    follower.store.leave_to_others(known.left.clone());
    follower.lacking.set(lacks.clone());
    known.lacks = lacks;
    // What was left before may be for this daemon now.
    follower.wakes.runner.notify_one();
    follower.wakes.courier.notify_one();
}

fn files_notice(own: Option<i64>, in_force: &Generation) -> Option<NewNotice> {
    let Generation { number, adopted_at, host } = in_force;
    let at = Timestamp::from_second(adopted_at.as_second()).unwrap_or(*adopted_at);
    let of_force = format!("in force is generation {number} (adopted on {host} at {at})");
    match own {
        Some(own) if own == *number => None,
        Some(own) => Some(format!("the files here are those of generation {own}; {of_force}")),
        None => Some(format!("the files here have mistakes and are not adopted; {of_force}")),
    }
    .map(NewNotice::single)
}

fn settings_notice(own: &Published, others: &[Published]) -> Option<NewNotice> {
    let mut found = BTreeSet::new();
    for other in others {
        let value =
            |name: &String| other.settings.iter().find(|(other, _)| other == name).map(|(_, mark)| mark);
        let differ =
            own.settings.iter().filter(|(name, mark)| value(name).is_some_and(|other| other != mark));
        let names: Vec<&str> = differ.map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            found.insert(format!("not the same as on {}: {}", other.host, names.join(", ")));
        }
    }
    let found: Vec<String> = found.into_iter().collect();
    (!found.is_empty()).then(|| NewNotice { detail: found.join("; "), count: found.len() })
}

/// Logs what became of the files of this daemon.
pub(super) fn log(Proposed { adoption, in_force, .. }: &Proposed) {
    let (generation, host) = (in_force.number, &in_force.host);
    match adoption {
        Adoption::Adopted => tracing::info!(generation, "files adopted for all daemons"),
        Adoption::InForce => {}
        Adoption::Superseded => {
            tracing::warn!(generation, host, "files not adopted; they are those of an earlier generation");
        }
        Adoption::NotUnderstood => {
            tracing::error!(generation, host, "files not adopted; they have mistakes");
        }
    }
}

#[cfg(test)]
mod tests;
