//! Two processes share one database, whose lock is waived, and have files of their own: which of them are in force, and who may
//! run what.

use std::time::Duration;

use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::postgres::Postgres;
use super::support::receiver::Receiver;
use super::support::skipped::skipped;

const SHARED: (&str, &str) = ("AGENTCRON_SHARED_STORE", "1");
/// A lease of ten seconds may have to end first.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(30);

/// Returns a configuration whose daemon has a socket of its own, also with the database of another.
fn with_socket(server: &AgentServerOnPort) -> Configuration {
    Configuration::new(&server.url()).http("socket = \"{folder}/own.sock\"")
}

/// Prepares two daemons with this configuration and the database of the first.
fn two(configuration: &Configuration) -> (Daemon, Daemon) {
    let first = Daemon::prepare(configuration);
    let second = Daemon::prepare(&elsewhere(configuration, &first));
    (first, second)
}

/// Returns the configuration of a daemon that has the database of another.
fn elsewhere(configuration: &Configuration, other: &Daemon) -> String {
    configuration.to_string().replace("{folder}/agentcron.db", other.database().to_str().unwrap())
}

async fn start(daemon: &mut Daemon, environment: &[(&str, &str)]) {
    let before = daemon.stderr().matches("daemon ready").count();
    daemon.start_with(&[&[SHARED], environment].concat());
    daemon
        .wait_until("the daemon to be ready", || daemon.stderr().matches("daemon ready").count() > before)
        .await;
}

/// Returns the crons in force, each with its prompt.
fn crons(daemon: &Daemon) -> Vec<String> {
    let sql = "SELECT name, body FROM crons JOIN definitions USING (definition_id) WHERE removed_at IS NULL ORDER BY name";
    let database = rusqlite::Connection::open(daemon.database_now()).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let named = statement.query_map((), |row| {
        let body: Value = serde_json::from_str(&row.get::<_, String>(1)?).unwrap();
        let prompt = body["input"]["messages"][0]["content"].as_str().unwrap().to_owned();
        Ok(format!("{}: {prompt}", row.get::<_, String>(0)?))
    });
    named.unwrap().map(Result::unwrap).collect()
}

