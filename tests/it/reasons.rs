//! Every reason code of a run, every reason code of a delivery and every event of a run can happen, and is
//! documented.
//!
//! Real daemons, on the embedded agent server behind a proxy that breaks requests, produce each of them; the
//! commands report them. The docs of the codes name the state in which each appears, and that is checked as
//! well. Three codes need more than that: `retries_exhausted` is produced in simulated time, because the retry
//! schedule lasts three days, `withdrawn` by a test beside the code, because the moment between a
//! connection and the first byte is too short here, and `no_value` by a test of mistakes in the configuration.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use agentcron::backend::embedded::EmbeddedServer;
use agentcron::clock::Clock;
use agentcron::config::{self, Environment};
use agentcron::daemon::{self, World};
use agentcron::domain::ids::InstallationId;
use agentcron::domain::reason::{DeliveryReasonCode, ReasonCode, RunEventKind};
use agentcron::store::{Execution, Sharing};
use agentcron::transport::Transport;
use axum::Router;
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::faults::{
    Injection, cancels, joins, json_answer, posts_fence, queries_run, queries_thread, starts_our_run,
};
use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::{Daemon, POLL_EVERY};
use super::support::postgres::Postgres;
use super::support::proxy::{Fault, ProxiedRequest, Proxy};
use super::support::receiver::{Receiver, Reply};
use super::support::skipped::skipped;
use super::support::span::{Span, now};

const PATIENCE: Duration = Duration::from_secs(90);
const ALWAYS: usize = usize::MAX;

/// The codes that another test produces: the state, the code, the test, and the file it is in.
const PRODUCED_BESIDE_THE_CODE: [(&str, &str, &str, &str); 2] = [
    (
        "waiting",
        "withdrawn",
        "a_hold_withdraws_attempts_that_are_still_connecting",
        include_str!("../../src/engine/courier/tests/control.rs"),
    ),
    (
        "waiting",
        "no_value",
        "a_webhook_whose_url_has_no_value_waits_for_it_and_its_cron_fires",
        include_str!("mistakes.rs"),
    ),
];

/// What the commands have reported.
#[derive(Debug, Default)]
struct Reported {
    /// The state and the code; every state of a run or delivery that has not begun is `waiting`.
    runs: BTreeSet<(String, String)>,
    deliveries: BTreeSet<(String, String)>,
    events: BTreeSet<String>,
}

impl Reported {
    fn add_runs(&mut self, daemon: &Daemon) {
        self.runs.extend(daemon.json(&["history"]).iter().filter_map(state_and_code));
    }

    fn add_events(&mut self, daemon: &Daemon) {
        for run in daemon.json(&["history"]) {
            let details = daemon.json(&["show", run["run_id"].as_str().unwrap()]);
            let events = details[0]["events"].as_array().unwrap();
            self.events.extend(events.iter().map(|event| event["event"].as_str().unwrap().to_owned()));
        }
    }

    fn add_deliveries(&mut self, daemon: &Daemon) {
        self.deliveries.extend(daemon.json(&["webhook", "list"]).iter().filter_map(state_and_code));
    }

    fn add(&mut self, other: Self) {
        self.runs.extend(other.runs);
        self.deliveries.extend(other.deliveries);
        self.events.extend(other.events);
    }
}

fn state_and_code(row: &Value) -> Option<(String, String)> {
    let state = match row["status"].as_str().unwrap() {
        "pending" | "sending" | "unconfirmed" => "waiting",
        other => other,
    };
    Some((state.to_owned(), row["reason_code"].as_str()?.to_owned()))
}

fn codes(reported: &BTreeSet<(String, String)>) -> BTreeSet<&str> {
    reported.iter().map(|(_, code)| code.as_str()).collect()
}

