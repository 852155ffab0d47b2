//! Mistakes in the configuration: at the first start, at a start over a database, and at a reload. Each stops only what it
//! must, and whatever may concern the switch of all webhooks holds them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::support::agent_server::AgentServerOnPort;
use super::support::configuration::Cron;
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::receiver::Receiver;

/// One way to spoil the files of [`prepare`].
struct Case {
    name: &'static str,
    spoil: fn(&Path),
    /// What `status` says of it, in one of its lines.
    says: &'static str,
    /// The crons that fire at a first start; `None` if nothing can be started.
    first: Option<&'static [&'static str]>,
    webhooks: Webhooks,
    /// Whether the port is open at a first start.
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Webhooks {
    Sent,
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Open,
    Closed,
}

const ALL: &[&str] = &["good", "main", "victim"];
const OTHERS: &[&str] = &["good", "main"];

const CASES: &[Case] = &[
    Case {
        name: "a syntax error in an included file",
        spoil: |folder| append(folder, "crons.d/bad.toml", "oops"),
        says: "1 cron goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a link that leads nowhere",
        spoil: |folder| {
            fs::remove_file(folder.join("crons.d/bad.toml")).unwrap();
            std::os::unix::fs::symlink("/nowhere", folder.join("crons.d/bad.toml")).unwrap();
        },
        says: "1 cron goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a folder in place of a file",
        spoil: |folder| {
            fs::remove_file(folder.join("crons.d/bad.toml")).unwrap();
            fs::create_dir(folder.join("crons.d/bad.toml")).unwrap();
        },
        says: "1 cron goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a file that is too large",
        spoil: |folder| append(folder, "crons.d/bad.toml", &"#".repeat(17 << 20)),
        says: "1 cron goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a file that is not UTF-8",
        spoil: |folder| fs::write(folder.join("crons.d/bad.toml"), [0xff, 0xfe, 0x00]).unwrap(),
        says: "1 cron goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "an unknown zone",
        spoil: |folder| append(folder, "crons.d/bad.toml", "timezone = \"Europe/Berlim\""),
        says: "cron `victim` goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "an unknown key",
        spoil: |folder| append(folder, "crons.d/bad.toml", "schedul = \"@daily\""),
        says: "cron `victim` goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "an unknown table in an included file",
        spoil: |folder| append(folder, "crons.d/bad.toml", "[corn.other]\nschedule = \"@daily\""),
        says: "crons.d/bad.toml",
        first: Some(ALL),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a name that two files use",
        spoil: |folder| append(folder, "crons.d/zz.toml", &cron("victim", "")),
        says: "cron `victim` goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a table that is given twice",
        spoil: |folder| append(folder, "crons.d/bad.toml", &cron("victim", "")),
        says: "cron `victim` goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a mistake in a cron of the main file",
        spoil: |folder| append(folder, "agentcron.toml", &cron("another", "schedule = 5")),
        says: "cron `another` does not fire",
        first: Some(ALL),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a mistake in [defaults]",
        spoil: |folder| append(folder, "agentcron.toml", "[defaults]\ntimezon = \"UTC\""),
        says: "3 crons go on as they were",
        first: Some(&[]),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a pattern of include that cannot be used",
        spoil: |folder| change(folder, "crons.d/*.toml\"]", "crons.d/good.toml\", \"*/x.toml\"]"),
        says: "1 cron goes on as it was",
        first: Some(OTHERS),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a mistake in [store]",
        spoil: |folder| change(folder, "[store]", "[store]\nvalues_bytes_max = \"x\""),
        says: "the store stays where it is",
        first: Some(ALL),
        webhooks: Webhooks::Sent,
        port: Port::Open,
    },
    Case {
        name: "a switch that is misspelt",
        spoil: |folder| change(folder, "[http]", "[http]\ndisable_webhoks = true"),
        says: "webhooks are held",
        first: Some(ALL),
        webhooks: Webhooks::Held,
        port: Port::Closed,
    },
    Case {
        name: "a switch in the wrong table",
        spoil: |folder| append(folder, "crons.d/bad.toml", "disable_webhooks = true"),
        says: "webhooks are held",
        first: Some(OTHERS),
        webhooks: Webhooks::Held,
        port: Port::Open,
    },
    Case {
        name: "a table that may be [webhooks]",
        spoil: |folder| change(folder, "[webhooks.url]", "[webhoks.url]"),
        says: "webhooks are held",
        first: Some(ALL),
        webhooks: Webhooks::Held,
        port: Port::Closed,
    },
    Case {
        name: "an address that is none",
        spoil: |folder| change(folder, "listen = \"", "listen = \"x"),
        says: "webhooks are held",
        first: Some(ALL),
        webhooks: Webhooks::Held,
        port: Port::Closed,
    },
    Case {
        name: "a secret without a value",
        spoil: |folder| {
            change(
                folder,
                "[webhooks.url]",
                "[webhooks]\nsigning_secrets = [\"${{ env.NOT_SET }}\"]\n[webhooks.url]",
            )
        },
        says: "webhooks are held",
        first: Some(ALL),
        webhooks: Webhooks::Held,
        port: Port::Open,
    },
    Case {
        name: "a mistake in langgraph.json",
        spoil: |folder| append(folder, "langgraph.json", "}"),
        says: "webhooks are held",
        first: Some(ALL),
        webhooks: Webhooks::Held,
        port: Port::Open,
    },
    Case {
        name: "a syntax error in the main file",
        spoil: |folder| append(folder, "agentcron.toml", "[cron.x\n"),
        says: "3 crons go on as they were",
        first: None,
        webhooks: Webhooks::Held,
        port: Port::Closed,
    },
];

