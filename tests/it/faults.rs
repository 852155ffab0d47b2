//! For any answer of the backend, or none: the history says what happened, the daemon lives, and nothing
//! starts twice.

use std::time::Duration;

use futures_util::future::join_all;
use rusqlite::Connection;
use serde_json::json;
use uuid::Uuid;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{assert_started_once, starts_by_run};
use super::support::history::RunRecord;
use super::support::proxy::{Fault, ProxiedRequest, Proxy};
use super::support::receiver::Receiver;
use super::support::span::Span;
use super::support::tls::SelfSigned;

const PATIENCE: Duration = Duration::from_secs(90);
const ALWAYS: usize = usize::MAX;
/// More requests than this about one run are a loop that does not wait.
const REQUESTS_MAX: usize = 100;

/// A fault for the first so many requests that match.
pub(super) type Injection = (usize, fn(&ProxiedRequest) -> bool, Fault);

/// One occurrence, and the faults that it meets.
struct Case {
    name: &'static str,
    faults: Vec<Injection>,
    cron: fn(Cron) -> Cron,
    status: &'static str,
    /// The expected reason code; `None` if any is right, since it depends on the moment of a cut.
    code: Option<&'static str>,
    /// What the reason must contain.
    contains: &'static [&'static str],
    /// How often the backend starts the run.
    starts: usize,
}

impl Case {
    /// The first start meets this fault, and the run succeeds all the same.
    fn first_start(
        name: &'static str,
        fault: Fault,
        code: Option<&'static str>,
        contains: &'static [&'static str],
    ) -> Self {
        let faults: Vec<Injection> = vec![(1, starts_our_run, fault)];
        Self { name, faults, cron: |cron| cron, status: "success", code, contains, starts: 1 }
    }

    /// Every start meets this fault, and the run is given up.
    fn every_start(
        name: &'static str,
        fault: Fault,
        code: &'static str,
        contains: &'static [&'static str],
    ) -> Self {
        let faults: Vec<Injection> = vec![(ALWAYS, starts_our_run, fault)];
        let cron = |cron: Cron| cron.with("start_deadline = \"4s\"");
        Self { name, faults, cron, status: "error", code: Some(code), contains, starts: 0 }
    }

    /// The same without a fault: the backend itself refuses.
    fn without_faults(self, contains: &'static [&'static str]) -> Self {
        Self { faults: Vec::new(), contains, ..self }
    }

    /// A run of two seconds that meets this fault while it is in progress, and succeeds all the same.
    fn in_progress(
        name: &'static str,
        times: usize,
        which: fn(&ProxiedRequest) -> bool,
        fault: Fault,
        cron: fn(Cron) -> Cron,
    ) -> Self {
        let faults: Vec<Injection> = vec![(times, which, fault)];
        Self { name, faults, cron, status: "success", code: None, contains: &[], starts: 1 }
    }
}

pub(super) fn starts_our_run(request: &ProxiedRequest) -> bool {
    request.starts_run() && request.json()["metadata"].get("agentcron_run_id").is_some()
}

pub(super) fn joins(request: &ProxiedRequest) -> bool {
    request.path.ends_with("/join")
}

pub(super) fn queries_run(request: &ProxiedRequest) -> bool {
    request.method == "GET" && request.path.contains("/runs/") && !joins(request)
}

pub(super) fn queries_thread(request: &ProxiedRequest) -> bool {
    request.method == "GET" && !request.path.contains("/runs")
}

pub(super) fn cancels(request: &ProxiedRequest) -> bool {
    request.path.contains("/cancel")
}

fn lists_runs(request: &ProxiedRequest) -> bool {
    request.method == "GET" && request.path.contains("/runs?")
}

pub(super) fn posts_fence(request: &ProxiedRequest) -> bool {
    request.starts_run() && !starts_our_run(request)
}

fn deletes(request: &ProxiedRequest) -> bool {
    request.method == "DELETE"
}

async fn check_all(cases: Vec<Case>) {
    join_all(cases.into_iter().map(check)).await;
}

