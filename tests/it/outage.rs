//! The agent server is away for a while: what was due meanwhile runs late with a reason, or does not run,
//! with a reason.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::faults::json_answer;
use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::final_checks::{assert_all_notified, assert_none_lost, assert_started_once};
use super::support::history::RunRecord;
use super::support::proxy::{Fault, ProxiedRequest, Proxy};
use super::support::real_server::RealServer;
use super::support::receiver::Receiver;
use super::support::skipped::skipped;
use super::support::soak;
use super::support::span::{Span, now};

/// Beyond the outage itself: the backend is probed at most 5 s after it came back.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn occurrences_of_an_outage_run_late_with_a_reason_and_none_is_lost() {
    let outage = soak::length(Duration::from_secs(6), Duration::from_secs(20));
    let every = i64::try_from(outage.as_secs()).unwrap() / 3;
    let span = Span::soon(if every > 2 { 5 } else { 2 }, 7);
    let mut server = AgentServerOnPort::start();
    let receiver = Receiver::start();
    let cron = |name: &str| Cron::new(name, &span).webhook(&receiver.url("/hook"));
    let crons = [
        cron("patient").with("start_deadline = \"5m\"\noverlap = \"allow\""),
        cron("hasty").with("start_deadline = \"1s\"\noverlap = \"allow\""),
        cron("ordinary"),
    ];
    let mut daemon = Daemon::start(&Configuration::new(&server.url()).crons(crons));
    let is_done = |run: &RunRecord| run.cron_name == "patient" && run.status == "success";
    daemon.wait_for_history("a run before the outage", |runs| runs.iter().any(is_done)).await;
    let down_from = now();
    server.stop();
    let long_enough = down_from + SignedDuration::try_from(outage).unwrap();
    daemon.wait_within(outage * 2, "the outage to pass", || (now() > long_enough).then_some(())).await;
    server.start_again();
    let up_from = now();

    let last_is_finished = |runs: &[RunRecord]| {
        runs.iter().all(RunRecord::is_finished)
            && runs.iter().filter(|run| run.last_scheduled_for == span.last()).count() == 3
    };
    let runs = daemon.wait_for_history_within(PATIENCE + outage, "all to be settled", last_is_finished).await;
    daemon.assert_alive();
    for cron in ["patient", "hasty", "ordinary"] {
        assert_none_lost(daemon.crons_known_since(), &runs, cron, &span);
    }
    assert_started_once(&server.ledger(), &runs);
    assert_all_notified(&receiver.received(), &runs);

    let of = |cron: &str| runs.iter().filter(|run| run.cron_name == cron).cloned().collect::<Vec<_>>();
    let hit: Vec<_> = of("patient")
        .into_iter()
        .filter(|run| {
            run.scheduled_for > down_from && run.scheduled_for + SignedDuration::from_secs(2) < up_from
        })
        .collect();
    assert!(hit.len() >= 2, "occurrences in the outage: {hit:#?}");
    for run in hit {
        assert_eq!(run.status, "success", "{run:?}");
        assert!(run.started_at.unwrap() >= up_from, "{run:?}");
        assert_eq!(run.reason_code, "started_late", "{run:?}");
        assert!(run.reason.contains("late") && run.reason.contains("agent server unreachable"), "{run:?}");
    }
    assert!(of("patient").iter().all(|run| run.status == "success"), "{:#?}", of("patient"));

    let given_up: Vec<_> = of("hasty").into_iter().filter(|run| run.status != "success").collect();
    assert!(given_up.len() >= 2, "{:#?}", of("hasty"));
    for run in given_up {
        assert_eq!(run.status, "error", "{run:?}");
        assert_eq!(run.reason_code, "backend_away", "{run:?}");
        assert!(run.reason.contains("the agent server was away"), "it does not name the cause: {run:?}");
        assert!(run.started_at.is_none(), "{run:?}");
    }
    for run in of("ordinary") {
        let is_known = run.status == "success" || run.reason_code == "backend_away";
        assert!(is_known, "an outage is the reason of anything else: {run:?}");
    }
}