#[test]
fn every_code_and_every_event_is_produced_and_its_doc_names_the_state() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_all().build().unwrap();
    let mut reported = runtime.block_on(async {
        let mut scenarios: Vec<BoxFuture<'static, Reported>> = vec![
            Box::pin(crons_and_requests()),
            Box::pin(a_daemon_that_was_stopped()),
            Box::pin(a_store_whose_server_was_away()),
            Box::pin(a_backup_that_was_restored()),
            Box::pin(deliveries()),
            Box::pin(a_credential_that_disappears()),
        ];
        for case in one_run_each() {
            scenarios.push(Box::pin(one_run(case)));
        }
        for case in waiting_runs() {
            scenarios.push(Box::pin(one_waiting_run(case)));
        }
        // Only a few at once: a daemon that starts too late never knows that its occurrence was due.
        let permits = Arc::new(Semaphore::new(4));
        let mut running = JoinSet::new();
        for scenario in scenarios {
            let permits = Arc::clone(&permits);
            running.spawn(async move {
                let _permit = permits.acquire().await;
                scenario.await
            });
        }
        let mut reported = Reported::default();
        while let Some(one) = running.join_next().await {
            reported.add(one.unwrap());
        }
        reported
    });
    reported.add(a_receiver_that_never_recovers());
    for (state, code, test, file) in PRODUCED_BESIDE_THE_CODE {
        let (_, body) = file.split_once(&format!("fn {test}(")).unwrap();
        assert!(body.contains(code), "{test} does not check the code {code}");
        reported.deliveries.insert((state.to_owned(), code.to_owned()));
    }

    let all = |codes: Vec<&'static str>| codes.into_iter().collect::<BTreeSet<_>>();
    let run_codes = all(ReasonCode::ALL.iter().map(|code| code.as_str()).collect());
    let delivery_codes = all(DeliveryReasonCode::ALL.iter().map(|code| code.as_str()).collect());
    let events = all(RunEventKind::ALL.iter().map(|event| event.as_str()).collect());
    assert_eq!(codes(&reported.runs), run_codes, "{reported:#?}");
    assert_eq!(codes(&reported.deliveries), delivery_codes, "{reported:#?}");
    assert_eq!(reported.events.iter().map(String::as_str).collect::<BTreeSet<_>>(), events, "{reported:#?}");
    for (state, code) in reported.runs.iter().chain(&reported.deliveries) {
        let states = documented_states(code);
        assert!(states.contains(state), "{code} was reported as {state}, but its doc says {states:?}");
    }
}

#[test]
fn every_code_and_every_event_has_a_row_in_the_api_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");
    let document = std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!("docs/api.md, which documents every reason code, cannot be read: {error}")
    });
    let codes = (ReasonCode::ALL.iter().map(|code| code.as_str()))
        .chain(DeliveryReasonCode::ALL.iter().map(|code| code.as_str()))
        .chain(RunEventKind::ALL.iter().map(|event| event.as_str()));
    let missing: Vec<_> = codes.filter(|code| !document.contains(&format!("`{code}`"))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "docs/api.md does not document these codes");
}

/// Returns the states that the doc of a code names, before its colon: `/// Running or success: it started …`.
fn documented_states(code: &str) -> BTreeSet<String> {
    let source = include_str!("../../src/domain/reason.rs");
    let definition = format!("= \"{code}\",");
    let lines: Vec<&str> = source.lines().collect();
    let mut states = BTreeSet::new();
    for (index, line) in lines.iter().enumerate() {
        if !line.ends_with(&definition) {
            continue;
        }
        let docs: Vec<&str> =
            lines[..index].iter().rev().map_while(|line| line.trim().strip_prefix("/// ")).collect();
        // The doc of an event with the same name names no state.
        let named = docs.last().and_then(|doc| doc.split_once(':')).map_or("", |(named, _)| named);
        states.extend(named.split(" or ").map(str::to_lowercase));
    }
    states
}

/// A run that meets faults, and the code with which it ends or waits.
struct Case {
    code: &'static str,
    faults: Vec<Injection>,
    cron: fn(Cron) -> Cron,
    environment: &'static [(&'static str, &'static str)],
    /// How many runs its one occurrence has.
    runs: usize,
}

