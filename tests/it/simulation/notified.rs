//! People are told once of what begins and ends, whenever the daemon dies and however often a message has to be sent.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::Value;

use super::*;

const START: &str = "2026-03-02T08:00:03Z";
const SEEDS: u64 = 12;
const TARGET: &str = r#"
[notify.team]
type = "webhook"
url = "http://receiver.example/team"
on = ["failing", "recovered", "missed", "outage"]
"#;

#[test]
fn people_are_told_once_of_what_begins_and_ends() {
    let (mut told, mut again) = (0, 0);
    for seed in 1..=SEEDS {
        let (of_seed, again_of_seed) = run_seed(seed);
        told += of_seed;
        again += again_of_seed;
    }
    eprintln!("{told} messages in {SEEDS} scenarios, {again} of them arrived again");
    assert!(told > SEEDS && again > 0, "{told} messages, {again} again");
}

/// Returns how many messages there were, and how often one arrived that had arrived before.
fn run_seed(seed: u64) -> (u64, u64) {
    let crons = format!("{CRONS}{TARGET}");
    runtime().block_on(async {
        let (random, folder) = (Random::of_seed(seed), folder());
        let network = Network::new(random.clone(), random.below(35));
        let scenario = Scenario::new(random, folder.path(), &crons, START.parse().unwrap(), network);
        scenario.live(Duration::from_secs(600)).await;
        let database = Connection::open(folder.path().join("agentcron.db")).unwrap();
        let left = "SELECT count(*) FROM deliveries WHERE run_id IS NULL AND status <> 'delivered'";
        assert_eq!(database.query_row(left, [], |row| row.get::<_, i64>(0)), Ok(0), "seed {seed}");
        let messages = messages(&scenario, seed);
        each_begins_before_it_ends_and_ends_before_it_begins_again(&messages, seed);
        let names = |sql: &str| -> BTreeSet<String> {
            let mut statement = database.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let told = |kind: &str| -> Vec<&Message> {
            messages.iter().filter(|message| message.kind == kind && !message.ended).collect()
        };
        for name in names("SELECT name FROM crons WHERE failures > 0") {
            let of_cron: Vec<_> =
                told("failing").into_iter().filter(|told| told.names.contains(&name)).collect();
            assert!(!of_cron.is_empty(), "seed {seed}: nobody was told that {name} fails");
            // It never works.
            assert!(name != "streams" || of_cron.len() == 1, "seed {seed}: {of_cron:?}");
        }
        for name in names("SELECT DISTINCT cron_name FROM runs WHERE status = 'missed'") {
            let is_told = told("missed").iter().any(|told| told.names.contains(&name));
            assert!(is_told, "seed {seed}: nobody was told that {name} missed something");
        }
        let arrived = scenario.arrived.lock().unwrap();
        let again = messages.iter().map(|message| arrived[&message.id].len() as u64 - 1).sum();
        (messages.len() as u64, again)
    })
}

/// A message to people.
#[derive(Debug)]
struct Message {
    id: String,
    at: Timestamp,
    kind: String,
    ended: bool,
    names: Vec<String>,
}

/// Returns the messages that arrived, in their order, each of which had one body.
fn messages(scenario: &Scenario<'_>, seed: u64) -> Vec<Message> {
    let arrived = scenario.arrived.lock().unwrap();
    let message = |(id, bodies): (&String, &Vec<Bytes>)| {
        let body: Value = serde_json::from_slice(&bodies[0]).unwrap();
        if !body["type"].as_str().is_some_and(|event| event.starts_with("agentcron.")) {
            return None;
        }
        assert!(bodies.iter().all(|other| other == &bodies[0]), "seed {seed}: {id} has two bodies");
        let names = body["data"]["items"].as_array().unwrap().iter();
        Some(Message {
            id: id.clone(),
            at: body["timestamp"].as_str().unwrap().parse().unwrap(),
            kind: body["data"]["kind"].as_str().unwrap().to_owned(),
            ended: body["data"]["ended"].as_bool().unwrap(),
            names: names.map(|item| item["name"].as_str().unwrap().to_owned()).collect(),
        })
    };
    let mut messages: Vec<Message> = arrived.iter().filter_map(message).collect();
    messages.sort_by_key(|message| message.at);
    messages
}

fn each_begins_before_it_ends_and_ends_before_it_begins_again(messages: &[Message], seed: u64) {
    let mut lasting = BTreeMap::<(&str, &str), bool>::new();
    for message in messages.iter().filter(|message| message.kind != "missed") {
        // That it works again is told as another kind.
        let kind = if message.kind == "recovered" { "failing" } else { &message.kind };
        for name in &message.names {
            let lasted = lasting.insert((kind, name), !message.ended).unwrap_or_default();
            // An outage that was over before it could be told is told as over.
            let is_new = lasted == message.ended || (kind == "outage" && message.ended);
            assert!(is_new, "seed {seed}: {kind} of {name} was told again: {messages:#?}");
        }
    }
}