#[tokio::test]
async fn an_outage_pauses_no_cron() {
    let mut server = AgentServerOnPort::start();
    let cron = Cron::bare("often").with("schedule = \"* * * * * *\"\npause_after_failures = 2");
    let mut daemon = Daemon::prepare(&Configuration::new(&server.url()).cron(cron));
    server.stop();
    daemon.start_again();
    let missed = |run: &&RunRecord| run.reason_code == "backend_away";
    daemon
        .wait_for_history_within(PATIENCE, "three that could not start", |runs| {
            runs.iter().filter(missed).count() >= 3
        })
        .await;
    server.start_again();
    let is_done = |run: &RunRecord| run.status == "success";
    daemon.wait_for_history_within(PATIENCE, "one that ran", |runs| runs.iter().any(is_done)).await;
    assert_eq!(daemon.json(&["list"])[0]["paused"], serde_json::Value::Null);
}

/// The server loses nothing that had ended, since it stores that; the test is about what was due meanwhile.
#[tokio::test]
async fn a_real_server_that_was_stopped_gets_what_it_missed() {
    let outage = soak::length(Duration::ZERO, Duration::from_secs(20));
    if outage.is_zero() {
        skipped("a real server that is stopped: starting it twice takes half a minute; set AGENTCRON_SOAK");
        return;
    }
    let mut server = RealServer::start();
    let span = Span::soon(5, 14);
    let cron = Cron::new("patient", &span).with("start_deadline = \"5m\"\noverlap = \"allow\"");
    let daemon = Daemon::start(&Configuration::new(&server.url()).cron(cron));
    let is_done = |run: &RunRecord| run.status == "success";
    daemon.wait_for_history("a run before the outage", |runs| runs.iter().any(is_done)).await;
    let down_from = now();
    server.stop();
    let long_enough = down_from + SignedDuration::try_from(outage).unwrap();
    daemon.wait_within(outage * 2, "the outage to pass", || (now() > long_enough).then_some(())).await;
    server.start_again();
    let up_from = now();
    let runs = daemon
        .wait_for_history_within(PATIENCE * 3, "all to be settled", |runs| {
            runs.len() == span.instants().len() && runs.iter().all(RunRecord::is_finished)
        })
        .await;
    assert_none_lost(daemon.crons_known_since(), &runs, "patient", &span);
    let late = runs.iter().filter(|run| run.reason_code == "started_late").count();
    assert!(late >= 3, "{runs:#?}");
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    let away = up_from.duration_since(down_from);
    eprintln!("the real server was away for {away:#}: {} runs, {late} of them late, none lost", runs.len());
}

/// Every kind of outage is noticed while a run depends on the server, and so is its end.
#[tokio::test]
async fn an_outage_is_a_fact_from_its_first_seconds_to_its_end() {
    let kinds: [(&str, Option<Fault>); 5] = [
        ("refused", None),
        ("hangs", Some(Fault::Hang)),
        ("502", Some(Fault::html(502))),
        ("503", Some(Fault::reply(503, &[], "busy"))),
        ("reset", Some(Fault::LoseRequest)),
    ];
    for (kind, fault) in kinds {
        let server = AgentServerOnPort::start();
        let mut proxy = Proxy::start(server.address());
        let cron = Cron::bare("slow").says("sleep 60").with("schedule = \"* * * * * *\"");
        let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
        let is_running = |runs: &[RunRecord]| runs.iter().any(|run| run.phase == "running");
        daemon.wait_for_history("a run that depends on the server", is_running).await;
        let began = now();
        match &fault {
            None => proxy.go_down(),
            Some(fault) => proxy.inject(usize::MAX, |_| true, fault.clone()),
        }
        let outage = || {
            let status = daemon.json(&["status"]).remove(0);
            status["outages"].as_array()?.iter().find(|outage| outage["what"] == "backend").cloned()
        };
        let found = daemon.wait_within(PATIENCE, kind, outage).await;
        let noticed = now().duration_since(began);
        eprintln!("{kind}: noticed after {noticed:#}: {}", found["why"]);
        assert_eq!(found["until"], Value::Null, "{kind}: {found}");
        // On a busy machine everything takes longer; quiet, it is less than 5 s.
        assert!(noticed < SignedDuration::from_secs(15), "{kind}: noticed after {noticed:#}");
        let since: jiff::Timestamp = found["since"].as_str().unwrap().parse().unwrap();
        assert!(since >= began - SignedDuration::from_secs(2) && since < now(), "{kind}: {found}");
        match &fault {
            None => proxy.come_up(),
            Some(_) => proxy.heal(),
        }
        let is_over = || outage().filter(|outage| !outage["until"].is_null());
        daemon.wait_within(PATIENCE, kind, is_over).await;
        let log = daemon.stderr();
        let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
        assert_eq!(count("backend unreachable: "), 1, "{kind}: {log}");
        assert_eq!(count("backend reachable again after "), 1, "{kind}: {log}");
        let loud = |line: &&str| line.contains(" WARN ") || line.contains("ERROR");
        assert_eq!(log.lines().filter(loud).count(), 1, "{kind}: {log}");
    }
}