async fn check(case: Case) {
    let name = case.name;
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    for (times, which, fault) in case.faults {
        proxy.inject(times, which, fault);
    }
    let cron = (case.cron)(Cron::new("case", &Span::once()));
    let mut daemon = Daemon::start(&configuration(&proxy.url(), cron));
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    daemon.assert_alive();
    let run = &runs[0];
    assert_eq!(run.status, case.status, "{name}: {run:?}\n{:#?}", daemon.events());
    if let Some(code) = case.code {
        assert_eq!(run.reason_code, code, "{name}: {run:?}\n{:#?}", daemon.events());
    }
    for text in case.contains {
        assert!(run.reason.contains(text), "{name}: no {text:?} in {run:?}\n{:#?}", daemon.events());
    }
    assert_started_once(&server.ledger(), &runs);
    assert_eq!(starts_by_run(&server.ledger()).values().sum::<usize>(), case.starts, "{name}: {run:?}");
    let requests = proxy.received().len();
    assert!(requests <= REQUESTS_MAX, "{name}: {requests} requests about one run");
    daemon.terminate();
    let status = daemon.exit_within(PATIENCE).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{name}: the end of the daemon");
}

fn configuration(url: &str, cron: Cron) -> Configuration {
    Configuration::new(url).backend("request_timeout = \"1s\"").cron(cron)
}

fn slow(cron: Cron) -> Cron {
    cron.says("sleep 2")
}

fn slow_stream(cron: Cron) -> Cron {
    slow(cron).with("mode = \"stream\"")
}

fn slow_wait(cron: Cron) -> Cron {
    slow(cron).with("mode = \"wait\"")
}

pub(super) fn json_answer(status: u16, body: &str) -> Fault {
    Fault::reply(status, &["Content-Type: application/json"], body)
}

