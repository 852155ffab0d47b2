//! Clients that open connections and send nothing, or next to nothing, or millions of values: others are served meanwhile,
//! crons start on time, memory stays bounded, and a stop is quick.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::support::client::Client;
use super::support::configuration::{Configuration, Cron};
use super::support::daemon::Daemon;
use super::support::free_port::free_address;
use super::support::memory::Memory;
use super::support::receiver::{Receiver, Reply};
use super::support::span::Span;

const KEY: &str = "key-of-those-who-may";
/// A flood without bounds takes its toll for 20 s or more.
const PROMPTLY: Duration = Duration::from_secs(8);
/// How much the memory may grow.
const GROWTH_BYTES_MAX: u64 = 100 << 20;
/// The paths that read a body, each in a way of its own.
const PATHS: [&str; 6] = [
    "/v1/crons/quiet/pause",
    "/runs/crons",
    "/threads/0e5a6cf1-9d1c-5d0b-8a51-52b8b1b7a1f0/runs/crons",
    "/runs",
    "/threads/search",
    "/a2a/agent",
];

/// Starts a daemon in front of a backend that refuses all runs.
async fn daemon(address: SocketAddr, http: &str, crons: Vec<Cron>) -> (Daemon, Receiver) {
    let backend = Receiver::start();
    backend.reply_always(Reply::status(422));
    let http = format!("listen = \"{address}\"\n{http}");
    let daemon = Daemon::start(&Configuration::new(&backend.url("")).http(&http).crons(crons));
    Client::new(address).ready().await;
    (daemon, backend)
}

/// Opens a connection and sends only this. The test may not have so many files open, and the daemon may close it at once.
async fn send(address: SocketAddr, sent: &str) -> Option<TcpStream> {
    let mut stream = timeout(PROMPTLY, TcpStream::connect(address)).await.ok()?.ok()?;
    let _ = stream.write_all(sent.as_bytes()).await;
    Some(stream)
}

/// The head of a request whose body does not come; `key` is the header of a key, or empty.
fn silent(path: &str, key: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: 1000\r\n\r\n")
}

async fn opened(address: SocketAddr, heads: Vec<String>) -> Vec<TcpStream> {
    let streams = join_all(heads.iter().map(|head| send(address, head))).await;
    streams.into_iter().flatten().collect()
}

