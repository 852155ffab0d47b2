//! `kill -9` between any two steps: no occurrence is lost, none is started twice, and every webhook is delivered.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{
    assert_all_notified, assert_none_lost, assert_nothing_left_over, assert_started_once, starts_by_run,
};
use super::support::history::RunRecord;
use super::support::proxy::{Fault, Proxy};
use super::support::real_server::http;
use super::support::receiver::Receiver;
use super::support::seeded_random::SeededRandom;
use super::support::soak;
use super::support::span::{Span, now};

/// Every crash point, in the order of an occurrence's life.
const CRASH_POINTS: [&str; 14] = [
    "occurrences_due",
    "occurrences_committed",
    "sending_committed",
    "start_answered",
    "accepted_committed",
    "fence_posted",
    "reconciled",
    "outcome_known",
    "outcome_committed",
    "attempt_committed",
    "attempt_answered",
    "attempt_recorded",
    "deletion_due",
    "deletion_answered",
];

/// The crash points between the end of a run and its recorded 2xx.
const DELIVERY_STEPS: [&str; 5] =
    ["outcome_known", "outcome_committed", "attempt_committed", "attempt_answered", "attempt_recorded"];

/// How long a daemon may take to reach its crash point. Crons occur every second.
const LIFE_MAX: Duration = Duration::from_secs(8);

/// How long the last daemon may take to finish what all the others left.
const CLEANUP_MAX: Duration = Duration::from_secs(120);

/// A world in which a daemon is started and killed many times.
struct World {
    server: AgentServerOnPort,
    proxy: Option<Proxy>,
    receiver: Receiver,
    daemon: Daemon,
    crons: Vec<&'static str>,
    span: Span,
}

