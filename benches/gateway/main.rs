//! What does agentcron cost in front of the agent server? This measures the release binary and the bare backend in turns:
//! the latency of single requests, the requests per second over many connections, and the delay of a run's start because
//! its webhook is recorded before the request is forwarded.
//!
//! Run it with `cargo bench --bench gateway`; `-- --requests`, `--connections` and `--seconds` change how much is measured.
//! The backend is this binary again, and responds at once. Each child is ended by its own process id.

#![expect(clippy::print_stdout, reason = "a benchmark is there to print what it measured")]

mod load;
mod stub;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use load::{Spread, Timings};

#[derive(Parser)]
#[command(name = "gateway", about = "Measures the agent server through agentcron beside the bare one")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// The number of single requests, each way.
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// The number of connections that are busy at the same time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How many seconds they are busy, each way.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// `cargo bench` passes this; it has no effect.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Part {
    /// The agent server, as a child of the benchmark.
    #[command(hide = true)]
    Stub,
}

/// The number of turns in which the two are measured, because the speed of the machine changes from minute to minute.
const TURNS: usize = 10;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.part {
        Some(Part::Stub) => stub::serve(),
        None => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A child that is ended when it goes out of scope.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let (backend, _stub) = start_stub()?;
    let folder = tempfile::tempdir()?;
    let (gateway, _daemon) = start_daemon(backend, folder.path())?;
    println!("cores {}", std::thread::available_parallelism().map_or(0, usize::from));

    let get = load::request("GET", "/threads/3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11", "");
    let (direct, through) = in_turns(arguments.requests, [(backend, &get), (gateway, &get)])?;
    report("one request after the other", &direct, &through);

    let path = "/threads/3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11/runs";
    let body = r#"{"assistant_id":"agent","input":{"messages":[]}"#;
    let plain = load::request("POST", path, &format!("{body}}}"));
    let (direct, through) = in_turns(arguments.requests / 10, [(backend, &plain), (gateway, &plain)])?;
    report("a run without a webhook", &direct, &through);
    let with_webhook =
        load::request("POST", path, &format!(r#"{body},"webhook":"http://127.0.0.1:8080/hook"}}"#));
    let (direct, through) = in_turns(arguments.requests / 10, [(backend, &plain), (gateway, &with_webhook)])?;
    report("a run with a webhook, which is recorded first", &direct, &through);

    let seconds = Duration::from_secs(arguments.seconds);
    for (name, address) in [("bare", backend), ("through", gateway)] {
        let per_second = load::many(address, &get, arguments.connections, seconds)?;
        println!("{} connections, {name:<8} {per_second:>8.0} requests/s", arguments.connections);
    }
    Ok(())
}

/// Measures two targets in turns.
fn in_turns(requests: usize, targets: [(SocketAddr, &[u8]); 2]) -> Result<(Spread, Spread)> {
    let mut timings = [Timings::default(), Timings::default()];
    for turn in 0..=TURNS {
        for (target, (address, request)) in targets.iter().enumerate() {
            let measured = load::one_after_the_other(*address, request, (requests / TURNS).max(1))?;
            // The first turn only warms up.
            if turn > 0 {
                timings[target].extend(measured);
            }
        }
    }
    let [direct, through] = timings.map(Spread::of);
    Ok((direct, through))
}

fn report(what: &str, direct: &Spread, through: &Spread) {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    println!("{what}: time to the first byte, in microseconds");
    for (name, of) in [("p50", (direct.p50, through.p50)), ("p99", (direct.p99, through.p99))] {
        let (direct, through) = (micros(of.0), micros(of.1));
        println!("  {name}  bare {direct:>8.0}  through {through:>8.0}  added {:>8.0}", through - direct);
    }
}

fn start_stub() -> Result<(SocketAddr, Process)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg("stub").stdout(Stdio::piped()).spawn().context("start the backend")?;
    let stdout = child.stdout.take().context("its first line")?;
    let process = Process(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok((SocketAddr::from(([127, 0, 0, 1], line.trim().parse()?)), process))
}

fn start_daemon(backend: SocketAddr, folder: &std::path::Path) -> Result<(SocketAddr, Process)> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.join("agentcron.toml");
    let text = format!(
        "[backend]\nurl = \"http://{backend}\"\n[store]\npath = \"agentcron.db\"\n[http]\nlisten = \"{address}\"\n\
         disable_webhooks = true\n[webhooks.url]\ndisable_loopback = false\n"
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    command.arg("run").arg("--config").arg(&config).stderr(Stdio::null());
    let process = Process(command.spawn().context("start the daemon")?);
    let until = load::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_err() {
        anyhow::ensure!(load::now() < until, "the daemon does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((address, process))
}
