//! A night in which everything breaks once, and the questions of the morning after it: each is answered by one documented
//! command, and the answer is compared with the books of this test.
//!
//! What runs cost in tokens and money is asked in the morning too; agentcron does not know it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::history::RunRecord;
use super::support::real_server::RealServer;
use super::support::receiver::{Receiver, Reply};
use super::support::soak;
use super::support::span::now;

/// The last webhooks wait for the probe of a circuit breaker, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);
/// How much later than it happens something may be noticed on a busy machine; quiet, it is less than 5 s.
const NOTICED_WITHIN: SignedDuration = SignedDuration::from_secs(15);
/// The crons, and every how many seconds each occurs.
const CRONS: [(&str, i64); 5] =
    [("health", 4), ("inbox", 5), ("report", 5), ("approval", 20), ("digest", 15)];

/// From when until when something was so, by the clock of the test.
type Span = (Timestamp, Timestamp);

/// What happened, by the test's own account.
struct Books {
    ready_at: Timestamp,
    graph_failed: Span,
    digest_edited: Span,
    receiver_failed: Span,
    backend_away: Span,
    /// Until then it answered nobody.
    backend_started: Timestamp,
    killed: Span,
    stopped: Span,
    /// The morning: what is due later is not asked about.
    end: Timestamp,
}

#[tokio::test]
async fn every_question_of_the_morning_has_one_command_that_answers_it() {
    let mut night = Night::begin();
    let books = night.pass().await;
    let morning = Morning { daemon: &night.daemon, books: &books, until: books.end.to_string() };
    morning.every_occurrence_is_told_once();
    morning.what_failed_and_why();
    morning.what_was_lost_to_the_agent_server();
    morning.what_was_missed();
    morning.overlap_is_said_of_runs_that_were_going();
    morning.when_was_what_away();
    morning.did_the_webhooks_arrive(&night.receiver);
    morning.which_cron_is_slow_or_flaky();
    morning.what_was_changed();
    morning.what_comes_next();
    morning.the_log_tells_it_too();
}

struct Night {
    server: RealServer,
    receiver: Receiver,
    daemon: Daemon,
}

impl Night {
    fn begin() -> Self {
        let server = RealServer::start();
        let receiver = Receiver::start();
        let daemon = Daemon::prepare(&configuration(&server, &receiver, "20s"));
        Self { server, receiver, daemon }
    }

    /// Lets everything break, one after the other.
    async fn pass(&mut self) -> Books {
        self.daemon.start_again();
        self.daemon.wait_for_stderr("ready").await;
        let ready_at = now();
        self.ends("success", "digest", ready_at).await;

        let broken = self.server.file("broken");
        let failed_from = now();
        std::fs::write(&broken, "").unwrap();
        self.lasts(8).await;
        std::fs::remove_file(&broken).unwrap();
        let graph_failed = (failed_from, now());
        self.ends("success", "health", graph_failed.1).await;

        let edit_begins = now();
        self.daemon.write_config(&configuration(&self.server, &self.receiver, "30s"));
        self.daemon.wait_for_stderr("configuration reloaded").await;
        let digest_edited = (edit_begins, now());

        let away_from = now();
        self.receiver.reply_always(Reply::status(500));
        self.lasts(12).await;
        self.receiver.reply_always(Reply::status(200));
        let receiver_failed = (away_from, now());

        let away_from = now();
        self.server.stop();
        self.lasts(20).await;
        let backend_started = now();
        self.server.start_again();
        let backend_away = (away_from, now());
        self.ends("success", "inbox", backend_away.1).await;
        self.lasts(6).await;

        let killed_at = now();
        self.daemon.kill9();
        self.daemon.start_again();
        self.daemon
            .wait_until("the second start", || self.daemon.stderr().matches("ready").count() == 2)
            .await;
        let killed = (killed_at, now());
        self.ends("success", "health", killed.1).await;

        let stopped_at = now();
        self.daemon.terminate();
        self.daemon.wait_for_exit().await;
        self.lasts(soak::length(Duration::from_secs(16), Duration::from_secs(60)).as_secs()).await;
        self.daemon.start_again();
        self.daemon
            .wait_until("the third start", || self.daemon.stderr().matches("ready").count() == 3)
            .await;
        let stopped = (stopped_at, now());
        self.ends("success", "report", stopped.1).await;

        let end = now();
        let is_over = |runs: &[RunRecord]| {
            runs.iter().filter(|run| run.scheduled_for < end).all(|run| run.is_finished())
        };
        self.daemon.wait_for_history_within(PATIENCE, "the end of the night", is_over).await;
        Books {
            ready_at,
            graph_failed,
            digest_edited,
            receiver_failed,
            backend_away,
            backend_started,
            killed,
            stopped,
            end,
        }
    }