impl Case {
    fn new(code: &'static str, cron: fn(Cron) -> Cron) -> Self {
        Self { code, faults: Vec::new(), cron, environment: &[], runs: 1 }
    }

    fn runs(self, runs: usize) -> Self {
        Self { runs, ..self }
    }

    fn fault(mut self, times: usize, which: fn(&ProxiedRequest) -> bool, fault: Fault) -> Self {
        self.faults.push((times, which, fault));
        self
    }

    async fn start(&self, server: &AgentServerOnPort) -> (Daemon, Proxy) {
        let mut proxy = Proxy::start(server.address());
        if self.code == "backend_away" {
            proxy.go_down();
        }
        for (times, which, fault) in &self.faults {
            proxy.inject(*times, *which, fault.clone());
        }
        let cron = (self.cron)(Cron::new("case", &Span::once()));
        let configuration = Configuration::new(&proxy.url()).backend("request_timeout = \"1s\"").cron(cron);
        let mut daemon = Daemon::prepare(&configuration);
        daemon.start_with(self.environment);
        let has_code = |run: &super::support::history::RunRecord| run.reason_code == self.code;
        daemon.wait_for_history_within(PATIENCE, self.code, |runs| runs.iter().any(has_code)).await;
        (daemon, proxy)
    }
}