fn append(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, format!("{before}{text}\n")).unwrap();
}

fn change(folder: &Path, from: &str, to: &str) {
    let path = folder.join("agentcron.toml");
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{before}");
    fs::write(path, before.replacen(from, to, 1)).unwrap();
}

fn cron(name: &str, lines: &str) -> String {
    Cron::bare(name).with("schedule = \"0 0 1 1 *\"\noverlap = \"allow\"").with(lines).to_string()
}

/// Writes files without a mistake, with three crons whose webhooks go to the receiver.
fn prepare(server: &str, receiver: &Receiver, listen: SocketAddr) -> Daemon {
    let webhook = format!("webhook = \"{}\"", receiver.url("/hook"));
    let main = format!(
        "include = [\"crons.d/*.toml\"]\nlanggraph_json = \"langgraph.json\"\nshutdown_grace = \"1s\"\n\
         [backend]\nurl = \"{server}\"\n[http]\nlisten = \"{listen}\"\n[store]\npath = \"agentcron.db\"\n\
         [webhooks.url]\ndisable_loopback = false\n{}",
        cron("main", &webhook)
    );
    let daemon = Daemon::prepare(&main);
    fs::create_dir(daemon.folder().join("crons.d")).unwrap();
    append(daemon.folder(), "langgraph.json", "{\"graphs\": {}}");
    append(daemon.folder(), "crons.d/good.toml", &cron("good", &webhook));
    append(daemon.folder(), "crons.d/bad.toml", &cron("victim", &webhook));
    daemon
}

fn status(daemon: &Daemon) -> String {
    String::from_utf8(daemon.run_command(&["status"]).stdout).unwrap()
}

fn crons(daemon: &Daemon) -> Vec<String> {
    daemon.json(&["list"]).iter().map(|cron| cron["cron_name"].as_str().unwrap().to_owned()).collect()
}

fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok()
}

async fn wait_until_responds(daemon: &Daemon) {
    let responds =
        || daemon.run_command(&["webhook", "replay", "--status", "failed", "--dry-run"]).status.success();
    daemon.wait_until("the daemon to respond", responds).await;
}