    /// Waits for the end of a run that was due after `since`.
    async fn ends(&self, status: &str, cron: &str, since: Timestamp) {
        let is_it =
            |run: &RunRecord| run.cron_name == cron && run.status == status && run.scheduled_for > since;
        let what = format!("a run of {cron} that ends as {status}");
        self.daemon.wait_for_history_within(PATIENCE, &what, |runs| runs.iter().any(is_it)).await;
    }

    async fn lasts(&self, seconds: u64) {
        let until = now() + SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        self.daemon.wait_within(PATIENCE, "time to pass", || (now() > until).then_some(())).await;
    }
}

fn configuration(server: &RealServer, receiver: &Receiver, timeout_of_digest: &str) -> String {
    let broken = format!("fails while {}", server.file("broken").display());
    let cron = |name: &str| {
        let every = CRONS.iter().find(|(known, _)| *known == name).unwrap().1;
        Cron::bare(name).with(&format!("schedule = \"* * * * * */{every}\""))
    };
    let url = receiver.url("/hook");
    let crons = [
        cron("health").says(&broken),
        cron("inbox").says("sleep 1").webhook(&url),
        cron("report").says("sleep 6"),
        cron("approval").assistant("asker").webhook(&url),
        cron("digest").webhook(&url).with(&format!("timeout = \"{timeout_of_digest}\"")),
    ];
    Configuration::new(&server.url()).crons(crons).to_string()
}

/// The morning after a night: the daemon runs, and everything of the night has ended.
struct Morning<'n> {
    daemon: &'n Daemon,
    books: &'n Books,
    until: String,
}

