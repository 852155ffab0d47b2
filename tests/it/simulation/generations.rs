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

/// A cron that needs a value, besides one that needs none.
const NEEDS: &str = r#"
[cron.needs]
schedule = "* * * * * *"
assistant_id = "agent"
input = { messages = [{ role = "user", content = "${{ env.TOKEN }}" }] }
overlap = "allow"
end_time = "2026-03-02T08:00:40Z"
"#;

#[test]
fn a_run_that_needs_a_value_is_started_by_whoever_has_it_even_if_another_has_claimed_it() {
    let mut given_back = 0;
    for seed in 1..=3 {
        given_back += run_with_a_value(seed);
    }
    assert!(given_back > 0, "nobody has begun what it could not do");
}

/// Lets a daemon adopt files with a cron for which another one, that runs already, has no value. Returns how many runs that one
/// has given back.
fn run_with_a_value(seed: u64) -> i64 {
    runtime().block_on(async {
        let (random, folder) = (Random::of_seed(seed), folder());
        let start: Timestamp = "2026-03-02T08:00:03Z".parse().unwrap();
        let network = Network::new(random.clone(), 0);
        let scenario = Scenario::new(random.clone(), folder.path(), CRONS, start, network);
        let daemon_with = |number: u64, crons: &str, environment: Environment| {
            let world = World { environment, ..world(&scenario, number, 1) };
            let head = std::fs::read_to_string(&world.config.path).unwrap();
            std::fs::write(&world.config.path, head + crons).unwrap();
            let config = config::load(&world.config.path, &world.environment).unwrap();
            daemon::serve(World { config, ..world }, || {}, CancellationToken::new())
        };
        let lacks = daemon_with(0, "", Environment::of_map([]));
        let has = async {
            tokio::time::sleep(Duration::from_secs(4) + random.wait(Duration::from_secs(3))).await;
            daemon_with(1, NEEDS, Environment::of_map([("env.TOKEN", "t0ken")])).await
        };
        tokio::select! {
            ended = lacks => ended.unwrap(),
            ended = has => ended.unwrap(),
            () = tokio::time::sleep(Duration::from_secs(70)) => {}
        }
        let store = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let count = |condition: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM runs WHERE cron_name = 'needs' AND {condition}");
            store.query_row(&sql, (), |row| row.get(0)).unwrap()
        };
        assert!(count("status = 'success'") > 20);
        let sql = "SELECT coalesce(status, phase) || ': ' || coalesce(reason, '') FROM runs WHERE cron_name = 'needs' \
                   AND coalesce(status, '') <> 'success'";
        let mut others = store.prepare(sql).unwrap();
        let others = others.query_map((), |row| row.get(0)).unwrap();
        assert_eq!(others.map(Result::unwrap).collect::<Vec<String>>(), [""; 0], "seed {seed}");
        let sql = "SELECT count(*) FROM run_events WHERE detail LIKE 'left to another daemon: %env.TOKEN is not set%'";
        store.query_row(sql, (), |row| row.get(0)).unwrap()
    })
}
