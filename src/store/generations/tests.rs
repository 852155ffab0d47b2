//! What becomes of the files of several daemons on one store.

use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::config::{KeptCron, Loss};
use crate::domain::ids::InstallationId;
use crate::store::tests::{place, shell};
use crate::store::{DaemonLock, Execution};

const START: &str = "2026-03-02T09:00:00Z";

fn open(folder: &Path, clock: &Clock) -> Store {
    let (lock, id) = (Arc::new(DaemonLock::waived()), InstallationId::default());
    let place = place(&folder.join("agentcron.db"));
    Store::open_locked(&lock, &place, Execution::Inline, id, clock.clone(), None).unwrap()
}

/// Returns files with these crons, each with the prompt behind its name, on a machine.
fn files(host: &str, crons: &str) -> Proposal {
    let define = |cron: &str| {
        let (name, prompt) = cron.split_once('=').unwrap();
        let body =
            format!(r#"{{"schedule":"0 9 * * *","assistant_id":"agent","input":{{"prompt":"{prompt}"}}}}"#);
        CronDefinition::of_body(name, &body)
    };
    Proposal {
        definitions: crons.split_whitespace().map(define).collect(),
        kept: KeptCrons::default(),
        settings: r#"{"disable_webhooks":false}"#.to_owned(),
        understood: Understood::All,
        host: host.to_owned(),
    }
}

/// Returns files of which not all is understood: any cron may be missing.
fn in_part(host: &str, crons: &str) -> Proposal {
    let kept = KeptCrons::new([Loss::Crons].iter(), &[]);
    Proposal { kept, understood: Understood::InPart, ..files(host, crons) }
}

struct World {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Clock::simulated(START.parse().unwrap()) }
    }

    fn open(&self) -> Store {
        open(self.folder.path(), &self.clock)
    }

    /// Proposes files, and returns what became of them, which generation is in force and whose, and the crons with their prompts.
    async fn propose(&self, store: &Store, reading: Reading, proposal: Proposal) -> String {
        let proposed = store.propose(self.clock.now(), reading, proposal).await.unwrap();
        let sql = "SELECT name, body FROM crons JOIN definitions USING (definition_id) WHERE removed_at IS NULL ORDER BY name";
        let crons = shell(self.folder.path()).pairs(sql).into_iter().map(|(name, body)| {
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            format!(" {name}={}", body["input"]["prompt"].as_str().unwrap())
        });
        let Generation { number, host, .. } = proposed.in_force;
        format!("{:?} {number}{host}:{}", proposed.adoption, crons.collect::<String>())
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_starts_with_former_files_brings_nothing_back() {
    let world = World::new();
    let (a, b) = (world.open(), world.open());
    let found = |store, files| world.propose(store, Reading::Found, files);
    assert_eq!(found(&a, files("a", "x=1 y=1")).await, "Adopted 1a: x=1 y=1");
    assert_eq!(found(&b, files("b", "x=1 y=1")).await, "InForce 1a: x=1 y=1");
    assert_eq!(found(&b, files("b", "x=2 z=1")).await, "Adopted 2b: x=2 z=1");
    // It has been restarted, and has the former files still.
    let a = world.open();
    assert_eq!(found(&a, files("a", "x=1 y=1")).await, "Superseded 2b: x=2 z=1");
    assert_eq!(found(&b, files("b", "x=2 z=1")).await, "InForce 2b: x=2 z=1");
    // Two with different files do not change anything to and fro.
    for _ in 0..3 {
        assert_eq!(found(&a, files("a", "x=1 y=1")).await, "Superseded 2b: x=2 z=1");
        assert_eq!(found(&b, files("b", "x=2 z=1")).await, "InForce 2b: x=2 z=1");
    }
    assert_eq!(world.propose(&a, Reading::Requested, files("a", "x=1 y=1")).await, "Adopted 3a: x=1 y=1");
    assert_eq!(found(&b, files("b", "x=2 z=1")).await, "Superseded 3a: x=1 y=1");
}

#[tokio::test(start_paused = true)]
async fn files_that_change_go_back_but_not_while_they_catch_up() {
    let world = World::new();
    let (a, b) = (world.open(), world.open());
    let [one, two, three] = ["x=1", "x=2", "x=3"].map(|crons| files("a", crons));
    let changed = |from: &Proposal| Reading::Changed { from: from.digest() };
    world.propose(&a, Reading::Found, one.clone()).await;
    assert_eq!(world.propose(&a, changed(&one), two.clone()).await, "Adopted 2a: x=2");
    assert_eq!(world.propose(&a, changed(&two), three.clone()).await, "Adopted 3a: x=3");
    // The second change reaches the other daemon now, and the third one will.
    assert_eq!(world.propose(&b, changed(&one), two.clone()).await, "Superseded 3a: x=3");
    assert_eq!(world.propose(&b, changed(&two), three.clone()).await, "InForce 3a: x=3");
    assert_eq!(world.propose(&b, changed(&three), one.clone()).await, "Adopted 4a: x=1");
    assert_eq!(world.propose(&a, changed(&three), one).await, "InForce 4a: x=1");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_removes_nothing_and_is_not_proposed_at_a_start() {
    let world = World::new();
    let (a, b) = (world.open(), world.open());
    // Where nothing is in force, whatever is understood is better than nothing.
    assert_eq!(world.propose(&a, Reading::Found, in_part("a", "x=1")).await, "Adopted 1a: x=1");
    assert_eq!(world.propose(&b, Reading::Found, files("b", "x=1 y=1")).await, "Adopted 2b: x=1 y=1");
    assert_eq!(world.propose(&a, Reading::Found, in_part("a", "x=1")).await, "NotUnderstood 2b: x=1 y=1");
    assert_eq!(world.propose(&a, Reading::Found, in_part("a", "x=9")).await, "NotUnderstood 2b: x=1 y=1");
    let from = in_part("a", "x=1").digest();
    let edited = a.propose(world.clock.now(), Reading::Changed { from }, in_part("a", "x=9")).await.unwrap();
    let kept: Vec<&KeptCron> = edited.report.kept.iter().collect();
    assert_eq!((edited.adoption, edited.report.changed, &*kept[0].name), (Adoption::Adopted, 1, "y"));
    assert_eq!(world.propose(&b, Reading::Found, files("b", "x=1 y=1")).await, "Superseded 3a: x=9 y=1");
}

#[tokio::test(start_paused = true)]
async fn the_generation_in_force_says_what_holds_for_all_and_old_ones_are_forgotten() {
    let world = World::new();
    let store = world.open();
    let of_files = |files: Proposal| store.generation_in_force(files.digest());
    assert_eq!(of_files(files("a", "x=1")).await.unwrap(), None);
    let retention = crate::domain::retention::Retention::EVERYTHING;
    let common = CommonSettings { disable_webhooks: true, retention };
    let disabled = Proposal { settings: common.to_text(), ..files("a", "x=1") };
    store.propose(world.clock.now(), Reading::Found, disabled.clone()).await.unwrap();
    let found = of_files(disabled.clone()).await.unwrap().unwrap();
    assert_eq!((found.settings, found.files, found.generation.number), (Some(common), Some(1), 1));
    assert_eq!(store.disable_webhooks(world.clock.now()).await.unwrap(), 0);
    assert_eq!(store.enable_webhooks().await.unwrap(), None, "the generation disables them");
    // It enables them. A daemon that has not noticed yet cannot disable them again.
    store.propose(world.clock.now(), Reading::Found, files("a", "x=1")).await.unwrap();
    assert_eq!(store.enable_webhooks().await.unwrap(), Some(0));
    store.disable_webhooks(world.clock.now()).await.unwrap();
    let shell = shell(world.folder.path());
    assert_eq!(shell.count("SELECT count(*) FROM delivery_mode WHERE disabled_at IS NOT NULL"), 0);
    let many = i64::from(GENERATIONS_REMEMBERED);
    shell.execute("UPDATE generations SET number = ?1 WHERE number = 2", [many + 1]);
    store.propose(world.clock.now(), Reading::Found, files("a", "x=2")).await.unwrap();
    assert_eq!(shell.count("SELECT min(number) FROM generations"), many + 1);
    assert_eq!(of_files(disabled).await.unwrap().unwrap().files, None);
}