/// Sends a byte over each connection every second, for ever.
async fn drip(mut streams: Vec<TcpStream>) {
    loop {
        for stream in &mut streams {
            let _ = stream.write_all(b"1\r\n \r\n").await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn dripping(path: &str, key: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{key}Transfer-Encoding: chunked\r\n\r\n")
}

/// Asks again and again over new connections, and returns how long the slowest answer took.
async fn slowest(times: usize, ask: impl AsyncFn() -> u16, expected: u16) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..times {
        let started = Instant::now();
        assert_eq!(timeout(PROMPTLY, ask()).await.ok(), Some(expected));
        slowest = slowest.max(started.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    slowest
}

async fn stops_promptly(daemon: &mut Daemon) -> Duration {
    let started = Instant::now();
    daemon.terminate();
    assert!(daemon.exit_within(PROMPTLY).await.is_some_and(|status| status.success()));
    started.elapsed()
}

#[tokio::test]
async fn connections_without_a_key_keep_out_nobody_with_one() {
    let address = free_address();
    let span = Span::soon(1, 8);
    let keys = format!("api_keys = [\"{KEY}\"]");
    let cron = Cron::new("tick", &span).with("overlap = \"allow\"\ncatchup = \"all\"");
    let (mut daemon, _backend) = daemon(address, &keys, vec![cron]).await;
    let memory = Memory::of(&daemon);
    let ask = async || Client::new(address).with("x-api-key", KEY).get("/healthz").await.status;
    let flood = async {
        let mut streams = Vec::new();
        for _ in 0..21 {
            streams.extend(opened(address, vec![String::new(); 100]).await);
        }
        streams.extend(opened(address, vec!["GET /healthz HTTP/1.1\r\nHost: loc".to_owned(); 200]).await);
        streams.extend(
            opened(address, (0..60).map(|index| silent(PATHS[index % PATHS.len()], "")).collect()).await,
        );
        let drips = drip(
            opened(address, (0..12).map(|index| dripping(PATHS[index % PATHS.len()], "")).collect()).await,
        );
        let asked = async {
            let slowest = slowest(40, ask, 200).await;
            daemon.wait_for_history("all occurrences", |runs| runs.len() == 8).await;
            slowest
        };
        let slowest = tokio::select! {
            () = drips => unreachable!("it drips for ever"),
            slowest = asked => slowest,
        };
        (streams, slowest)
    };
    let (most, (streams, slowest)) = memory.most_during(flood).await;
    let grown = most.saturating_sub(memory.before);
    let late = daemon.history().iter().map(|run| run.ended_at.unwrap() - run.scheduled_for).max().unwrap();
    let stopped = stops_promptly(&mut daemon).await;
    eprintln!("slowest {slowest:?}, late {late:?}, grown {} KiB, stopped {stopped:?}", grown >> 10);
    assert!(streams.len() > 500, "{}", streams.len());
    assert!(late < jiff::SignedDuration::from_secs(3), "{late:?}");
    assert!(grown < GROWTH_BYTES_MAX, "{grown}");
    let warnings = daemon.stderr().matches("dropped to make room").count();
    assert!((1..3).contains(&warnings), "{warnings} lines about it");
}

#[tokio::test]
async fn bodies_that_do_not_arrive_delay_no_other_and_are_answered() {
    let address = free_address();
    let (keys, key) = (format!("api_keys = [\"{KEY}\"]"), format!("x-api-key: {KEY}\r\n"));
    let (mut daemon, _backend) =
        daemon(address, &keys, vec![Cron::bare("quiet").with("schedule = \"0 0 1 1 *\"")]).await;
    let (started, mut silent) =
        (Instant::now(), opened(address, PATHS.map(|path| silent(path, &key)).to_vec()).await);
    let drips = drip(opened(address, vec![dripping("/runs", &key); 9]).await);
    let ask = async || {
        Client::new(address)
            .with("x-api-key", KEY)
            .post("/runs", &serde_json::json!({"assistant_id": "agent"}))
            .await
            .status
    };
    let answers = async {
        let slowest = slowest(10, ask, 422).await;
        let answers = silent.iter_mut().map(async |stream| {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.map(|_| String::from_utf8_lossy(&answer).into_owned()).ok()
        });
        (slowest, timeout(Duration::from_secs(60), join_all(answers)).await.unwrap())
    };
    let (slowest, answers) = tokio::select! {
        () = drips => unreachable!("it drips for ever"),
        answers = answers => answers,
    };
    eprintln!("slowest {slowest:?}, answered after {:?}", started.elapsed());
    assert_eq!(answers, vec![Some("HTTP/1.1 408".to_owned()); PATHS.len()]);
    let mut half = opened(address, PATHS.map(|path| self::silent(path, &key)).to_vec()).await;
    half.extend(opened(address, vec!["GET /healthz HTTP/1.1\r\nHost: loc".to_owned(); 5]).await);
    ask().await;
    eprintln!("stopped {:?}", stops_promptly(&mut daemon).await);
}

#[tokio::test]
async fn probes_without_a_key_are_answered_and_take_no_place_of_those_with_one() {
    let address = free_address();
    let (mut daemon, _backend) = daemon(address, &format!("api_keys = [\"{KEY}\"]"), Vec::new()).await;
    let probe = "GET /healthz HTTP/1.1\r\nHost: 10.0.0.7\r\n";
    // More than there are places for clients with a key; each is answered, and its connection ends.
    for _ in 0..20 {
        for stream in &mut opened(address, vec![format!("{probe}\r\n"); 100]).await {
            let mut answer = Vec::new();
            timeout(PROMPTLY, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
        }
    }
    // Those that send a body, or never end their request, keep out nobody.
    let mut half = opened(address, vec![probe.to_owned(); 300]).await;
    half.extend(opened(address, vec![format!("{probe}Content-Length: 1000000\r\n\r\nx"); 300]).await);
    slowest(10, async || Client::new(address).with("x-api-key", KEY).get("/v1/status").await.status, 200)
        .await;
    slowest(10, async || Client::new(address).get("/readyz").await.status, 200).await;
    assert_eq!(Client::new(address).get("/v1/status").await.status, 401);
    stops_promptly(&mut daemon).await;
}

#[tokio::test]
async fn bodies_of_many_values_keep_neither_others_waiting_nor_memory() {
    // A debug build takes ten times as long as what is delivered.
    const BYTES: usize = if cfg!(debug_assertions) { 4 << 20 } else { 16 << 20 };
    let address = free_address();
    let (daemon, _backend) = daemon(address, "", Vec::new()).await;
    let memory = Memory::of(&daemon);
    let webhook = "\"assistant_id\":\"agent\",\"webhook\":\"https://a.example/x\"";
    let body = format!("{{{webhook}{}}}", ",\"\":1".repeat(BYTES / 5 - webhook.len()));
    let post = async || Client::new(address).send("POST", "/runs", body.clone()).await.status;
    let work = async {
        let health = async || Client::new(address).get("/healthz").await.status;
        futures_util::future::join(join_all((0..8).map(|_| post())), slowest(20, health, 200)).await
    };
    let (most, (statuses, slowest)) = memory.most_during(work).await;
    let grown = most.saturating_sub(memory.before);
    eprintln!("slowest {slowest:?}, grown {} KiB", grown >> 10);
    assert_eq!(statuses, [422; 8]);
    // The bodies themselves, as they came and rewritten, and what reads and writes them.
    assert!(grown < u64::try_from(BYTES).unwrap() * 24, "{grown}");
}