/// A daemon that ends while the server is away leaves it open how long that lasts: the next one finds out.
#[tokio::test]
async fn an_outage_goes_on_under_the_next_daemon_if_the_server_is_still_away_then() {
    let server = AgentServerOnPort::start();
    let mut proxy = Proxy::start(server.address());
    let cron = Cron::bare("often").with("schedule = \"* * * * * *\"");
    let mut daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
    daemon.wait_for_history("a run", |runs| runs.iter().any(|run| run.status == "success")).await;
    let outages = |daemon: &Daemon, what: &str| -> Vec<Value> {
        daemon.json(&["outages"]).into_iter().filter(|outage| outage["what"] == what).collect()
    };
    proxy.go_down();
    daemon.wait_until("the outage", || outages(&daemon, "backend").len() == 1).await;
    let since = outages(&daemon, "backend")[0]["since"].clone();
    daemon.kill9();
    let down = outages(&daemon, "daemon");
    assert_eq!(outages(&daemon, "backend")[0]["until"], down[0]["since"], "nobody looks after that");
    daemon.start_again();
    daemon.wait_for_stderr("backend still unreachable: ").await;
    let goes_on = || outages(&daemon, "backend")[0]["until"].is_null();
    daemon.wait_until("the outage to go on", goes_on).await;
    daemon.terminate();
    daemon.wait_for_exit().await;
    let until = outages(&daemon, "daemon").pop().unwrap()["since"].clone();
    proxy.come_up();
    daemon.start_again();
    daemon.wait_for_stderr("backend reachable again").await;
    let found = outages(&daemon, "backend");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["since"], &found[0]["until"]), (&since, &until), "the last that is known of it");
}

