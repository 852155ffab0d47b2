//! The loops that drive crons, runs and deliveries, and how they are spawned.

use tokio_util::sync::CancellationToken;

use super::{Loops, World, runner_settings, spawn_loop};
use crate::backend::AgentClient;
use crate::engine::backend_watch::{self, BackendWatch};
use crate::engine::courier::{self, Courier, OriginLimiter};
use crate::engine::janitor::{self, Janitor};
use crate::engine::lease;
use crate::engine::maintenance::{self, Maintenance};
use crate::engine::outages::{self, Outages};
use crate::engine::runner::{self, Runner};
use crate::engine::{Health, Wakes};
use crate::pulse::Pulses;
use crate::store::{Sharing, Store};
use crate::webhook::{LiveSettings, Sender};

/// The loops that drive crons, runs and deliveries, before they are spawned.
pub(super) struct Engine {
    runner: Runner,
    courier: Courier,
    janitor: Janitor,
    maintenance: Maintenance,
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
        webhooks: &LiveSettings,
        stop: &CancellationToken,
        outages: Outages,
    ) -> Self {
        let (store, clock, wakes) = (|| store.clone(), || world.clock.clone(), || wakes.clone());
        let runner = Runner::new(
            store(),
            client.clone(),
            clock(),
            world.environment.clone(),
            runner_settings(&world.config, webhooks.clone()),
            wakes(),
            stop.clone(),
        );
        let sender = Sender::new(
            world.receivers.clone(),
            world.environment.clone(),
            clock(),
            world.config.webhooks.clone(),
        );
        let courier = Courier {
            store: store(),
            sender,
            clock: clock(),
            wakes: wakes(),
            webhooks: webhooks.clone(),
            origins: OriginLimiter::default(),
            outages: outages.clone(),
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
            runner,
            courier,
            janitor: Janitor {
                store: store(),
                backend: client.clone(),
                clock: clock(),
                wakes: wakes(),
                denials,
            },
            maintenance: Maintenance { store: store(), clock: clock() },
            backend_watch,
            outages,
            store: store(),
        }
    }

    pub(super) fn health(&self) -> Health {
        Health {
            backend_breaker: self.runner.backend_breaker(),
            next_wake: self.runner.next_wake(),
            origins: self.courier.origins.clone(),
            outages: self.outages.clone(),
            ..Health::default()
        }
    }

    pub(super) fn spawn(self, loops: &mut Loops, pulses: &Pulses, stop: &CancellationToken) {
        let Self { runner, courier, janitor, maintenance, backend_watch, outages, store } = self;
        let clock = maintenance.clock.clone();
        let stop = || stop.clone();
        spawn_loop(loops, pulses, "watch of the agent server", |pulse| {
            backend_watch::run(backend_watch, pulse, stop())
        });
        let outages_store = store.clone();
        spawn_loop(loops, pulses, "outages", |pulse| {
            outages::run(outages, outages_store, clock, pulse, stop())
        });
        spawn_loop(loops, pulses, "runner", |pulse| runner::run(runner, pulse));
        spawn_loop(loops, pulses, "courier", |pulse| courier::run(courier, pulse, stop()));
        let wakes = janitor.wakes.clone();
        spawn_loop(loops, pulses, "janitor", |pulse| janitor::run(janitor, pulse, stop()));
        if store.sharing() == Sharing::Shared {
            spawn_loop(loops, pulses, "lease", |_| lease::run(store, wakes, stop()));
        }
        spawn_loop(loops, pulses, "maintenance", |pulse| maintenance::run(maintenance, pulse, stop()));
    }
}
