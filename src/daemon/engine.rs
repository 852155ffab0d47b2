//! The loops that drive crons, runs and deliveries, and how they are spawned.

use tokio_util::sync::CancellationToken;

use super::{Loops, World, spawn_loop};
use crate::backend::AgentClient;
use crate::engine::backend_watch::{self, BackendWatch};
use crate::engine::backups::{self, Backups};
use crate::engine::courier::{self, Courier, OriginLimiter};
use crate::engine::janitor::{self, Janitor};
use crate::engine::lacking::Lacking;
use crate::engine::lease;
use crate::engine::maintenance::{self, Maintenance};
use crate::engine::notifier::{self, Notifier};
use crate::engine::outages::{self, Outages};
use crate::engine::pinger::{self, Pinger};
use crate::engine::retention::{self, Pruning, Retention};
use crate::engine::runner::{self, Runner, RunnerSettings};
use crate::engine::{Health, Wakes};
use crate::pulse::Pulses;
use crate::store::{Sharing, Store};
use crate::webhook::Sender;

/// The name of the loop after whose end nobody looks after runs.
pub(super) const RUNNER: &str = "runner";

/// The loops that drive crons, runs and deliveries, before they are spawned.
pub(super) struct Engine {
    runner: Runner,
    courier: Courier,
    janitor: Janitor,
    maintenance: Maintenance,
    notifier: Notifier,
    pinger: Pinger,
    backups: Option<Backups>,
    retention: Retention,
    backend_watch: BackendWatch,
    outages: Outages,
    store: Store,
}

impl Engine {
    pub(super) fn new(
        world: &World,
        store: &Store,
        client: &AgentClient,
        wakes: &Wakes,
        settings: RunnerSettings,
        stop: &CancellationToken,
        outages: Outages,
    ) -> Self {
        let (store, clock, wakes) = (|| store.clone(), || world.clock.clone(), || wakes.clone());
        let runner = Runner::new(
            store(),
            client.clone(),
            clock(),
            world.environment.clone(),
            settings.clone(),
            wakes(),
            stop.clone(),
        );
        let sender = Sender::new(
            world.receivers.clone(),
            world.environment.clone(),
            clock(),
            world.config.webhooks.clone(),
        );
        let pinger = Pinger {
            store: store(),
            sender: sender.clone(),
            settings: settings.webhooks.clone(),
            host: world.host.clone(),
        };
        let courier = Courier {
            store: store(),
            sender,
            clock: clock(),
            wakes: wakes(),
            webhooks: settings.webhooks.clone(),
            origins: OriginLimiter::default(),
            outages: outages.clone(),
            lacking: runner.lacking(),
        };
        let denials = runner.denials();
        let backend_watch = BackendWatch {
            backend: client.clone(),
            clock: clock(),
            wakes: wakes(),
            breaker: runner.backend_breaker(),
            denials: denials.clone(),
            outages: outages.clone(),
        };
        Self {
            courier,
            janitor: Janitor {
                store: store(),
                backend: client.clone(),
                clock: clock(),
                wakes: wakes(),
                denials,
            },
            maintenance: Maintenance { store: store(), clock: clock() },
            notifier: Notifier {
                store: store(),
                clock: clock(),
                wakes: wakes(),
                settings: settings.webhooks,
                host: world.host.clone(),
            },
            pinger,
            backups: world.config.store.backup.clone().map(|config| Backups {
                store: store(),
                clock: clock(),
                config,
            }),
            retention: Retention {
                store: store(),
                clock: clock(),
                rules: settings.retention,
                next_wake: runner.next_wake(),
                pruning: Pruning::default(),
            },
            backend_watch,
            outages,
            store: store(),
            runner,
        }
    }

    pub(super) fn health(&self) -> Health {
        Health {
            backend_breaker: self.runner.backend_breaker(),
            next_wake: self.runner.next_wake(),
            origins: self.courier.origins.clone(),
            outages: self.outages.clone(),
            pruning: self.retention.pruning.clone(),
            ..Health::default()
        }
    }

    /// Returns where the loops look which values are lacking here.
    pub(super) fn lacking(&self) -> Lacking {
        self.courier.lacking.clone()
    }

    pub(super) fn spawn(self, loops: &mut Loops, pulses: &Pulses, stop: &CancellationToken) {
        let Self {
            runner,
            courier,
            janitor,
            maintenance,
            notifier,
            pinger,
            backups,
            retention,
            backend_watch,
            outages,
            store,
        } = self;
        let (clock, lease_clock) = (maintenance.clock.clone(), maintenance.clock.clone());
        let stop = || stop.clone();
        spawn_loop(loops, pulses, "watch of the agent server", |pulse| {
            backend_watch::run(backend_watch, pulse, stop())
        });
        let outages_store = store.clone();
        spawn_loop(loops, pulses, "outages", |pulse| {
            outages::run(outages, outages_store, clock, pulse, stop())
        });
        spawn_loop(loops, pulses, RUNNER, |pulse| runner::run(runner, pulse));
        spawn_loop(loops, pulses, "courier", |pulse| courier::run(courier, pulse, stop()));
        spawn_loop(loops, pulses, "notifier", |pulse| notifier::run(notifier, pulse, stop()));
        spawn_loop(loops, pulses, "pinger", |_| pinger::run(pinger, stop()));
        let wakes = janitor.wakes.clone();
        spawn_loop(loops, pulses, "janitor", |pulse| janitor::run(janitor, pulse, stop()));
        if store.sharing() == Sharing::Shared {
            spawn_loop(loops, pulses, "lease", |_| lease::run(store, lease_clock, wakes, stop()));
        }
        if let Some(backups) = backups {
            spawn_loop(loops, pulses, "backups", |_| backups::run(backups, stop()));
        }
        spawn_loop(loops, pulses, "retention", |_| retention::run(retention, stop()));
        spawn_loop(loops, pulses, "maintenance", |pulse| maintenance::run(maintenance, pulse, stop()));
    }
}
