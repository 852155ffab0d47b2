//! Three daemons share one store and the places on the agent server. All together never have more runs than there are places,
//! and each has its share of them.

use agentcron::domain::ids::InstallationId;
use rusqlite::Connection;

use super::*;

const START: &str = "2026-03-02T08:00:00Z";
const PLACES: u32 = 7;
/// More is due than there are places for.
const CRONS: &str = r#"
[cron.many]
schedule = "* * * * * *"
end_time = "2026-03-02T08:03:00Z"
assistant_id = "agent"
overlap = "allow"
catchup = "all"
start_deadline = "1h"
input = { messages = [{ role = "user", content = "sleep 15" }] }
"#;
/// By then each daemon has heard of the others, and what it started before that has ended.
const SETTLED: u64 = 30;

#[test]
fn the_places_on_the_agent_server_are_shared_and_never_exceeded() {
    runtime().block_on(async {
        let (random, folder, start) = (Random::of_seed(1), folder(), START.parse::<Timestamp>().unwrap());
        let network = Network::new(random.clone(), 0);
        network.calm_down();
        let scenario = Scenario::new(random, folder.path(), CRONS, start, network);
        let daemons = futures_util::future::join_all((0..3).map(|number| daemon(&scenario, number)));
        let counts = async {
            let mut counts = BTreeMap::new();
            for second in 1..180_u64 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let held = held(folder.path());
                assert!(held.values().sum::<u32>() <= PLACES, "{held:?} after {second} s");
                if second > SETTLED {
                    let mut each: Vec<u32> = held.values().copied().collect();
                    each.sort_unstable();
                    *counts.entry(each).or_insert(0) += 1;
                }
            }
            counts
        };
        let counts = tokio::select! {
            ended = daemons => panic!("they ended: {ended:?}"),
            counts = counts => counts,
        };
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(each, _)| each.clone());
        assert_eq!(most, Some(vec![2, 2, 3]), "{counts:?}");
        assert!(counts.keys().all(|each| each.iter().all(|runs| *runs <= 3)), "{counts:?}");
    });
}

/// Returns how many runs each daemon has at the agent server, or is about to have.
fn held(folder: &Path) -> BTreeMap<i64, u32> {
    let store = Connection::open(folder.join("agentcron.db")).unwrap();
    let sql = "SELECT held_by, count(*) FROM runs WHERE sent_at IS NOT NULL AND ended_at IS NULL AND held_by IS NOT NULL \
               GROUP BY held_by";
    let mut statement = store.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

async fn daemon(scenario: &Scenario<'_>, number: u64) -> Result<(), daemon::DaemonError> {
    tokio::time::sleep(Duration::from_millis(50 * number)).await;
    let mut world =
        World { sharing: Sharing::Shared, new_installation: InstallationId::default(), ..scenario.world() };
    world.config.backend.max_concurrent_runs = PLACES as usize;
    daemon::serve(world, || {}, CancellationToken::new()).await
}