#[tokio::test]
async fn a_start_with_an_unclear_answer_ends_in_one_run_and_a_reason() {
    let adopted = Some("adopted");
    let late = Some("started_late");
    let sent_twice = |name, fault, contains| Case::first_start(name, fault, late, contains);
    check_all(vec![
        Case::first_start("a lost reply", Fault::LoseReply, adopted, &["its start had not been confirmed"]),
        sent_twice("a lost request", Fault::LoseRequest, &["late, sent 2 times"]),
        sent_twice("a late request", Fault::ForwardLater(Duration::from_secs(1)), &["late, sent 2 times"]),
        Case::first_start(
            "silence",
            Fault::Hang,
            adopted,
            &["found on the agent server", "no answer within 1s"],
        ),
        Case::first_start(
            "an answer cut in its head",
            Fault::CutReplyAfter(40),
            adopted,
            &["found on the agent server"],
        ),
        Case::first_start("an answer cut in its body", Fault::CutReplyAfter(600), None, &[]),
        sent_twice("500", json_answer(500, r#"{"detail": "oh"}"#), &["sent 2 times", "500: oh"]),
        sent_twice("HTML with 502", Fault::html(502), &["sent 2 times", "502", "Bad Gateway"]),
        sent_twice("HTML with 200", Fault::html(200), &["sent 2 times", "200 without a run_id"]),
        sent_twice("a JSON list", json_answer(200, "[1, 2]"), &["200 without a run_id: [1, 2]"]),
        sent_twice("an endless answer", Fault::Endless, &["sent 2 times", "longer than"]),
        sent_twice("409 on a thread of our own", json_answer(409, "{}"), &["sent 2 times", "409"]),
        sent_twice("408", json_answer(408, "{}"), &["sent 2 times", "408"]),
    ])
    .await;
}

#[tokio::test]
async fn a_start_that_is_refused_for_good_is_not_sent_again() {
    let thread = |cron: Cron| cron.with("thread = \"busy\"");
    let rejecting = |cron: Cron| cron.with("thread = \"busy\"").with("multitask_strategy = \"reject\"");
    let busy = || json_answer(409, r#"{"detail": "Thread is already running a task."}"#);
    let rejected = |name, fault, contains| Case::every_start(name, fault, "rejected", contains);
    check_all(vec![
        rejected("404", json_answer(404, r#"{"detail": "no such assistant"}"#), &["404: no such"]),
        rejected("422", json_answer(422, r#"{"detail": [{"msg": "bad"}]}"#), &["422", "bad"]),
        rejected("400", json_answer(400, ""), &["the agent server answered 400"]),
        rejected(
            "a redirect",
            Fault::reply(307, &["Location: https://elsewhere.example/"], ""),
            &["307", "https://elsewhere.example/", "backend.url"],
        ),
        Case { cron: |cron| cron.assistant("nobody"), ..rejected("nobody", Fault::LoseRequest, &[]) }
            .without_faults(&["the agent server answered 4"]),
        Case {
            cron: rejecting,
            status: "skipped",
            ..Case::every_start("busy", busy(), "thread_busy", &["its thread was busy", "409"])
        },
        Case { cron: thread, ..rejected("busy all the same", busy(), &["409"]) },
    ])
    .await;
}

#[tokio::test]
async fn a_start_that_never_succeeds_is_given_up_at_its_deadline() {
    let given_up = |name, fault, contains| Case::every_start(name, fault, "start_deadline", contains);
    let refused = |name, fault, contains| Case::every_start(name, fault, "backend_denied", contains);
    check_all(vec![
        refused(
            "401",
            json_answer(401, r#"{"detail": "bad key"}"#),
            &["not started before", "401", ": bad key"],
        ),
        refused("403", json_answer(403, "{}"), &["not started before", "403"]),
        given_up("429", Fault::busy("1"), &["not started before", "429: slow down"]),
        given_up("429 without end", Fault::busy("86400"), &["not started before", "429"]),
        given_up("500", json_answer(500, "{}"), &["not started before", "500"]),
        given_up("HTML", Fault::html(503), &["not started before", "503"]),
        given_up("no request arrives", Fault::LoseRequest, &["not started before", "connection closed"]),
    ])
    .await;
}

#[tokio::test]
async fn a_backend_that_asks_to_wait_is_waited_for() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(1, starts_our_run, Fault::busy("2"));
    let daemon = Daemon::start(&configuration(&proxy.url(), Cron::new("patient", &Span::once())));
    let runs = daemon.wait_until_finished(1).await;
    assert_eq!(runs[0].status, "success", "{runs:?}");
    assert_eq!(runs[0].reason_code, "started_late", "{runs:?}");
    assert!(runs[0].reason.contains("429: slow down"), "{runs:?}");
    let starts: Vec<_> = proxy.received().into_iter().filter(starts_our_run).collect();
    assert_eq!(starts.len(), 2);
    assert!(starts[1].at - starts[0].at >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_run_in_progress_survives_a_bad_connection() {
    let cut = |bytes: usize| Fault::CutReplyAfter(bytes);
    let oops = || json_answer(500, "{}");
    let boom = |cron: Cron| cron.says("boom");
    check_all(vec![
        Case::in_progress("join is cut", 3, joins, cut(150), slow),
        Case::in_progress("join answers 500", 3, joins, oops(), slow),
        Case::in_progress("join answers HTML", 3, joins, Fault::html(200), slow),
        Case::in_progress("join is endless", 1, joins, Fault::Endless, slow),
        Case::in_progress("there is no join", ALWAYS, joins, json_answer(404, "{}"), slow),
        Case::in_progress("the stream is cut", 1, starts_our_run, cut(420), slow_stream),
        Case::in_progress("the stream is cut after its head", 1, starts_our_run, cut(330), slow_stream),
        Case::in_progress("the stream is lost", 1, starts_our_run, Fault::LoseReply, slow_stream),
        Case::in_progress("wait is cut", 1, starts_our_run, cut(330), slow_wait),
        Case::in_progress("wait is lost", 1, starts_our_run, Fault::LoseReply, slow_wait),
        Case::in_progress("wait is not sent", 1, starts_our_run, Fault::LoseRequest, slow_wait),
        Case::in_progress("the query fails", 4, queries_run, oops(), slow),
        Case::in_progress("the query is cut", 2, queries_run, cut(200), slow),
        Case::in_progress("the run is unknown for a moment", 3, queries_run, json_answer(404, "{}"), slow),
        Case::in_progress("deletion fails", 2, deletes, oops(), slow),
        Case {
            status: "error",
            code: Some("graph_error"),
            ..Case::in_progress("the thread cannot be queried", 2, queries_thread, oops(), boom)
        },
    ])
    .await;
}

#[tokio::test]
async fn an_unconfirmed_start_is_reconciled_over_a_bad_connection() {
    let with = |mut case: Case, more: Injection| {
        case.faults.push(more);
        case
    };
    let lost_reply =
        |name| Case::first_start(name, Fault::LoseReply, Some("adopted"), &["found on the agent server"]);
    let lost_request =
        |name| Case::first_start(name, Fault::LoseRequest, Some("started_late"), &["late, sent"]);
    check_all(vec![
        with(lost_reply("the fence is lost"), (2, posts_fence, Fault::LoseRequest)),
        with(lost_request("the fence is lost as well"), (2, posts_fence, Fault::LoseRequest)),
        with(lost_request("the reply to the fence is lost"), (1, posts_fence, Fault::LoseReply)),
        with(
            lost_request("the fence is late"),
            (1, posts_fence, Fault::ForwardLater(Duration::from_secs(1))),
        ),
        with(lost_reply("the list fails"), (2, lists_runs, json_answer(500, "{}"))),
        with(lost_request("the list is cut"), (2, lists_runs, Fault::CutReplyAfter(100))),
        with(lost_request("the list is HTML"), (1, lists_runs, Fault::html(200))),
        with(lost_request("the second start is lost"), (2, starts_our_run, Fault::LoseRequest)),
    ])
    .await;
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_named_in_the_reason() {
    // Bound and dropped: nothing listens there.
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = AgentServerOnPort::start();
    let self_signed = SelfSigned::start();
    let cases = [
        (format!("http://{refused}"), "refused"),
        ("http://no-such-host.invalid:2024".to_owned(), "the name does not resolve: "),
        (format!("https://{}", plain.address()), "TLS: the other side does not speak TLS"),
        (self_signed.url(), "TLS: certificate not acceptable: "),
    ];
    join_all(cases.iter().map(async |(url, cause)| {
        let cron = Cron::new("case", &Span::once()).with("start_deadline = \"3s\"");
        let mut daemon = Daemon::start(&configuration(url, cron));
        let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
        daemon.assert_alive();
        assert_eq!(runs[0].status, "error", "{url}: {runs:?}");
        assert_eq!(runs[0].reason_code, "backend_away", "{url}: {runs:?}");
        for text in ["the agent server was away", cause] {
            assert!(runs[0].reason.contains(text), "{url}: no {text:?} in {runs:?}");
        }
    }))
    .await;
    assert_eq!(plain.ledger().len(), 0);
}

#[tokio::test]
async fn an_answer_of_a_hundred_megabytes_does_not_fill_the_memory() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    let huge = Fault::huge(100 << 20);
    proxy.inject(1, starts_our_run, huge.clone());
    proxy.inject(1, posts_fence, huge.clone());
    proxy.inject(1, lists_runs, huge.clone());
    proxy.inject(1, joins, huge.clone());
    proxy.inject(1, queries_run, huge);
    let configuration = Configuration::new(&proxy.url()).cron(Cron::new("case", &Span::once()));
    let mut daemon = Daemon::start(&configuration);
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    daemon.assert_alive();
    assert_eq!(runs[0].status, "success", "{runs:?}\n{:#?}", daemon.events());
    assert!(runs[0].reason.contains("longer than"), "{runs:?}");
    assert_started_once(&server.ledger(), &runs);
    let peak = peak_memory_kib(daemon.process_id().unwrap());
    eprintln!("five answers of 100 MiB: peak {peak} KiB resident");
    assert!(peak < 96 << 10, "{peak} KiB");
}

/// Returns the peak resident memory of a process.
fn peak_memory_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_error_page_that_says_longer_than_does_not_end_a_run() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    let page = "<html>the upstream took longer than 30 s</html>";
    proxy.inject(ALWAYS, joins, json_answer(404, "{}"));
    proxy.inject(3, queries_thread, json_answer(200, page));
    let daemon = Daemon::start(&configuration(&proxy.url(), Cron::new("case", &Span::once())));
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    assert_eq!((runs[0].status.as_str(), runs[0].reason.as_str()), ("success", ""), "{runs:?}");
    let database = Connection::open(daemon.database()).unwrap();
    let kept = "SELECT outcome_values IS NOT NULL FROM runs WHERE phase = 'ended'";
    assert!(
        database.query_row(kept, [], |row| row.get::<_, bool>(0)).unwrap(),
        "its values are lost: {runs:?}"
    );
}

#[tokio::test]
async fn values_that_are_too_large_to_read_are_recorded_as_such_and_an_interrupt_is_still_seen() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(ALWAYS, joins, json_answer(404, "{}"));
    proxy.inject(ALWAYS, queries_thread, Fault::huge(17 << 20));
    let crons = [Cron::new("plain", &Span::once()), Cron::new("asks", &Span::once()).assistant("asker")];
    let daemon = Daemon::start(&Configuration::new(&proxy.url()).crons(crons));
    let mut runs = daemon.wait_until_finished_within(PATIENCE, 2).await;
    runs.sort_by(|a, b| a.cron_name.cmp(&b.cron_name));
    let ends = [&runs[0], &runs[1]].map(|run| (run.status.as_str(), run.reason_code.as_str()));
    assert_eq!(ends, [("interrupted", "human_input"), ("success", "values_too_large")], "{runs:?}");
    assert!(runs[1].reason.contains("values not kept"), "{runs:?}");
}

#[tokio::test]
async fn values_that_are_too_large_to_keep_are_said_to_be_and_their_webhook_has_them_whole() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let cron = Cron::new("case", &Span::once()).webhook(&receiver.url("/hook"));
    let configuration = configuration(&server.url(), cron).to_string();
    let configuration = configuration.replace("[store]\n", "[store]\nvalues_bytes_max = 10\n");
    let daemon = Daemon::start(&configuration);
    let runs = daemon.wait_until_finished_within(PATIENCE, 1).await;
    assert_eq!((runs[0].status.as_str(), runs[0].reason_code.as_str()), ("success", "values_too_large"));
    assert!(runs[0].reason.ends_with("more than store.values_bytes_max = 10"), "{runs:?}");
    let shown = &daemon.json(&["show", &runs[0].run_id])[0];
    assert_eq!(shown["values"]["truncated"], true, "{shown}");
    receiver.wait_until("the webhook", |received| !received.is_empty()).await;
    assert!(receiver.received()[0].json()["values"]["messages"].is_array());
}

#[tokio::test]
async fn a_run_that_never_ends_is_cancelled_at_its_timeout() {
    let server = AgentServerOnPort::start();
    let crons = ["background", "wait", "stream"].map(|mode| {
        let cron = Cron::new(mode, &Span::once()).says("sleep 100000").with(&format!("mode = \"{mode}\""));
        cron.with("timeout = \"1s\"")
    });
    let daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    let runs = daemon.wait_until_finished(3).await;
    for run in &runs {
        assert_eq!((run.status.as_str(), run.reason_code.as_str()), ("timeout", "timeout"), "{run:?}");
        assert!(run.reason.contains("ran longer than 1s and was cancelled"), "{run:?}");
    }
    assert_eq!(starts_by_run(&server.ledger()).len(), 3);
    assert!(
        server.ledger().iter().all(|entry| entry.status.as_str() == "interrupted"),
        "{:?}",
        server.ledger()
    );
}

#[tokio::test]
async fn a_run_that_the_server_has_lost_ends_as_error_and_is_not_started_again() {
    let mut server = AgentServerOnPort::start();
    let crons = ["background", "wait", "stream"]
        .map(|mode| Cron::new(mode, &Span::once()).says("sleep 1000").with(&format!("mode = \"{mode}\"")));
    let thread = Cron::new("thread", &Span::once()).says("sleep 1000").on_thread(Uuid::new_v4());
    let daemon = Daemon::start(&configuration(&server.url(), thread).crons(crons));
    let is_running = |run: &RunRecord| run.phase == "running";
    daemon
        .wait_for_history("four running", |runs| runs.iter().filter(|run| is_running(run)).count() == 4)
        .await;
    server.stop();
    server.start_again_empty();
    let runs = daemon.wait_until_finished_within(PATIENCE, 4).await;
    for run in &runs {
        assert_eq!(run.status, "error", "{run:?}");
        assert_eq!(run.reason_code, "lost", "{run:?}");
        assert!(run.reason.contains("no longer knows it"), "{run:?}");
    }
    assert_eq!(server.ledger().len(), 0);
}

#[tokio::test]
async fn an_error_of_the_graph_is_recorded_although_no_join_reported_it() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    proxy.inject(ALWAYS, joins, json_answer(503, "{}"));
    let daemon = Daemon::start(&configuration(&proxy.url(), Cron::new("case", &Span::once()).says("boom")));
    let runs = daemon.wait_until_finished(1).await;
    assert_eq!(runs[0].status, "error", "{runs:?}");
    assert_eq!(runs[0].error, json!({"error": "ValueError", "message": "boom"}));
}