fn count(daemon: &Daemon, sql: &str) -> i64 {
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Triggers every cron that there is, and waits until all these runs have succeeded and their webhooks are where they
/// belong.
async fn assert_fires(daemon: &Daemon, case: &str, names: &[&str], webhooks: Webhooks) {
    assert_eq!(crons(daemon), names, "{case}");
    const SUCCEEDED: &str = "SELECT count(*) FROM runs WHERE status = 'success'";
    let delivered = match webhooks {
        Webhooks::Sent => "SELECT count(*) FROM deliveries WHERE status = 'delivered'",
        Webhooks::Held => "SELECT count(*) FROM deliveries WHERE status = 'pending' AND attempts = 0",
    };
    let before = (count(daemon, SUCCEEDED), count(daemon, delivered));
    for name in names {
        daemon.json(&["trigger", name]);
    }
    let more = i64::try_from(names.len()).unwrap();
    let expected = (before.0 + more, before.1 + more);
    let what = format!("{case}: the runs and their webhooks: {webhooks:?}");
    daemon.wait_until(&what, || (count(daemon, SUCCEEDED), count(daemon, delivered)) == expected).await;
}

/// Asserts what `status`, the metrics and `check` say.
fn assert_told(daemon: &Daemon, case: &Case, says: &str) {
    let status = status(daemon);
    assert!(status.contains(says), "{}: {says:?} in {status}", case.name);
    let is_held = status.contains(": held: ") && status.contains("mend the configuration, and they are sent");
    assert_eq!(is_held, case.webhooks == Webhooks::Held, "{}: {status}", case.name);
    let notice = &daemon.json(&["status"])[0]["notices"][0];
    assert_eq!(notice["kind"], "configuration", "{}: {status}", case.name);
    let check = daemon.run_command(&["check"]);
    let shown = String::from_utf8_lossy(&check.stderr).into_owned();
    if case.name != "a secret without a value" {
        assert!(
            check.status.code() == Some(2) && shown.contains("what follows from it"),
            "{}: {shown}",
            case.name
        );
    }
}

async fn at_the_first_start(case: &Case, server: &str) {
    let (receiver, listen) = (Receiver::start(), free_address());
    let mut daemon = prepare(server, &receiver, listen);
    (case.spoil)(daemon.folder());
    daemon.start_again();
    let Some(first) = case.first else {
        assert_eq!(daemon.wait_for_exit().await.code(), Some(2), "{}", case.name);
        return;
    };
    wait_until_responds(&daemon).await;
    assert_fires(&daemon, case.name, first, case.webhooks).await;
    assert_told(&daemon, case, "");
    assert_eq!(is_open(listen), case.port == Port::Open, "{}", case.name);
}

async fn over_a_database(case: &Case, server: &str) {
    let (receiver, listen) = (Receiver::start(), free_address());
    let mut daemon = prepare(server, &receiver, listen);
    daemon.start_again();
    wait_until_responds(&daemon).await;
    daemon.terminate();
    daemon.wait_for_exit().await;
    (case.spoil)(daemon.folder());
    daemon.start_again();
    wait_until_responds(&daemon).await;
    assert_fires(&daemon, case.name, ALL, case.webhooks).await;
    assert_told(&daemon, case, case.says);
    assert!(is_open(listen), "{}: the port of the last good configuration", case.name);
    daemon.assert_alive();
}

async fn at_a_reload(case: &Case, server: &str) {
    let (receiver, listen) = (Receiver::start(), free_address());
    let mut daemon = prepare(server, &receiver, listen);
    daemon.start_again();
    wait_until_responds(&daemon).await;
    let good = files(daemon.folder());
    (case.spoil)(daemon.folder());
    daemon.wait_for_stderr("configuration has mistakes; what is understood is in force").await;
    // What is told is committed last of all.
    daemon.wait_until("the notice", || status(&daemon).contains(case.says)).await;
    assert_fires(&daemon, case.name, ALL, case.webhooks).await;
    assert_told(&daemon, case, case.says);
    assert!(is_open(listen), "{}: the port of the last good configuration", case.name);
    restore(daemon.folder(), &good);
    let is_mended = || daemon.json(&["status"])[0]["notices"].as_array().is_some_and(Vec::is_empty);
    daemon.wait_until("the mended files to be in force", is_mended).await;
    let delivered = || count(&daemon, "SELECT count(*) FROM deliveries WHERE status = 'delivered'") == 3;
    daemon.wait_until("what was held to be delivered", delivered).await;
    daemon.assert_alive();
}

/// Returns the files with their contents.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let names = ["agentcron.toml", "langgraph.json", "crons.d/good.toml", "crons.d/bad.toml"];
    names.map(|name| (folder.join(name), fs::read(folder.join(name)).unwrap())).to_vec()
}

fn restore(folder: &Path, files: &[(std::path::PathBuf, Vec<u8>)]) {
    let _ = fs::remove_file(folder.join("crons.d/zz.toml"));
    for (path, content) in files {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir(path);
        fs::write(path, content).unwrap();
    }
}

#[tokio::test]
async fn a_mistake_at_the_first_start_stops_only_what_it_must() {
    let server = AgentServerOnPort::start();
    for case in CASES {
        at_the_first_start(case, &server.url()).await;
    }
}

#[tokio::test]
async fn a_mistake_at_a_start_leaves_what_it_concerns_as_it_was() {
    let server = AgentServerOnPort::start();
    for case in CASES {
        over_a_database(case, &server.url()).await;
    }
}

#[tokio::test]
async fn a_mistake_at_a_reload_leaves_what_it_concerns_as_it_was() {
    let server = AgentServerOnPort::start();
    for case in CASES {
        at_a_reload(case, &server.url()).await;
    }
}

