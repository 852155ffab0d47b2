//! Three daemons share one store while new files are rolled out. Each is restarted again and again: sometimes with the newest
//! files, and sometimes with those that it had. No definition ever goes back, and a generation is in force as a whole.

use rusqlite::Connection;

use super::*;

const SEEDS: u64 = 5;
const DAEMONS: u64 = 3;
const LENGTH: Duration = Duration::from_secs(200);
const LIFE_MOST: Duration = Duration::from_secs(40);
/// Between two releases of files.
const RELEASED_MOST: Duration = Duration::from_secs(60);

/// The versions of the files.
struct Versions {
    released: Cell<u64>,
    /// The highest with which a daemon has been ready.
    started: Cell<u64>,
    /// How often a daemon started with files that were not the newest.
    old: Cell<u64>,
}

#[test]
fn files_that_are_rolled_out_never_go_back_while_daemons_start_with_old_ones() {
    let (mut old, mut generations) = (0, 0);
    for seed in 1..=SEEDS {
        eprintln!("seed {seed}, files that are rolled out");
        let (old_of_seed, generations_of_seed) = run(seed);
        (old, generations) = (old + old_of_seed, generations + generations_of_seed);
    }
    eprintln!("{generations} generations, {old} starts with old files");
    assert!(old > SEEDS && generations > SEEDS, "hardly anything happened");
}

fn run(seed: u64) -> (u64, u64) {
    runtime().block_on(async {
        let random = Random::of_seed(seed);
        let folder = folder();
        let start: Timestamp = "2026-03-02T08:00:03Z".parse().unwrap();
        let network = Network::new(random.clone(), 0);
        let scenario = Scenario::new(random.clone(), folder.path(), CRONS, start, network);
        let versions = Versions { released: Cell::new(1), started: Cell::new(0), old: Cell::new(0) };
        let lives = (0..DAEMONS).map(|number| live(&scenario, &versions, number));
        let releases = async {
            loop {
                tokio::time::sleep(random.wait(RELEASED_MOST)).await;
                versions.released.set(versions.released.get() + 1);
            }
        };
        tokio::select! {
            _ = futures_util::future::join_all(lives) => unreachable!("the daemons live for ever"),
            () = releases => unreachable!("releases go on for ever"),
            () = watch(&scenario, &versions) => {}
        }
        (versions.old.get(), in_force(scenario.folder).map_or(0, |(_, generations)| generations))
    })
}

/// Lets one daemon live and die for ever.
async fn live(scenario: &Scenario<'_>, versions: &Versions, number: u64) {
    let random = &scenario.random;
    let mut own = 1;
    loop {
        tokio::time::sleep(random.wait(Duration::from_secs(5))).await;
        if random.percent(50) {
            own = versions.released.get();
        }
        versions.old.set(versions.old.get() + u64::from(own < versions.released.get()));
        let ready = || versions.started.set(versions.started.get().max(own));
        let stop = CancellationToken::new();
        let serving = daemon::serve(world(scenario, number, own), ready, stop.clone());
        tokio::select! {
            biased;
            ended = serving => ended.unwrap(),
            () = tokio::time::sleep(random.wait(LIFE_MOST)) => {}
        }
        // What its tasks were doing ends here.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn world(scenario: &Scenario<'_>, number: u64, version: u64) -> World {
    let world = scenario.world();
    let written = std::fs::read_to_string(&world.config.path).unwrap();
    let file = scenario.folder.join(format!("daemon-{number}.toml"));
    std::fs::write(&file, written.replace("version = 0", &format!("version = {version}"))).unwrap();
    let config = config::load(&file, &world.environment).unwrap();
    World { config, sharing: Sharing::Shared, host: format!("host-{number}"), ..world }
}

/// Looks again and again which version is in force.
async fn watch(scenario: &Scenario<'_>, versions: &Versions) {
    let until = tokio::time::Instant::now() + LENGTH;
    let mut last = 0;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let started = versions.started.get();
        let Some((version, _)) = in_force(scenario.folder) else { continue };
        assert!(version >= last, "version {version} after {last}");
        assert!(version >= started, "version {version}, although {started} was started with");
        last = version;
    }
}

/// Returns the version of the definitions in force, which is the same for all, and how many generations there were.
fn in_force(folder: &Path) -> Option<(u64, u64)> {
    let store = Connection::open(folder.join("agentcron.db")).unwrap();
    let sql = "SELECT DISTINCT json_extract(body, '$.input.version') FROM crons JOIN definitions USING (definition_id) \
               WHERE removed_at IS NULL AND json_extract(body, '$.input.version') IS NOT NULL";
    let mut statement = store.prepare(sql).ok()?;
    let versions = statement.query_map((), |row| row.get::<_, u32>(0)).unwrap();
    let versions: Vec<u32> = versions.map(Result::unwrap).collect();
    assert!(versions.len() < 2, "parts of several generations: {versions:?}");
    let generations =
        store.query_row("SELECT count(*) FROM generations", (), |row| row.get::<_, u32>(0)).unwrap();
    versions.first().map(|version| (u64::from(*version), u64::from(generations)))
}