impl Morning<'_> {
    /// Returns what `history` shows of the night with these options.
    fn history(&self, options: &[&str]) -> Vec<Value> {
        self.daemon.json(&[&["history", "--until", &self.until], options].concat())
    }

    /// Returns what a command prints for a person.
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.daemon.run_command(arguments);
        String::from_utf8(output.stdout).unwrap()
    }

    fn every_occurrence_is_told_once(&self) {
        let mut told = BTreeMap::<(String, i64), u64>::new();
        for run in self.history(&[]) {
            let name = text(&run, "cron_name");
            let every = CRONS.iter().find(|(known, _)| *known == name).unwrap().1;
            let (first, last) = (at(&run, "scheduled_for"), at_option(&run, "last_scheduled_for"));
            let last = last.unwrap_or(first).as_second();
            let covered: Vec<i64> =
                (first.as_second()..=last).step_by(usize::try_from(every).unwrap()).collect();
            assert_eq!(covered.len() as u64, run["occurrences"].as_u64().unwrap(), "{run}");
            for second in covered {
                *told.entry((name.clone(), second)).or_default() += 1;
            }
        }
        for (name, every) in CRONS {
            let first = self.books.ready_at.as_second() / every + 1;
            let last = (self.books.end.as_second() - 1) / every;
            for second in (first..=last).map(|index| index * every) {
                assert_eq!(told.get(&(name.to_owned(), second)), Some(&1), "{name} at {second}");
            }
        }
    }

    /// `history --failed`: the graph of `health` failed as long as its file was there, and nothing else did.
    fn what_failed_and_why(&self) {
        let failed = self.history(&["--failed"]);
        let by_graph: Vec<_> = failed.iter().filter(|run| run["reason_code"] == "graph_error").collect();
        assert!(by_graph.len() >= 2, "{failed:#?}");
        let (from, until) = self.books.graph_failed;
        for run in &by_graph {
            assert_eq!(run["cron_name"], "health", "{run}");
            assert_eq!(
                (&run["error"]["error"], &run["error"]["message"]),
                (&"ValueError".into(), &"boom".into())
            );
            let scheduled_for = at(run, "scheduled_for");
            assert!(scheduled_for > from - NOTICED_WITHIN && scheduled_for < until, "{run}");
        }
        let (first, last) = (by_graph.first().unwrap(), by_graph.last().unwrap());
        let meant = (from.as_second() / 4 + 1..=(until.as_second() - 2) / 4).map(|index| index * 4);
        for second in meant {
            let found = by_graph.iter().any(|run| at(run, "scheduled_for").as_second() == second);
            assert!(found, "{second} is not between {first} and {last}");
        }
        let shown = self.text(&["show", "health"]);
        assert!(shown.contains("ValueError: boom"), "{shown}");
        let explained = self.text(&["explain", "health", "--at", &text(first, "scheduled_for")]);
        assert!(explained.contains("ValueError: boom"), "{explained}");
        for run in failed.iter().filter(|run| run["reason_code"] != "graph_error") {
            let code = text(run, "reason_code");
            assert!(["backend_away", "daemon_down", "lost"].contains(&code.as_str()), "{run:#}");
        }
    }

    /// `history --reason backend_away`: what did not run, or not in time, because the agent server was away.
    fn what_was_lost_to_the_agent_server(&self) {
        let (from, until) = self.books.backend_away;
        let lost = self.history(&["--reason", "backend_away"]);
        assert!(!lost.is_empty());
        for run in &lost {
            assert!(within(at(run, "scheduled_for"), (from, until)), "{run:#}");
            self.is_about(run, "backend", (from, until));
            let reason = text(run, "reason");
            assert!(!reason.contains("os error") && !reason.contains("client error"), "{reason}");
        }
        let example = lost.last().unwrap();
        let explained =
            self.text(&["explain", &text(example, "cron_name"), "--at", &text(example, "scheduled_for")]);
        assert!(explained.contains("away"), "{explained}");
        let shown = self.text(&["show", &text(example, "run_id")]);
        assert!(shown.contains("away"), "{shown}");
        // What was due while it was away either says so, or ran all the same.
        for run in self.history(&[]) {
            let inside = self.is_known_to_be_away(at(&run, "scheduled_for"));
            if inside && run["status"] != "success" && run["status"] != "interrupted" {
                assert_eq!(run["reason_code"], "backend_away", "{run:#}");
            }
        }
    }

    /// `history --status missed`: what nobody could start, because the daemon was stopped.
    fn what_was_missed(&self) {
        let missed = self.history(&["--status", "missed"]);
        assert!(missed.iter().any(|run| run["cron_name"] == "health"), "{missed:#?}");
        for run in &missed {
            assert_eq!(run["reason_code"], "daemon_down", "{run:#}");
            assert!(within(at(run, "scheduled_for"), self.books.stopped), "{run:#}");
            self.is_about(run, "daemon", self.books.stopped);
        }
    }

    /// Whether the agent server answered nobody then, and that had been noticed.
    fn is_known_to_be_away(&self, at: Timestamp) -> bool {
        at > self.books.backend_away.0 + NOTICED_WITHIN && at < self.books.backend_started
    }

    /// Checks that the outage which a run names is the one in the books.
    fn is_about(&self, run: &Value, what: &str, span: Span) {
        let outage = &run["outage"];
        assert_eq!(outage["what"], what, "{run:#}");
        let (since, until) = (at(outage, "since"), at(outage, "until"));
        assert!(within(since, span) && within(until, span), "{span:?}: {run:#}");
    }

    fn overlap_is_said_of_runs_that_were_going(&self) {
        let all = self.history(&[]);
        let overlaps: Vec<_> = all.iter().filter(|run| run["reason_code"] == "overlap").collect();
        assert!(overlaps.iter().any(|run| run["cron_name"] == "report"), "it takes longer than its interval");
        for skipped in overlaps {
            let due = at(skipped, "scheduled_for");
            let was_going = |run: &&Value| {
                let (started_at, ended_at) = (at_option(run, "started_at"), at_option(run, "ended_at"));
                // The end is learnt a moment after it.
                let ended_at = ended_at.map(|ended_at| ended_at + SignedDuration::from_secs(2));
                run["cron_name"] == skipped["cron_name"]
                    && started_at.is_some_and(|at| at <= due)
                    && ended_at.is_some_and(|at| at >= due)
            };
            let is_true = all.iter().any(|run| was_going(&run)) && !self.is_known_to_be_away(due);
            assert!(is_true, "{skipped:#}");
        }
    }

    /// `outages`: each of them once, with its times and its cause, and none that was not.
    fn when_was_what_away(&self) {
        let outages = self.daemon.json(&["outages"]);
        let Books { receiver_failed, backend_away, killed, stopped, .. } = self.books;
        // The breaker of the receiver lets one webhook through after a quarter of its absence.
        let breaker = SignedDuration::from_secs(45);
        let expected = [
            ("backend", *backend_away, "connection refused"),
            ("receiver", (receiver_failed.0, receiver_failed.1 + breaker), "500"),
            ("daemon", (killed.0 - SignedDuration::from_secs(30), killed.1), "killed"),
            ("daemon", *stopped, "stopped"),
        ];
        for (what, span, why) in expected {
            let is_it = |outage: &&Value| outage["what"] == what && text(outage, "why").contains(why);
            let found: Vec<_> = outages.iter().filter(is_it).collect();
            let [outage] = found[..] else { panic!("{what}, {why}: {outages:#?}") };
            let (since, until) = (at(outage, "since"), at(outage, "until"));
            assert!(within(since, span) && within(until, span) && since < until, "{span:?}: {outage:#}");
            let lasted = until.duration_since(since);
            assert!(what != "backend" || lasted >= SignedDuration::from_secs(14), "{outage:#}");
        }
        assert_eq!(outages.len(), expected.len(), "{outages:#?}");
    }

    /// `webhook list`: all arrived, and those say so that needed several attempts.
    fn did_the_webhooks_arrive(&self, receiver: &Receiver) {
        let arrived: Vec<String> =
            receiver.received().iter().map(|request| request.header("webhook-id").to_owned()).collect();
        let (from, until) = self.books.receiver_failed;
        for webhook in self.daemon.json(&["webhook", "list"]) {
            let run_id = text(&webhook, "run_id");
            let [run] = &self.daemon.json(&["show", &run_id])[..] else { panic!("{run_id}") };
            if at(run, "scheduled_for") >= self.books.end {
                continue;
            }
            assert_eq!(webhook["status"], "delivered", "{webhook:#}");
            assert!(arrived.contains(&format!("msg_{run_id}")), "{webhook:#}");
            let ended_at = at(run, "ended_at");
            let inside = ended_at > from + SignedDuration::from_secs(1)
                && ended_at < until - SignedDuration::from_secs(1);
            // Each was tried in vain, or waited for the breaker: none can have arrived meanwhile.
            let arrived_at = at(&webhook, "ended_at") + SignedDuration::from_secs(1);
            assert!(!inside || arrived_at >= until, "{webhook:#}");
        }
    }

    /// `list`: the report is the slowest, and health the one that failed.
    fn which_cron_is_slow_or_flaky(&self) {
        let crons = self.daemon.json(&["list"]);
        let recent = |name: &str| {
            let cron = crons.iter().find(|cron| cron["cron_name"] == name).unwrap();
            let number = |key: &str| cron["recent"][key].as_i64().unwrap();
            (number("runs"), number("ok"), number("p50_ms"), number("p95_ms"))
        };
        let (_, _, report, _) = recent("report");
        assert!((6000..30_000).contains(&report), "{report}");
        for name in ["health", "inbox", "approval", "digest"] {
            let (runs, succeeded, p50, p95) = recent(name);
            assert!(p50 < report && p50 <= p95, "{name}: {p50} {p95}");
            assert!(name != "health" || succeeded + 2 <= runs, "{succeeded} of {runs}");
        }
        let table = self.text(&["list", "--columns", "cron,ok,p50,p95"]);
        assert!(table.contains(" s ") && table.contains('/'), "{table}");
    }

    /// `show digest`: its timeout was changed, and when.
    fn what_was_changed(&self) {
        let [digest] = &self.daemon.json(&["show", "digest"])[..] else { panic!("one cron") };
        let versions = digest["versions"].as_array().unwrap();
        assert_eq!(versions.len(), 2, "{versions:#?}");
        assert_eq!(
            (&versions[0]["changed"], &versions[1]["changed"]),
            (&["timeout"].into(), &Value::Array(vec![]))
        );
        let (from, until) = self.books.digest_edited;
        let since = at(&versions[0], "since");
        assert!(since >= from && since <= until, "{since}");
        let shown = self.text(&["show", "digest"]);
        assert!(
            shown.lines().any(|line| line.starts_with("changed") && line.ends_with(": timeout")),
            "{shown}"
        );
    }

    fn what_comes_next(&self) {
        let next = self.daemon.json(&["next", "-n", "40"]);
        for (name, every) in CRONS {
            let mine: Vec<_> = next.iter().filter(|next| next["cron_name"] == name).collect();
            assert!(
                !mine.is_empty() && mine.iter().all(|next| at(next, "at").as_second() % every == 0),
                "{next:#?}"
            );
        }
    }

    /// The log has a line for each beginning and end of an outage, and one for each run that went wrong.
    fn the_log_tells_it_too(&self) {
        let log = self.daemon.stderr();
        let loud = log.lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR"));
        let (mut runs, mut others) = (Vec::new(), Vec::new());
        for line in loud {
            if line.contains("agentcron::runs: run ") { runs.push(line) } else { others.push(line) }
        }
        for run in self.history(&["--status", "error,timeout,missed,interrupted"]) {
            let id = text(&run, "run_id");
            let lines = runs.iter().filter(|line| line.contains(&id)).count();
            // What could not be started is told by the line of the outage.
            assert!(lines == 1 || run["reason_code"] == "backend_away" && lines == 0, "{lines}: {run:#}");
        }
        for beginning in
            ["backend unreachable: ", "receiver http://127.0.0.1", "the former daemon was not stopped"]
        {
            let lines = others.extract_if(.., |line| line.contains(beginning)).count();
            assert_eq!(lines, 1, "{beginning}: {log}");
        }
        for end in ["backend reachable again after ", "receiver http://127.0.0.1"] {
            let is_end = |line: &&str| line.contains(end) && line.contains(" reachable again after ");
            assert_eq!(log.lines().filter(is_end).count(), 1, "{end}: {log}");
        }
        assert!(others.is_empty(), "{others:#?}");
    }
}

fn within(at: Timestamp, (from, until): Span) -> bool {
    at >= from - SignedDuration::from_secs(2) && at <= until + NOTICED_WITHIN
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_else(|| panic!("{key} of {object:#}")).to_owned()
}

fn at(object: &Value, key: &str) -> Timestamp {
    text(object, key).parse().unwrap()
}

fn at_option(object: &Value, key: &str) -> Option<Timestamp> {
    object[key].as_str().map(|at| at.parse().unwrap())
}
