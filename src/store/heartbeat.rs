//! How daemons that share a store on a server know of each other: each says every two seconds that it is alive, which also tells
//! what the server's clock shows, and each hears when another has changed something.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::sql::{Beat, Ear, Pulse, SharedServer};
use super::{Place, Store, StoreError};
use crate::domain::ids::DaemonNumber;
use crate::domain::lease::{ACTS_WITHIN, BEAT_EVERY, LOOKS_EVERY};
use crate::domain::members::{Hint, Members};
use crate::domain::server_clock::{ClockSample, ServerClock};

/// So many signs of life that it has told itself and not heard, and a daemon takes itself for deaf.
const UNHEARD_MAX: u32 = 3;

/// A daemon's signs of life on a server.
pub struct Heartbeat {
    store: Store,
    server: SharedServer,
    pulse: Option<Pulse>,
    ear: Option<Ear>,
    clock: ServerClock,
    is_deaf: bool,
    /// How often files were adopted, and how often daemons have said something about themselves, when it looked last.
    files: [i64; 2],
}

/// For which loops there is something to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueNow {
    pub runner: bool,
    pub courier: bool,
    pub janitor: bool,
    /// Whether files were adopted, or another daemon has said something about itself.
    pub files: bool,
}

impl DueNow {
    /// Whatever it may be.
    pub const ALL: Self = Self { files: true, ..Self::WORK };
    /// What another daemon has told of, which comes too often to look for files.
    pub const WORK: Self = Self { runner: true, courier: true, janitor: true, files: false };
    const WEBHOOKS: Self = Self { runner: false, courier: true, janitor: false, files: false };
}

impl Store {
    /// Returns the signs of life of this daemon, if the store is on a server.
    pub fn heartbeat(&self) -> Option<Heartbeat> {
        let Place::Server(server) = self.place() else { return None };
        Some(Heartbeat {
            store: self.clone(),
            server: Arc::clone(server),
            pulse: None,
            ear: None,
            clock: ServerClock::default(),
            is_deaf: false,
            files: [0; 2],
        })
    }

    /// Tells the others that there are webhooks which are left to them.
    pub fn leave_webhooks(&self) {
        self.left_webhooks.notify_one();
    }
}

impl Heartbeat {
    /// Says that this daemon is alive, and returns what there is to do. A server that cannot be reached is asked again next time.
    ///
    /// # Errors
    /// [`StoreError::Ousted`] if others have taken it for gone, or the store has gone back to an earlier state.
    pub async fn beat(&mut self) -> Result<DueNow, StoreError> {
        let beat = timeout(ACTS_WITHIN, self.try_beat()).await;
        match beat.unwrap_or(Err(StoreError::TookTooLong)) {
            Err(error) if !matches!(error, StoreError::Ousted) => {
                tracing::debug!(%error, "no sign of life");
                self.pulse = None;
                Ok(DueNow::default())
            }
            beat => beat,
        }
    }

    async fn try_beat(&mut self) -> Result<DueNow, StoreError> {
        let (number, timeline) = (self.store.number.0, self.store.writer.timeline());
        let is_new = self.listen().await?;
        let pulse = match self.pulse.take() {
            Some(pulse) => pulse,
            None => Pulse::connect(&self.server).await?,
        };
        let clock = self.store.writer.clock();
        let asked = clock.since_boot();
        let Beat { clock: server, is_held, due: [runner, courier, janitor], members, files } =
            pulse.beat(number, timeline).await?;
        let answered = clock.since_boot();
        clock.follow(self.clock.add(ClockSample::of(server, asked, answered)));
        if !is_held {
            return Err(StoreError::Ousted);
        }
        self.store.writer.lease().renew(asked);
        if let Some(ear) = &self.ear {
            ear.unheard.fetch_add(1, Ordering::Relaxed);
        }
        self.pulse = Some(pulse);
        let members = members.into_iter().map(DaemonNumber).collect();
        let has_changed = self.store.note_members(Members::of(self.store.number, members));
        // What was told while nobody listened is lost.
        let has_files = std::mem::replace(&mut self.files, files) != files;
        let due = DueNow { runner, courier, janitor, files: has_files };
        Ok(if is_new || has_changed { DueNow::ALL } else { due })
    }

    /// Listens, and returns whether it has not before.
    async fn listen(&mut self) -> Result<bool, StoreError> {
        let hears = |ear: &Ear| ear.unheard.load(Ordering::Relaxed) < UNHEARD_MAX;
        if self.ear.as_ref().is_some_and(|ear| !ear.is_closed() && hears(ear)) {
            self.is_deaf = false;
            return Ok(false);
        }
        let is_through_pooler = !self.server.prepares() && self.server.listen.is_none();
        if !self.is_deaf && (is_through_pooler || self.ear.as_ref().is_some_and(|ear| !ear.is_closed())) {
            self.is_deaf = true;
            tracing::warn!(
                "other daemons are not heard, so this one looks every second: a pooler that pools transactions lets \
                 nothing through; store.listen_url names the server behind it"
            );
        }
        if is_through_pooler {
            self.ear = None;
            return Ok(false);
        }
        self.ear = Some(Ear::connect(&self.server, self.store.number.0).await?);
        Ok(true)
    }

    /// Returns how long to wait before the next sign of life. One that does not hear looks more often.
    pub fn next_beat_in(&self) -> Duration {
        if self.is_deaf { LOOKS_EVERY } else { BEAT_EVERY }
    }

    /// Returns what there is to do, once another daemon has told of it.
    pub async fn heard(&self) -> DueNow {
        let Some(ear) = &self.ear else { return std::future::pending().await };
        tokio::select! {
            () = ear.changed.notified() => DueNow::WORK,
            () = ear.webhooks.notified() => DueNow::WEBHOOKS,
        }
    }

    /// Returns once there is something that this daemon has to tell the others.
    pub async fn to_tell(&self) -> Hint {
        tokio::select! {
            () = self.store.changed.notified() => Hint::Changed,
            () = self.store.left_webhooks.notified() => Hint::Webhooks,
        }
    }

    /// Tells the others. It may be lost without harm.
    pub async fn tell(&mut self, hint: Hint) {
        if let Some(pulse) = &self.pulse
            && pulse.tell(hint, self.store.number.0).await.is_err()
        {
            self.pulse = None;
        }
    }
}