/// Returns the notice about files that are not in force.
fn notice(daemon: &Daemon, kind: &str) -> Option<String> {
    let status = daemon.json(&["status"]);
    let notices = status[0]["notices"].as_array().unwrap().clone();
    let notice = notices.into_iter().find(|notice| notice["kind"] == kind)?;
    Some(notice["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_daemon_that_starts_with_former_files_changes_nothing_until_it_is_told_to() {
    let server = AgentServerOnPort::start();
    former_files(with_socket(&server)).await;
}

#[tokio::test]
async fn so_it_is_on_postgresql() {
    let Some(store) = Postgres::start().unwrap() else {
        return skipped(
            "generations of files on PostgreSQL, because it is not installed (Debian: postgresql)",
        );
    };
    let server = AgentServerOnPort::start();
    former_files(with_socket(&server).on_server(&store.url())).await;
}

async fn former_files(configuration: Configuration) {
    let former = configuration.clone().crons([Cron::yearly("brief").says("one"), Cron::yearly("other")]);
    let newer = configuration.crons([Cron::yearly("brief").says("two"), Cron::yearly("third")]);
    let (mut a, mut b) = two(&former);
    start(&mut a, &[]).await;
    start(&mut b, &[]).await;
    assert!(a.stderr().contains("files adopted for all daemons generation=1"), "{}", a.stderr());
    assert!(!b.stderr().contains("adopted"), "{}", b.stderr());

    let crons_now = ["brief: two", "third: hi"];
    a.write_config(&newer);
    a.wait_until("the newer files to be in force", || crons(&a) == crons_now).await;
    b.wait_within(FOLLOWED_WITHIN, "the other one to follow", || {
        b.stderr().contains("another daemon's files followed").then_some(())
    })
    .await;
    let told = b.wait_within(FOLLOWED_WITHIN, "a notice", || notice(&a, "files")).await;
    assert!(told.contains("the files here are those of generation 1; in force is generation 2"), "{told}");

    // Its files have changed, but only their comments.
    b.write_config(&format!("# A comment.\n{}", elsewhere(&former, &a)));
    b.kill9();
    start(&mut b, &[]).await;
    assert!(
        b.stderr().contains("files not adopted; they are those of an earlier generation"),
        "{}",
        b.stderr()
    );
    assert_eq!(crons(&a), crons_now);

    // A deliberate way back, by the daemon that has the former files still.
    b.signal("HUP");
    a.wait_until("the former files to be in force", || crons(&a) == ["brief: one", "other: hi"]).await;
    let told = a.wait_within(FOLLOWED_WITHIN, "a notice about the other one", || {
        notice(&a, "files").filter(|told| told.contains("generation 3"))
    });
    assert!(told.await.contains("the files here are those of generation 2"));
    a.write_config(&former);
    a.wait_within(FOLLOWED_WITHIN, "no notice", || notice(&a, "files").is_none().then_some(())).await;
    assert_eq!(b.stderr().matches("generation=4").count() + a.stderr().matches("generation=4").count(), 0);
}

#[tokio::test]
async fn what_needs_a_variable_is_run_and_reported_by_the_daemon_that_has_it() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let hook = receiver.url("/hook/${{ env.HOOK }}");
    let configuration = with_socket(&server)
        .cron(Cron::yearly("needs").says("say ${{ env.TOKEN }}").webhook(&hook).runs_every_occurrence())
        .cron(Cron::yearly("plain"));
    let (mut lacks, mut has) = two(&configuration);
    // Its own files are a generation all the same.
    start(&mut lacks, &[]).await;
    start(&mut has, &[("TOKEN", "t0ken"), ("HOOK", "h00k")]).await;
    assert_eq!(crons(&lacks), ["needs: say ${{ env.TOKEN }}", "plain: hi"]);
    assert!(!has.stderr().contains("adopted"), "{}", has.stderr());
    let mistakes = notice(&lacks, "configuration").unwrap();
    assert!(
        mistakes.contains("the runs of cron `needs` are left to daemons that have the value"),
        "{mistakes}"
    );

    let missing = || {
        let database = rusqlite::Connection::open(lacks.database()).unwrap();
        let sql = "SELECT group_concat(missing_env, '|') FROM (SELECT missing_env FROM daemons WHERE host IS NOT NULL ORDER BY number)";
        database.query_row(sql, (), |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
    };
    lacks
        .wait_within(FOLLOWED_WITHIN, "both to say what they lack", || {
            (missing() == "env.HOOK env.TOKEN|").then_some(())
        })
        .await;
    // They are asked for at the daemon that cannot start them.
    for _ in 0..12 {
        assert!(lacks.run_command(&["trigger", "needs"]).status.success());
    }
    let runs = lacks
        .wait_for_history_within(FOLLOWED_WITHIN, "all runs to be reported", |runs| {
            runs.len() == 12 && runs.iter().all(|run| run.is_finished())
        })
        .await;
    assert!(runs.iter().all(|run| run.status == "success"), "{runs:#?}");
    assert_eq!(receiver.received().len(), 12);
    assert!(receiver.received().iter().all(|webhook| webhook.path == "/hook/h00k"));

    // Nobody has it any more: it ends as it does where there is one daemon.
    has.terminate();
    assert!(has.wait_for_exit().await.success());
    let asked = lacks.run_command(&["trigger", "needs"]);
    assert!(asked.status.success(), "{asked:?}");
    let runs = lacks
        .wait_for_history_within(FOLLOWED_WITHIN, "the last run to end", |runs| {
            runs.len() == 13
                && runs.iter().any(|run| run.reason_code == "placeholder" && run.phase == "ended")
        })
        .await;
    let failed = runs.iter().find(|run| run.status == "error").unwrap();
    assert!(failed.reason.contains("env.TOKEN is not set"), "{failed:#?}");
}

#[tokio::test]
async fn the_switch_of_all_webhooks_belongs_to_the_generation_and_a_daemon_can_turn_off_its_own() {
    let (server, receiver) = (AgentServerOnPort::start(), Receiver::start());
    let configuration = |switch: bool| {
        let cron = Cron::yearly("brief").webhook(&receiver.url("/hook")).runs_every_occurrence();
        with_socket(&server).http(&format!("disable_webhooks = {switch}")).cron(cron)
    };
    let (mut a, mut b) = two(&configuration(false));
    // This one sends none, whatever the files say.
    start(&mut a, &[("AGENTCRON_DISABLE_WEBHOOKS", "true")]).await;
    start(&mut b, &[]).await;
    assert!(a.stderr().contains("webhooks left to other daemons"), "{}", a.stderr());
    let triggered = async |daemon: &Daemon, count: usize, status: &str| {
        assert!(daemon.run_command(&["trigger", "brief"]).status.success());
        let is_done = |runs: &[super::support::history::RunRecord]| {
            runs.len() == count && runs.iter().all(|run| run.is_finished())
        };
        let runs = a.wait_for_history_within(FOLLOWED_WITHIN, "the webhook to end", is_done).await;
        let webhooks =
            runs.iter().filter(|run| run.webhook.as_ref().is_some_and(|webhook| webhook.status == status));
        webhooks.count()
    };
    assert_eq!(triggered(&a, 1, "delivered").await, 1);
    assert_eq!(triggered(&b, 2, "delivered").await, 2);
    b.write_config(&elsewhere(&configuration(true), &a));
    let disabled = || {
        let database = rusqlite::Connection::open(a.database()).unwrap();
        let sql = "SELECT disabled_at IS NOT NULL FROM delivery_mode";
        database.query_row(sql, (), |row| row.get::<_, bool>(0)).unwrap()
    };
    a.wait_within(FOLLOWED_WITHIN, "webhooks to be disabled", || disabled().then_some(())).await;
    a.wait_within(FOLLOWED_WITHIN, "the other one to follow", || {
        a.stderr().contains("another daemon's files followed").then_some(())
    })
    .await;
    assert_eq!(triggered(&a, 3, "suppressed").await, 1);
    assert_eq!(receiver.received().len(), 2);
    b.write_config(&elsewhere(&configuration(false), &a));
    a.wait_within(FOLLOWED_WITHIN, "webhooks to be enabled", || (!disabled()).then_some(())).await;
}