#[tokio::test]
async fn the_last_good_agent_server_is_used_only_with_the_secrets_that_it_had() {
    let server = AgentServerOnPort::start();
    let (receiver, listen) = (Receiver::start(), free_address());
    let mut daemon = prepare(&server.url(), &receiver, listen);
    change(daemon.folder(), "[http]", "api_key = \"${{ env.SERVER_KEY }}\"\n[http]");
    // Without a value and without a database, there is no telling how to get in.
    daemon.start_again();
    wait_until_responds(&daemon).await;
    assert!(status(&daemon).contains("no run is sent"), "{}", status(&daemon));
    let run = daemon.json(&["trigger", "good"])[0]["run_id"].as_str().unwrap().to_owned();
    let refused = || {
        let shown = String::from_utf8(daemon.run_command(&["show", &run]).stdout).unwrap();
        shown.contains("[backend] has a mistake")
    };
    daemon.wait_until("the reason why it is not sent", refused).await;
    assert!(server.ledger().is_empty());
    daemon.terminate();
    daemon.wait_for_exit().await;

    daemon.start_with(&[("SERVER_KEY", "sesame")]);
    wait_until_responds(&daemon).await;
    daemon
        .wait_until("the run", || count(&daemon, "SELECT count(*) FROM runs WHERE status = 'success'") == 1)
        .await;
    daemon.terminate();
    daemon.wait_for_exit().await;
    change(daemon.folder(), "[backend]", "[backend]\nurl_of_server = \"x\"");
    daemon.start_with(&[("SERVER_KEY", "sesame")]);
    wait_until_responds(&daemon).await;
    assert!(status(&daemon).contains("[backend] stays as it was"), "{}", status(&daemon));
    assert_fires(&daemon, "the last good [backend]", ALL, Webhooks::Sent).await;
    let database = fs::read(daemon.database()).unwrap();
    assert!(!database.windows(6).any(|part| part == b"sesame"), "no secret is saved");
}

#[tokio::test]
async fn keys_that_are_written_in_the_file_are_not_saved_and_without_them_no_port_is_open() {
    let server = AgentServerOnPort::start();
    let (receiver, listen) = (Receiver::start(), free_address());
    let mut daemon = prepare(&server.url(), &receiver, listen);
    change(daemon.folder(), "[http]", "[http]\napi_keys = [\"0123456789abcdef0123\"]");
    daemon.start_again();
    wait_until_responds(&daemon).await;
    assert!(is_open(listen));
    let saved = "SELECT count(*) FROM last_good_sections WHERE section = 'http' OR body LIKE '%0123456789%'";
    assert_eq!(count(&daemon, saved), 0);
    daemon.terminate();
    daemon.wait_for_exit().await;
    change(daemon.folder(), "[http]", "[http]\nlisen = \"off\"");
    daemon.start_again();
    wait_until_responds(&daemon).await;
    assert!(!is_open(listen));
    assert!(status(&daemon).contains("no port is open"), "{}", status(&daemon));
}

#[tokio::test]
async fn a_webhook_whose_url_has_no_value_waits_for_it_and_its_cron_fires() {
    let server = AgentServerOnPort::start();
    let (receiver, listen) = (Receiver::start(), free_address());
    let mut daemon = prepare(&server.url(), &receiver, listen);
    let bad = daemon.folder().join("crons.d/bad.toml");
    let text = fs::read_to_string(&bad).unwrap();
    fs::write(&bad, text.replace("/hook", "/hook?token=${{ env.HOOK_TOKEN }}")).unwrap();
    daemon.start_again();
    wait_until_responds(&daemon).await;
    daemon.json(&["trigger", "victim"]);
    let webhooks = |daemon: &Daemon| -> Vec<Value> { daemon.json(&["webhook", "list"]) };
    let waits = || webhooks(&daemon).first().is_some_and(|webhook| webhook["reason_code"] == "no_value");
    daemon.wait_until("the webhook to wait", waits).await;
    assert!(
        webhooks(&daemon)[0]["reason"].as_str().unwrap().contains("env.HOOK_TOKEN is not set"),
        "{:?}",
        webhooks(&daemon)
    );
    assert_eq!(webhooks(&daemon)[0]["attempts_made"], 0, "{:?}", webhooks(&daemon));
    assert!(status(&daemon).contains("its webhook waits for the value"), "{}", status(&daemon));
    daemon.terminate();
    daemon.wait_for_exit().await;
    daemon.start_with(&[("HOOK_TOKEN", "sesame")]);
    // It is looked up again within half a minute.
    let delivered = || (webhooks(&daemon)[0]["status"] == "delivered").then_some(());
    daemon.wait_within(Duration::from_secs(60), "the webhook", delivered).await;
    assert_eq!(receiver.received()[0].path, "/hook?token=sesame");
}