impl World {
    fn new(
        server: AgentServerOnPort,
        proxy: Option<Proxy>,
        seconds: usize,
        user_threads: UserThreads,
    ) -> Self {
        let receiver = Receiver::start();
        let span = Span::soon(1, seconds);
        let url = proxy.as_ref().map_or_else(|| server.url(), Proxy::url);
        let cron = |name: &'static str| {
            Cron::new(name, &span).runs_every_occurrence().webhook(&receiver.url("/hook"))
        };
        let mut crons = vec![
            cron("brief"),
            cron("kept").says("sleep 0.5").with("on_run_completed = \"keep\""),
            cron("waits").says("sleep 0.2").with("mode = \"wait\""),
            cron("streams").says("sleep 0.2").with("mode = \"stream\""),
        ];
        let mut names = vec!["brief", "kept", "waits", "streams"];
        if user_threads == UserThreads::Included {
            crons.push(cron("talks").with("thread = \"talk\""));
            crons.push(cron("talks-and-waits").with("thread = \"other talk\"").with("mode = \"wait\""));
            names.extend(["talks", "talks-and-waits"]);
        }
        let configuration = Configuration::new(&url).backend("request_timeout = \"1s\"").crons(crons);
        Self { server, proxy, receiver, daemon: Daemon::prepare(&configuration), crons: names, span }
    }

    /// Starts the daemon with a crash point and returns whether it came to that point. If not, it is killed after a while.
    async fn run_until(&mut self, crash_point: &str, visit: u64) -> bool {
        self.daemon.start_with(&[("CRASH_AT", &format!("{crash_point}:{visit}"))]);
        match self.daemon.exit_within(LIFE_MAX).await {
            Some(status) => {
                assert_eq!(status.signal(), Some(9), "at {crash_point}: {status}; {}", self.daemon.stderr());
                true
            }
            None => {
                self.daemon.kill9();
                false
            }
        }
    }

    /// Starts the daemon and kills it after this time.
    async fn run_for(&mut self, length: Duration) {
        self.daemon.start_again();
        let ended = self.daemon.exit_within(length).await;
        assert!(ended.is_none(), "the daemon ended by itself: {ended:?}; {}", self.daemon.stderr());
        self.daemon.kill9();
    }

    /// Starts the daemon for the last time, waits until everything is finished, and checks the results.
    async fn finish_and_check(&mut self) -> Vec<RunRecord> {
        if let Some(proxy) = &self.proxy {
            proxy.heal();
        }
        self.daemon.start_again();
        let last = self.span.last();
        let all_done = |runs: &[RunRecord]| {
            now() > last
                && self.crons.iter().all(|cron| {
                    runs.iter().any(|run| run.cron_name == *cron && run.last_scheduled_for == last)
                })
                && runs.iter().all(RunRecord::is_finished)
        };
        let left = Duration::try_from(last.duration_since(now())).unwrap_or_default();
        let runs = self
            .daemon
            .wait_for_history_within(left + CLEANUP_MAX, "all runs to be finished", all_done)
            .await;
        self.daemon.wait_until("threads to be deleted", || self.daemon.deletions_due() == 0).await;
        if let Some(proxy) = &self.proxy {
            self.daemon
                .wait_within(CLEANUP_MAX, "late requests to arrive", || (proxy.late() == 0).then_some(()))
                .await;
        }
        self.daemon.assert_alive();
        for cron in &self.crons {
            assert_none_lost(self.daemon.crons_known_since(), &runs, cron, &self.span);
        }
        assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
        assert_started_once(&self.server.ledger(), &runs);
        assert_all_notified(&self.receiver.received(), &runs);
        assert_nothing_left_over(&rusqlite::Connection::open(self.daemon.database()).unwrap());
        runs
    }

    fn thread_status(&self, run: &RunRecord) -> u16 {
        let path = format!("/threads/{}", run.thread_id);
        http(self.server.address(), "GET", &path, "").unwrap().0
    }

    fn report(&self, what: &str, deaths: usize, runs: &[RunRecord]) {
        let received = self.receiver.received().len();
        let started: usize = starts_by_run(&self.server.ledger()).values().sum();
        let events = self.daemon.events();
        let [adopted, ruled_out] =
            ["adopted", "ruled out"].map(|name| events.iter().filter(|event| event.event == name).count());
        eprintln!(
            "{what}: {deaths} deaths, {} occurrences recorded, {started} started, {adopted} adopted, \
             {ruled_out} attempts ruled out, {received} webhook requests",
            runs.len()
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UserThreads {
    Included,
    /// A thread of the user's own can have no fence, so a request that is late enough starts a second run there.
    LeftOut,
}

#[test]
fn the_list_of_crash_points_is_complete() {
    let mut found = BTreeSet::new();
    find_crash_points(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    // The crash points of clients' runs are tested in `gateway.rs`.
    found.retain(|point| !point.starts_with("client_run_"));
    assert_eq!(found, CRASH_POINTS.map(str::to_owned).into());
}

fn find_crash_points(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_crash_points(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let calls = source.split("crash_point(\"").skip(1);
            found.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}

#[tokio::test]
async fn a_daemon_killed_at_every_crash_point_loses_nothing_and_starts_nothing_twice() {
    let rounds = soak::times(1).min(8);
    let mut world = World::new(AgentServerOnPort::start(), None, 25 * rounds, UserThreads::Included);
    let mut deaths = 0;
    for round in 0..rounds {
        for point in CRASH_POINTS {
            if ["fence_posted", "reconciled"].contains(&point) {
                // Makes the start of a stateless run unconfirmed.
                deaths += usize::from(world.run_until("start_answered", 1).await);
            }
            let visit = u64::try_from(round).unwrap() % 3 + 1;
            let reached = world.run_until(point, visit).await;
            // Whether a start is unconfirmed, and how many are, depends on timing; everything else happens every second.
            let by_chance = ["fence_posted", "reconciled"].contains(&point) || now() > world.span.last();
            assert!(reached || by_chance, "the daemon did not come to {point} within {LIFE_MAX:?}");
            deaths += usize::from(reached);
        }
    }
    let runs = world.finish_and_check().await;
    for run in runs.iter().filter(|run| run.cron_name != "kept" && !run.cron_name.starts_with("talks")) {
        assert_eq!(world.thread_status(run), 404, "the thread of {run:?}");
    }
    for run in runs.iter().filter(|run| run.cron_name == "kept") {
        assert_eq!(world.thread_status(run), 200, "the thread of {run:?}");
    }
    world.report("killed at crash points", deaths, &runs);
}

#[tokio::test]
async fn a_daemon_killed_fifty_times_while_it_delivers_loses_no_webhook() {
    let mut random = SeededRandom::new(seed());
    let (mut deaths, wanted) = (0, soak::times(50));
    // On a busy machine a world may have nothing left to deliver before the daemon was killed often enough.
    while deaths < wanted {
        let mut world = World::new(AgentServerOnPort::start(), None, 16, UserThreads::Included);
        let before = deaths;
        while deaths < wanted {
            let step = DELIVERY_STEPS[usize::try_from(random.below(5)).unwrap()];
            // A restarted daemon first delivers what was left, so it soon comes to this step.
            if !world.run_until(step, random.below(2) + 1).await {
                assert!(now() > world.span.last(), "the daemon did not come to {step} within {LIFE_MAX:?}");
                break;
            }
            deaths += 1;
        }
        let runs = world.finish_and_check().await;
        world.report("killed while delivering", deaths - before, &runs);
        assert!(deaths > before, "no death in a whole world");
    }
}

#[tokio::test]
async fn a_daemon_killed_at_random_moments_loses_nothing_and_starts_nothing_twice() {
    let seed = seed();
    let mut random = SeededRandom::new(seed);
    let deaths = soak::times(8);
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    // Nothing is lost, but much is in flight when the daemon is killed.
    let slow = [100, 250, 400].map(|millis| Fault::Slow(Duration::from_millis(millis)));
    proxy.inject_by_chance(seed, 70, slow.to_vec());
    let mut world = World::new(server, Some(proxy), 2 * deaths, UserThreads::Included);
    for _ in 0..deaths {
        world.run_for(random.millis(200, 3000)).await;
    }
    let runs = world.finish_and_check().await;
    world.report("killed at random", deaths, &runs);
}

#[tokio::test]
async fn a_daemon_killed_behind_a_proxy_that_loses_replies_and_forwards_late_starts_nothing_twice() {
    let seed = seed();
    let mut random = SeededRandom::new(seed);
    let deaths = soak::times(6);
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    let late = soak::length(Duration::from_secs(4), Duration::from_secs(60));
    let faults = vec![
        Fault::LoseReply,
        Fault::LoseReply,
        Fault::LoseRequest,
        Fault::ForwardLater(Duration::from_millis(300)),
        Fault::ForwardLater(late),
        Fault::CutReplyAfter(60),
        Fault::html(502),
    ];
    proxy.inject_by_chance(seed, 25, faults);
    let mut world = World::new(server, Some(proxy), 2 * deaths, UserThreads::LeftOut);
    for life in 0..deaths {
        if life % 2 == 0 {
            world.run_for(random.millis(300, 4000)).await;
        } else {
            let point = CRASH_POINTS[usize::try_from(random.below(14)).unwrap()];
            world.run_until(point, random.below(4) + 1).await;
        }
    }
    let runs = world.finish_and_check().await;
    world.report("killed behind a bad proxy", deaths, &runs);
}

#[tokio::test]
async fn a_daemon_killed_behind_a_proxy_that_loses_replies_starts_nothing_twice_on_user_threads() {
    let seed = seed();
    let mut random = SeededRandom::new(seed);
    let deaths = soak::times(4);
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    // Late by less than the settle time, twice the request timeout of 1 s.
    let late = Fault::ForwardLater(Duration::from_millis(500));
    proxy.inject_by_chance(seed, 20, vec![Fault::LoseReply, Fault::LoseRequest, late]);
    let mut world = World::new(server, Some(proxy), 2 * deaths, UserThreads::Included);
    for _ in 0..deaths {
        world.run_for(random.millis(300, 4000)).await;
    }
    let runs = world.finish_and_check().await;
    world.report("killed behind a lossy proxy", deaths, &runs);
}

/// Returns another seed each time and prints it, so that a failure can be repeated; `SEED` sets it.
#[expect(clippy::disallowed_methods, reason = "a switch to repeat a failure, not a configuration")]
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(now().subsec_nanosecond().unsigned_abs()) + 1);
    eprintln!("SEED={seed}");
    seed
}
