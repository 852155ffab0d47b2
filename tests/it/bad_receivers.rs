//! One daemon delivers to receivers that misbehave in every way that `webhook listen --fail` knows, all at once: its memory
//! stays flat, no permit is lost, and a row says what happened.

use std::time::Duration;

use futures_util::future::join_all;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::history::RunRecord;
use super::support::listener::Listener;
use super::support::memory::Memory;
use super::support::span::Span;

/// As many as one origin has permits, so that a single lost permit is noticed.
const WEBHOOKS_EACH: usize = 4;
/// An attempt takes at most 20 s, the next one follows after at most 6 s, and the machine is busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// A webhook that had to wait for an attempt of 20 s would take four times as long.
const PROMPTLY: Duration = Duration::from_secs(5);
/// How much the memory of the daemon may grow.
const GROWTH_BYTES_MAX: u64 = 20 << 20;

/// How a receiver misbehaves, what the row of the first attempt says, and how the delivery ends if it ends soon. A receiver
/// that says that its URL is gone gets no further webhooks.
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
async fn bad_receivers_use_up_neither_memory_nor_permits_and_their_rows_differ() {
    let server = AgentServerOnPort::start();
    let listeners: Vec<_> = CASES.iter().map(|(how, ..)| Listener::start(&["--fail", how], &[])).collect();
    let good = Listener::start(&[], &[]);
    let span = Span::soon(1, WEBHOOKS_EACH);
    let cron = |name: &str, listener: &Listener| {
        Cron::new(name, &span).with("overlap = \"allow\"").webhook(&listener.url())
    };
    let crons = CASES.iter().zip(&listeners).map(|((how, ..), listener)| cron(how, listener));
    let rarely = Cron::bare("good").with("schedule = \"0 0 1 1 *\"").webhook(&good.url());
    let configuration = Configuration::new(&server.url()).crons(crons).cron(rarely);
    let daemon = Daemon::start(&configuration);
    daemon.wait_until("the socket", || daemon.folder().join("agentcron.sock").exists()).await;

    let memory = Memory::of(&daemon);
    let (most, ()) = memory.most_during(deliver_everything(&daemon, &listeners, &good)).await;
    let grown = most.saturating_sub(memory.before);
    eprintln!("the daemon grew by {} KiB to {} KiB", grown >> 10, most >> 10);
    assert!(grown < GROWTH_BYTES_MAX, "from {} to {most} bytes", memory.before);
    for case in &CASES {
        check_attempts(&daemon, case);
    }
    // The good receiver was served promptly, both while the bad ones held all their permits and afterwards.
    for arrival in good.arrivals() {
        let after_end = arrival["after_end_ms"].as_u64().unwrap();
        assert!(u128::from(after_end) < PROMPTLY.as_millis(), "{arrival}");
    }
}

async fn deliver_everything(daemon: &Daemon, listeners: &[Listener], good: &Listener) {
    let requests = |ending| if ending == Some("gone") { 1 } else { WEBHOOKS_EACH };
    let all_requests =
        CASES.iter().zip(listeners).map(|((.., ending), listener)| listener.wait_for(requests(*ending)));
    join_all(all_requests).await;
    daemon.json(&["trigger", "good"]);
    good.wait_for(1).await;
    let is_done_for_now = |run: &RunRecord| {
        let webhook = run.webhook.as_ref();
        let case = CASES.iter().find(|(how, ..)| *how == run.cron_name);
        match case.and_then(|(.., ending)| *ending) {
            Some(ending) => webhook.is_some_and(|webhook| webhook.status == ending),
            None => webhook.is_some_and(|webhook| webhook.attempts == 1),
        }
    };
    let runs_in_all = WEBHOOKS_EACH * CASES.len() + 1;
    daemon
        .wait_for_history_within(PATIENCE, "all webhooks to be delivered or retried", |runs| {
            runs.len() == runs_in_all && runs.iter().all(is_done_for_now)
        })
        .await;
    daemon.json(&["trigger", "good"]);
    good.wait_for(2).await;
}

/// Checks the rows of all webhooks to this receiver.
fn check_attempts(daemon: &Daemon, (how, code, message, ending): &(&str, Option<u16>, &str, Option<&str>)) {
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
        assert!(detail.contains(message) && first["code"].as_u64() == code.map(u64::from), "{how}: {first}");
        let kept = first["answer"].as_str().unwrap_or_default();
        assert!(kept.len() <= 4 << 10, "{how}: {} bytes of a response are kept", kept.len());
    }
}