/// The server's own report of a run that has ended with this status.
fn report(status: &str) -> Fault {
    json_answer(
        200,
        &format!(r#"{{"run_id": "01a2081f-740d-7775-bcd5-db522831835e", "status": "{status}"}}"#),
    )
}

fn one_run_each() -> Vec<Case> {
    let plain = |cron: Cron| cron;
    let no_join = || json_answer(404, "{}");
    let no_run = || json_answer(404, r#"{"detail": "Run not found"}"#);
    vec![
        Case::new("adopted", plain).fault(1, starts_our_run, Fault::LoseReply),
        Case::new("started_late", plain).fault(1, starts_our_run, Fault::LoseRequest),
        Case::new("thread_busy", |cron| {
            cron.with("thread = \"busy\"").with("multitask_strategy = \"reject\"")
        })
        .fault(ALWAYS, starts_our_run, json_answer(409, "{}")),
        Case::new("backend_away", |cron| cron.with("start_deadline = \"2s\"")),
        Case::new("backend_denied", |cron| cron.with("start_deadline = \"2s\"")).fault(
            ALWAYS,
            starts_our_run,
            json_answer(401, "{}"),
        ),
        Case::new("start_deadline", |cron| cron.with("start_deadline = \"2s\"")).fault(
            ALWAYS,
            starts_our_run,
            json_answer(429, "{}"),
        ),
        Case::new("rejected", plain).fault(ALWAYS, starts_our_run, json_answer(404, "{}")),
        Case::new("lost", plain).fault(ALWAYS, queries_run, no_run()).fault(
            ALWAYS,
            queries_thread,
            json_answer(404, r#"{"detail": "Thread not found"}"#),
        ),
        // `join` reports the end of the run, and its thread is there.
        Case::new("rolled_back", plain).fault(ALWAYS, queries_run, no_run()),
        Case::new("unknown", plain).fault(ALWAYS, queries_run, report("paused")),
        Case { environment: &[("PANIC_AT", "start_answered")], ..Case::new("internal", plain) },
        Case::new("graph_error", |cron| cron.says("boom")),
        Case::new("overloaded", |cron| cron.says("boom RateLimitError: Error code: 429")),
        Case::new("graph_error", |cron| {
            cron.says("boom").with("retry = { max = 1, backoff = \"1s\" }\nstart_deadline = \"1m\"")
        })
        .runs(2),
        Case::new("timeout", |cron| cron.says("sleep 1000").with("timeout = \"1s\"")).fault(
            1,
            cancels,
            Fault::LoseRequest,
        ),
        Case::new("after_timeout", |cron| cron.says("sleep 3").with("timeout = \"1s\"")).fault(
            ALWAYS,
            cancels,
            json_answer(500, "{}"),
        ),
        Case::new("backend_timeout", plain).fault(ALWAYS, queries_run, report("timeout")),
        Case::new("human_input", |cron| cron.assistant("asker")),
        Case::new("backend_interrupted", plain).fault(ALWAYS, queries_run, report("interrupted")),
        Case::new("values_too_large", plain).fault(ALWAYS, joins, no_join()).fault(
            ALWAYS,
            queries_thread,
            Fault::huge(17 << 20),
        ),
        Case::new("values_gone", plain).fault(ALWAYS, joins, no_join()).fault(
            ALWAYS,
            queries_thread,
            json_answer(404, "{}"),
        ),
    ]
}

async fn one_run(case: Case) -> Reported {
    let server = AgentServerOnPort::start();
    let (daemon, _proxy) = case.start(&server).await;
    let runs = case.runs;
    daemon.wait_until_finished_within(PATIENCE, runs).await;
    let mut reported = Reported::default();
    reported.add_runs(&daemon);
    reported.add_events(&daemon);
    reported
}

/// Writes a credential as systemd does, into a folder for `CREDENTIALS_DIRECTORY`, and returns that folder.
fn write_credential(daemon: &Daemon, name: &str, value: &str) -> String {
    let folder = daemon.folder().join("credentials");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, value).unwrap();
    // A credential that everybody can read is refused.
    std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    folder.to_str().unwrap().to_owned()
}

async fn a_backup_that_was_restored() -> Reported {
    let server = AgentServerOnPort::start();
    let span = Span::soon(1, 12);
    let cron = Cron::new("often", &span).runs_every_occurrence();
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    daemon.wait_for_history("a run", |runs| !runs.is_empty()).await;
    assert!(daemon.run_command(&["backup", "backup.db"]).status.success());
    let known = daemon.history().len();
    daemon.wait_for_history("another run", |runs| runs.len() > known).await;
    daemon.kill9();
    assert!(daemon.run_command(&["restore", "backup.db"]).status.success());
    daemon.start_again();
    let is_missed = |run: &super::support::history::RunRecord| run.reason_code == "restored";
    daemon.wait_for_history_within(PATIENCE, "restored", |runs| runs.iter().any(is_missed)).await;
    let mut reported = Reported::default();
    reported.add_runs(&daemon);
    reported
}

async fn a_credential_that_disappears() -> Reported {
    let server = AgentServerOnPort::start();
    let cron = on_request("asks").says("${{ credential.question }}");
    let mut daemon = Daemon::prepare(&Configuration::new(&server.url()).cron(cron));
    let folder = write_credential(&daemon, "question", "how are you?");
    daemon.start_with(&[("CREDENTIALS_DIRECTORY", &folder)]);
    wait_for_socket(&daemon).await;
    std::fs::remove_dir_all(folder).unwrap();
    trigger(&daemon, "asks");
    wait_for_code(&daemon, "placeholder").await;
    let mut reported = Reported::default();
    reported.add_runs(&daemon);
    reported
}

fn waiting_runs() -> Vec<Case> {
    let patient = |cron: Cron| cron.with("start_deadline = \"1h\"");
    vec![
        Case::new("backend_unreachable", patient).fault(ALWAYS, starts_our_run, Fault::busy("86400")),
        Case::new("backend_denied", patient).fault(ALWAYS, starts_our_run, json_answer(401, "{}")),
        Case::new("backend_denied", patient).fault(ALWAYS, queries_run, json_answer(403, "{}")),
        Case::new("start_unconfirmed", patient).fault(ALWAYS, starts_our_run, Fault::LoseRequest).fault(
            ALWAYS,
            posts_fence,
            json_answer(500, "{}"),
        ),
    ]
}

async fn one_waiting_run(case: Case) -> Reported {
    let server = AgentServerOnPort::start();
    let (daemon, _proxy) = case.start(&server).await;
    if case.code == "start_unconfirmed" {
        let is_recorded = || daemon.events().iter().any(|event| event.event == "still_unconfirmed");
        daemon.wait_until("a reconciliation without an answer", is_recorded).await;
    }
    let mut reported = Reported::default();
    reported.add_runs(&daemon);
    reported.add_events(&daemon);
    reported
}

fn every_second(name: &str) -> Cron {
    Cron::bare(name).with("schedule = \"* * * * * *\"")
}

/// Fires when it is triggered.
fn on_request(name: &str) -> Cron {
    Cron::bare(name).with("schedule = \"0 0 1 1 *\"\noverlap = \"allow\"")
}

async fn wait_for_socket(daemon: &Daemon) {
    daemon.wait_until("the socket", || daemon.folder().join("agentcron.sock").exists()).await;
}

async fn wait_for_code(daemon: &Daemon, code: &str) {
    daemon
        .wait_for_history_within(PATIENCE, code, |runs| runs.iter().any(|run| run.reason_code == code))
        .await;
}

fn trigger(daemon: &Daemon, name: &str) -> String {
    daemon.json(&["trigger", name])[0]["run_id"].as_str().unwrap().to_owned()
}

/// What crons do by themselves when runs overlap, and what people request.
async fn crons_and_requests() -> Reported {
    let server = AgentServerOnPort::start();
    let date = |days: i64| (now() + SignedDuration::from_hours(24 * days)).to_string()[..10].to_owned();
    let exclude = format!("exclude = [\"{}\", \"{}\"]", date(0), date(1));
    let crons = [
        Cron::new("skips", &Span::soon(1, 3)).says("sleep 3"),
        Cron::new("cancels", &Span::soon(2, 2)).says("sleep 60").with("overlap = \"cancel\""),
        every_second("excluded").with(&exclude),
        every_second("paused"),
        every_second("skipped_once"),
        on_request("cancelled").says("sleep 60"),
    ];
    let queues =
        |name: &str| Cron::bare(name).says("sleep 60").with("overlap = \"queue\"\nstart_deadline = \"1h\"");
    let each_second = |name: &str| queues(name).with("schedule = \"* * * * * *\"");
    let configuration = Configuration::new(&server.url()).crons(crons);
    let waiting = ["removed", "disabled", "edited"];
    let daemon = Daemon::start(&configuration.clone().crons(waiting.map(each_second)));
    wait_for_socket(&daemon).await;
    daemon.json(&["pause", "paused"]);
    daemon.json(&["skip-next", "skipped_once"]);
    let run_id = trigger(&daemon, "cancelled");
    daemon.json(&["cancel", &run_id]);
    for code in
        ["overlap", "queue_full", "excluded", "paused", "skip_next", "cancel_request", "cancel_overlap"]
    {
        wait_for_code(&daemon, code).await;
    }
    let all_wait = |runs: &[super::support::history::RunRecord]| {
        let waits = |name: &str| runs.iter().any(|run| run.cron_name == name && run.phase == "pending");
        waiting.iter().all(|name| waits(name))
    };
    daemon.wait_for_history("runs that wait", all_wait).await;
    daemon.write_config(&configuration.crons([
        each_second("disabled").with("enabled = false"),
        queues("edited").with("schedule = \"0 0 1 1 *\""),
    ]));
    for code in waiting {
        wait_for_code(&daemon, code).await;
    }
    let mut reported = Reported::default();
    reported.add_runs(&daemon);
    reported
}

/// What happens to occurrences that were due while no daemon was running and while it could not commit, and to those that
/// wait when the catch-up policy of their cron is edited.
async fn a_daemon_that_was_stopped() -> Reported {
    let mut server = AgentServerOnPort::start();
    let crons = [
        every_second("none").with("catchup = \"none\""),
        every_second("latest").with("catchup = \"latest\""),
        every_second("window").with("catchup = \"all\"\ncatchup_window = \"6s\""),
    ];
    let configuration = Configuration::new(&server.url());
    let mut daemon = Daemon::start(&configuration.clone().crons(crons));
    let have_run = |name: &str, runs: &[super::support::history::RunRecord]| {
        runs.iter().any(|run| run.cron_name == name && run.status == "success")
    };
    daemon
        .wait_for_history("each to run", |runs| {
            ["none", "latest", "window"].iter().all(|name| have_run(name, runs))
        })
        .await;
    let some_to_be_missed = async |daemon: &Daemon| {
        let from = now() + SignedDuration::from_secs(9);
        daemon.wait_until("some to be missed", || now() > from).await;
    };
    daemon.kill9();
    some_to_be_missed(&daemon).await;
    daemon.start_again();
    wait_for_code(&daemon, "daemon_down").await;
    let lock = rusqlite::Connection::open(daemon.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    some_to_be_missed(&daemon).await;
    lock.execute_batch("ROLLBACK").unwrap();
    wait_for_code(&daemon, "disk_full").await;
    server.stop();
    let waits = |more: &str| {
        ["none", "latest", "all"].map(|catchup| {
            let more = more.replace("CATCHUP", catchup);
            every_second(&format!("waits-{catchup}"))
                .with("overlap = \"allow\"\nstart_deadline = \"1h\"")
                .with(&more)
        })
    };
    daemon.write_config(&configuration.clone().crons(waits("catchup = \"all\"")));
    let wait = |runs: &[super::support::history::RunRecord]| {
        runs.iter().filter(|run| run.cron_name == "waits-all" && run.phase == "pending").count() > 9
    };
    daemon.wait_for_history("runs that wait", wait).await;
    daemon.write_config(&configuration.crons(waits("catchup = \"CATCHUP\"\ncatchup_window = \"7s\"")));
    for code in ["catchup_none", "catchup_latest", "catchup_window"] {
        wait_for_code(&daemon, code).await;
    }
    let mut reported = Reported::default();
    reported.add_runs(&daemon);
    reported
}

/// What happens to occurrences that were due while the server of the store was away.
async fn a_store_whose_server_was_away() -> Reported {
    let mut reported = Reported::default();
    let Some(mut store) = Postgres::start().unwrap() else {
        skipped("`store_away`, because PostgreSQL's server is not installed (Debian: postgresql)");
        reported.runs.insert(("missed".to_owned(), ReasonCode::StoreAway.to_string()));
        return reported;
    };
    let server = AgentServerOnPort::start();
    let configuration = Configuration::new(&server.url())
        .http("socket = \"{folder}/agentcron.sock\"")
        .on_server(&store.url())
        .cron(every_second("none").with("catchup = \"none\""));
    let daemon = Daemon::start(&configuration);
    daemon.wait_for_history("it to run", |runs| runs.iter().any(|run| run.status == "success")).await;
    store.stop_at_once();
    let back = now() + SignedDuration::from_secs(9);
    while now() < back {
        sleep(POLL_EVERY).await;
    }
    store.start_again();
    wait_for_code(&daemon, "store_away").await;
    reported.add_runs(&daemon);
    reported
}

async fn wait_for_deliveries(daemon: &Daemon, status: &str, count: usize) {
    let list = || daemon.json(&["webhook", "list", "--status", status]);
    daemon.wait_until(&format!("{count} {status}"), || list().len() >= count).await;
}

/// What happens to webhooks by the answers of receivers, and on request.
async fn deliveries() -> Reported {
    let server = AgentServerOnPort::start();
    let [works, is_busy, is_gone, declines] = std::array::from_fn(|_| Receiver::start());
    is_busy.reply_always(Reply::status(503));
    is_gone.reply_always(Reply::status(410));
    declines.reply_always(Reply::status(400).header("webhook-delivery", "abort-message"));
    let configuration = Configuration::new(&server.url()).crons([
        on_request("works").webhook(&works.url("/hook")),
        on_request("busy").webhook(&is_busy.url("/hook")),
        on_request("gone").webhook(&is_gone.url("/hook")),
        on_request("declined").webhook(&declines.url("/hook")),
        on_request("refused").webhook("${{ credential.hook }}"),
    ]);
    let mut daemon = Daemon::prepare(&configuration);
    let folder = write_credential(&daemon, "hook", &works.url("/hook"));
    daemon.start_with(&[("CREDENTIALS_DIRECTORY", &folder)]);
    wait_for_socket(&daemon).await;
    write_credential(&daemon, "hook", "ftp://example.com/hook");
    let delivered = trigger(&daemon, "works");
    for name in ["busy", "gone", "declined", "refused"] {
        trigger(&daemon, name);
    }
    for status in ["delivered", "gone", "aborted", "blocked"] {
        wait_for_deliveries(&daemon, status, 1).await;
    }
    trigger(&daemon, "gone");
    wait_for_deliveries(&daemon, "gone", 2).await;
    let mut reported = Reported::default();
    // While webhooks are held, a webhook that is replayed waits.
    daemon.json(&["webhook", "hold"]);
    daemon.json(&["webhook", "replay", &delivered]);
    wait_for_delivery_codes(&daemon, &mut reported, &["attempt_failed", "replayed"]).await;
    // Everything that waits by now is older than a second then.
    sleep(Duration::from_millis(1100)).await;
    daemon.json(&["webhook", "release", "--discard-older-than", "1s"]);
    wait_for_delivery_codes(&daemon, &mut reported, &["discarded"]).await;
    // The credential is valid again, or the configuration would not be reloaded.
    write_credential(&daemon, "hook", &works.url("/hook"));
    daemon.write_config(&configuration.http("disable_webhooks = true"));
    daemon.wait_for_stderr("webhooks disabled").await;
    trigger(&daemon, "works");
    wait_for_delivery_codes(&daemon, &mut reported, &["disabled"]).await;
    reported
}

async fn wait_for_delivery_codes(daemon: &Daemon, reported: &mut Reported, expected: &[&str]) {
    let until = Instant::now() + PATIENCE;
    loop {
        reported.add_deliveries(daemon);
        let codes = codes(&reported.deliveries);
        if expected.iter().all(|code| codes.contains(code)) {
            return;
        }
        assert!(
            Instant::now() < until,
            "waited for {expected:?} in vain: {:#?}",
            daemon.json(&["webhook", "list"])
        );
        sleep(POLL_EVERY).await;
    }
}

/// A receiver fails for longer than the retry schedule lasts, in simulated time.
fn a_receiver_that_never_recovers() -> Reported {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let cron = Cron::new("told", &Span::once()).webhook("http://receiver.example/hook");
        let prepared = Daemon::prepare(&Configuration::new("http://backend.example").cron(cron));
        let environment = Environment::of_map([]);
        let clock = Clock::simulated(now());
        let server = {
            let clock = clock.clone();
            EmbeddedServer::new(move || clock.now())
        };
        let receiver = Router::new().fallback(async || StatusCode::SERVICE_UNAVAILABLE);
        let world = World {
            config: config::load(&prepared.config_path(), &environment).unwrap(),
            environment,
            clock,
            backend: Transport::router(server.router()),
            receivers: Transport::router(receiver),
            execution: Execution::Inline,
            sharing: Sharing::Alone,
            host: String::new(),
            new_installation: InstallationId::default(),
            socket: None,
            listen: None,
            relay: None,
            reload: None,
            manager: None,
            watchdog: None,
        };
        let stop = CancellationToken::new();
        let four_days_later = async {
            sleep(Duration::from_secs(4 * 24 * 3600)).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(daemon::serve(world, || {}, stop.clone()), four_days_later);
        ended.unwrap();
        let mut reported = Reported::default();
        reported.add_deliveries(&prepared);
        reported
    })
}