/// What is skipped for a run that the server does not show is no overlap, from the moment at which we lose sight of it.
#[tokio::test]
async fn what_is_skipped_for_a_run_that_is_not_shown_is_no_overlap() {
    for (code, body) in [(403, r#"{"detail": "not yours"}"#), (404, ""), (429, r#"{"detail": "slow down"}"#)]
    {
        let server = AgentServerOnPort::start();
        let mut proxy = Proxy::start(server.address());
        let cron = Cron::bare("slow").says("sleep 60").with("schedule = \"* * * * * *\"");
        let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
        let told = |runs: &[RunRecord], code: &str, since| {
            runs.iter().filter(|run| run.reason_code == code && run.scheduled_for > since).count()
        };
        let began = now();
        daemon.wait_for_history("an overlap", |runs| told(runs, "overlap", began) > 0).await;
        // The server is there all the time: it answers whether it is well.
        proxy.inject(usize::MAX, |request| request.path != "/ok", json_answer(code, body));
        let refused = now();
        proxy.go_down();
        proxy.come_up();
        let enough = |runs: &[RunRecord]| told(runs, "backend_denied", refused) >= 4;
        let runs = daemon.wait_for_history_within(PATIENCE, "what is skipped meanwhile", enough).await;
        assert_eq!(told(&runs, "overlap", refused), 0, "{code}: {runs:#?}");
        let running = runs.iter().find(|run| run.phase == "running").unwrap();
        assert_eq!(running.reason_code, "backend_denied", "{code}: {running:?}");
        assert!(running.reason.contains(&format!("refuses us ({code})")), "{code}: {running:?}");
        proxy.heal();
        let healed = now();
        let seen_again = |runs: &[RunRecord]| told(runs, "overlap", healed) > 0;
        daemon.wait_for_history_within(PATIENCE, "an overlap again", seen_again).await;
        assert_eq!(daemon.json(&["status"])[0]["outages"], Value::Array(Vec::new()), "{code}");
    }
}

/// A run that was to be cancelled while the server did not answer says so.
#[tokio::test]
async fn a_cancellation_does_not_hide_an_outage() {
    let server = AgentServerOnPort::start();
    let proxy = Proxy::start(server.address());
    let cron =
        Cron::bare("slow").says("sleep 600").with("schedule = \"* * * * * */10\"\noverlap = \"cancel\"");
    let configuration = Configuration::new(&proxy.url()).backend("request_timeout = \"3s\"").cron(cron);
    let daemon = Daemon::start(&configuration);
    let running = |runs: &[RunRecord]| runs.iter().find(|run| run.phase == "running").cloned();
    let runs = daemon.wait_for_history_within(PATIENCE, "a run", |runs| running(runs).is_some()).await;
    let cancelled = running(&runs).unwrap().run_id;
    proxy.inject(usize::MAX, |_| true, Fault::Hang);
    let events = || daemon.json(&["show", &cancelled])[0]["events"].clone();
    let tried = || events().as_array().unwrap().iter().any(|event| event["event"] == "not_cancelled");
    daemon.wait_within(PATIENCE, "an attempt to cancel it", || tried().then_some(())).await;
    let is_away = || {
        let status = daemon.json(&["status"]).remove(0);
        status["outages"].as_array()?.iter().any(|outage| outage["what"] == "backend").then_some(())
    };
    daemon.wait_within(PATIENCE, "the outage", is_away).await;
    proxy.heal();
    let ended = |runs: &[RunRecord]| runs.iter().any(|run| run.run_id == cancelled && run.is_finished());
    daemon.wait_for_history_within(PATIENCE, "the end of the run", ended).await;
    let shown = daemon.json(&["show", &cancelled]).remove(0);
    assert_eq!((&shown["status"], &shown["reason_code"]), (&"cancelled".into(), &"cancel_overlap".into()));
    assert_eq!(shown["outage"]["what"], "backend", "{shown:#}");
    assert!(
        shown["reason"].as_str().unwrap().ends_with("the agent server did not answer at once"),
        "{shown:#}"
    );
    let at = shown["scheduled_for"].as_str().unwrap();
    let output = daemon.run_command(&["explain", "slow", "--at", at]);
    let explained = String::from_utf8(output.stdout).unwrap();
    assert!(explained.contains("that lasted from"), "{explained}");
}

/// A server that answers within the request timeout is there, however slow it is.
#[tokio::test]
async fn a_slow_server_is_not_away() {
    let delays = [1200, 2000, 4000].map(Duration::from_millis);
    futures_util::future::join_all(delays.map(|delay| async move {
        let server = AgentServerOnPort::start();
        let proxy = Proxy::start(server.address());
        proxy.inject(usize::MAX, |_| true, Fault::Slow(delay));
        let span = Span::soon(5, 3);
        let cron = Cron::new("slow", &span).says("sleep 6").with("overlap = \"allow\"");
        let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
        let runs = daemon.wait_until_finished_within(PATIENCE * 2, 3).await;
        assert!(runs.iter().all(|run| run.status == "success"), "{delay:?}: {runs:#?}");
        assert_eq!(daemon.json(&["outages"]), Vec::<Value>::new(), "{delay:?}");
        assert!(!daemon.stderr().contains("unreachable"), "{delay:?}: {}", daemon.stderr());
    }))
    .await;
}

/// Nothing depends on the server, so nobody asks it until somebody wants to know.
#[tokio::test]
async fn the_status_of_an_idle_daemon_knows_that_the_server_is_away() {
    let mut server = AgentServerOnPort::start();
    let daemon = Daemon::start(
        &Configuration::new(&server.url()).cron(Cron::bare("idle").with("schedule = \"0 0 1 1 *\"")),
    );
    daemon.wait_for_stderr("daemon ready").await;
    let heard = || {
        let status = daemon.json(&["status"]).remove(0);
        (!status["backend_heard_at"].is_null()).then_some(status)
    };
    let status = daemon.wait_within(PATIENCE, "an answer", heard).await;
    assert_eq!(status["attention"], Value::Array(Vec::new()), "{status:#}");
    server.stop();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let told = || {
        let output = daemon.run_command(&["status"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("agent server"), "the first to ask learns of it: {text}");
        (text.contains("away: connection refused") && output.status.code() == Some(5)).then_some(())
    };
    daemon.wait_within(PATIENCE, "the outage", told).await;
}

/// The newest occurrence supersedes those that wait, so an outage leaves nothing to work off.
#[tokio::test]
async fn after_an_outage_overlap_cancel_starts_the_newest_occurrence() {
    let server = AgentServerOnPort::start();
    let mut proxy = Proxy::start(server.address());
    let cron =
        Cron::bare("newest").says("sleep 600").with("schedule = \"* * * * * */2\"\noverlap = \"cancel\"");
    let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
    let running = |runs: &[RunRecord]| runs.iter().any(|run| run.phase == "running");
    daemon.wait_for_history_within(PATIENCE, "a run", running).await;
    proxy.go_down();
    let since = now();
    let waits = |runs: &[RunRecord]| runs.iter().filter(|run| run.scheduled_for > since).count() >= 5;
    let during = daemon.wait_for_history_within(PATIENCE, "five occurrences", waits).await;
    let superseded = |run: &&RunRecord| run.scheduled_for > since && run.status == "cancelled";
    assert!(during.iter().filter(superseded).count() >= 3, "{during:#?}");
    proxy.come_up();
    let back = now();
    let started = |run: &&RunRecord| run.started_at.is_some_and(|at| at > back);
    let first = |runs: &[RunRecord]| runs.iter().any(|run| started(&run));
    let after = daemon.wait_for_history_within(PATIENCE, "a start", first).await;
    let first = after.iter().filter(started).min_by_key(|run| run.started_at).unwrap();
    let late = first.started_at.unwrap().duration_since(first.scheduled_for);
    assert!(late < SignedDuration::from_secs(9), "{late} {first:#?}");
    let of_outage = after.iter().find(|run| superseded(run)).unwrap();
    assert_eq!(of_outage.reason_code, "cancel_overlap", "{of_outage:#?}");
    let shown = daemon.json(&["show", &of_outage.run_id]).remove(0);
    assert_eq!(shown["outage"]["what"], "backend", "{shown:#}");
}

/// A server that says that it is well, and takes no run, is no outage; `status` tells of it all the same.
#[tokio::test]
async fn a_server_that_takes_no_runs_is_told() {
    for (code, word) in [(500, "unconfirmed"), (429, "pending")] {
        let server = AgentServerOnPort::start();
        let proxy = Proxy::start(server.address());
        let is_start = |request: &ProxiedRequest| request.method == "POST" && request.path.contains("/runs");
        proxy.inject(usize::MAX, is_start, json_answer(code, r#"{"detail": "not now"}"#));
        let cron = Cron::bare("refused").with("schedule = \"* * * * * */5\"\nstart_deadline = \"5m\"");
        let daemon = Daemon::start(&Configuration::new(&proxy.url()).cron(cron));
        let told = || {
            let output = daemon.run_command(&["status"]);
            let text = String::from_utf8(output.stdout).unwrap();
            (text.contains("not taken by the agent server") && output.status.code() == Some(5)).then_some(())
        };
        daemon.wait_within(PATIENCE, word, told).await;
        proxy.heal();
        let is_well = || {
            let status = daemon.json(&["status"]).remove(0);
            status["attention"].as_array().unwrap().iter().all(|one| one["what"] != "unstarted").then_some(())
        };
        daemon.wait_within(PATIENCE * 2, "all is well", is_well).await;
    }
}
