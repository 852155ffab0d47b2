//! Every way in which `webhook listen --fail` misbehaves, played to one daemon at once: its memory stays flat, no place
//! is lost, and a row says what happened.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::{Daemon, LOOK_EVERY};
use super::support::history::Recorded;
use super::support::listener::Listener;
use super::support::span::Span;

/// As many as one origin has places: a single one that is lost is missed.
const WEBHOOKS_EACH: usize = 4;
/// An attempt lasts 20 s at most, the next one comes after 5 s and a fifth, and the machine is busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// Whoever waits for a place that is lost waits four times as long.
const PROMPTLY: Duration = Duration::from_secs(5);
/// What the daemon may grow by.
const GROWTH_BYTES_MAX: u64 = 20 << 20;

/// How to misbehave; what the row of the first attempt says; and how the delivery ends if it ends soon. Whoever says
/// that his URL is gone may not be told the others.
const CASES: [(&str, Option<u16>, &str, Option<&str>); 12] = [
    ("500x1", Some(500), "the receiver answered 500", Some("delivered")),
    ("429x1", Some(429), "the receiver answered 429", Some("delivered")),
    ("hangx1", None, "no answer within 20s", Some("delivered")),
    ("dripx1", Some(500), "the receiver answered 500", Some("delivered")),
    ("floodx1", Some(500), "the receiver answered 500", Some("delivered")),
    ("gzipx1", Some(500), "the receiver answered 500", Some("delivered")),
    ("resetx1", None, "no answer: ", Some("delivered")),
    ("redirect", Some(307), "a redirect; redirects are not followed", None),
    ("404", Some(404), "the receiver answered 404", None),
    ("gone", Some(410), "the receiver answered 410: gone for good", Some("gone")),
    ("abort", Some(400), "webhook-delivery: abort-message", Some("aborted")),
    ("disable", Some(400), "webhook-delivery: disable", Some("gone")),
];

#[tokio::test]
async fn no_bad_receiver_takes_memory_or_places_and_each_is_told_apart() {
    let server = AgentServerOnPort::start();
    let listeners: Vec<_> = CASES.iter().map(|(how, ..)| Listener::start(&["--fail", how], &[])).collect();
    let good = Listener::start(&[], &[]);
    let span = Span::soon(1, WEBHOOKS_EACH);
    let cron = |name: &str, listener: &Listener| {
        Cron::new(name, &span).with("overlap = \"allow\"").tells(&listener.url())
    };
    let crons = CASES.iter().zip(&listeners).map(|((how, ..), listener)| cron(how, listener));
    let rarely = Cron::bare("good").with("schedule = \"0 0 1 1 *\"").tells(&good.url());
    let configuration = Configuration::new(&server.url()).crons(crons).cron(rarely);
    let daemon = Daemon::start(&configuration);
    daemon.wait_until("the socket", || daemon.folder().join("agentcron.sock").exists()).await;

    let memory = Memory::of(&daemon);
    let most = memory.most_during(everything(&daemon, &listeners, &good)).await;
    let grown = most.saturating_sub(memory.before);
    eprintln!("the daemon grew by {} KiB to {} KiB", grown >> 10, most >> 10);
    assert!(grown < GROWTH_BYTES_MAX, "from {} to {most} bytes", memory.before);
    for case in &CASES {
        read_story(&daemon, case);
    }
    // Both times: while the bad ones held all that they could get, and after it.
    for told in good.arrivals() {
        let after_end = told["after_end_ms"].as_u64().unwrap();
        assert!(u128::from(after_end) < PROMPTLY.as_millis(), "{told}");
    }
}

async fn everything(daemon: &Daemon, listeners: &[Listener], good: &Listener) {
    let told = |ending| if ending == Some("gone") { 1 } else { WEBHOOKS_EACH };
    let all_were_told =
        CASES.iter().zip(listeners).map(|((.., ending), listener)| listener.wait_for(told(*ending)));
    join_all(all_were_told).await;
    daemon.json(&["trigger", "good"]);
    good.wait_for(1).await;
    let has_come_so_far = |run: &Recorded| {
        let webhook = run.webhook.as_ref();
        let case = CASES.iter().find(|(how, ..)| *how == run.cron_name);
        match case.and_then(|(.., ending)| *ending) {
            Some(ending) => webhook.is_some_and(|webhook| webhook.status == ending),
            None => webhook.is_some_and(|webhook| webhook.attempts == 1),
        }
    };
    let runs_in_all = WEBHOOKS_EACH * CASES.len() + 1;
    daemon
        .wait_for_history_within(PATIENCE, "all to come as far as they soon will", |runs| {
            runs.len() == runs_in_all && runs.iter().all(has_come_so_far)
        })
        .await;
    daemon.json(&["trigger", "good"]);
    good.wait_for(2).await;
}

/// The rows of all that was told to this receiver.
fn read_story(daemon: &Daemon, (how, code, words, ending): &(&str, Option<u16>, &str, Option<&str>)) {
    let webhooks = daemon.json(&["webhook", "list", "--cron", how]);
    assert_eq!(webhooks.len(), WEBHOOKS_EACH, "{how}: {webhooks:#?}");
    for webhook in webhooks {
        assert_eq!(webhook["status"], ending.unwrap_or("pending"), "{how}: {webhook}");
        let shown = daemon.json(&["webhook", "show", webhook["delivery_id"].as_str().unwrap()]).remove(0);
        let Some(first) = shown["attempts"].get(0) else {
            // Its URL was suspended by what another one was answered.
            assert!(*ending == Some("gone") && shown["reason"].is_string(), "{how}: {shown}");
            continue;
        };
        let detail = first["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words) && first["code"].as_u64() == code.map(u64::from), "{how}: {first}");
        let kept = first["answer"].as_str().unwrap_or_default();
        assert!(kept.len() <= 4 << 10, "{how}: {} bytes of an answer are kept", kept.len());
    }
}

/// The memory of the daemon's process.
struct Memory {
    status: PathBuf,
    before: u64,
}

impl Memory {
    fn of(daemon: &Daemon) -> Self {
        let status = PathBuf::from(format!("/proc/{}/status", daemon.process_id().unwrap()));
        let before = resident(&status);
        Self { status, before }
    }

    /// The most that it had while something went on.
    async fn most_during(&self, work: impl Future<Output = ()>) -> u64 {
        let mut most = self.before;
        let watching = async {
            loop {
                most = most.max(resident(&self.status));
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            never = watching => never,
            () = work => {}
        }
        most
    }
}

/// `VmRSS:     12345 kB`
fn resident(status: &PathBuf) -> u64 {
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
