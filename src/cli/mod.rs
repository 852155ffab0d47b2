//! Words <-> calls; the only prints and exit codes.

use std::process::ExitCode;

use crate::clock::Clock;
use crate::config::Environment;
use crate::daemon::{self, World};
use crate::signals;
use crate::store::Execution;
use crate::transport::Transport;

/// Reads the arguments, does what they ask, answers the exit code.
pub fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let path = std::env::args().skip_while(|a| a != "--config").nth(1).unwrap_or_default();
    let environment = Environment::of_process();
    let config = match crate::config::load(path.as_ref(), &environment) {
        Ok(c) => c,
        Err(e) => {
            tracing::error!("{e}");
            return ExitCode::from(2);
        }
    };
    let stop = signals::listen().expect("signals");
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("rt");
    let t = Transport::network(None).expect("transport");
    let world = World {
        config,
        environment,
        clock: Clock::system(),
        backend: t.clone(),
        receivers: t,
        execution: Execution::WriterThread,
    };
    let r = rt.block_on(async { tokio::select! { r = daemon::serve(world, || {}, stop.graceful.clone()) => Some(r), () = stop.now.cancelled() => None } });
    match r {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(e)) => {
            tracing::error!("{e}");
            ExitCode::from(3)
        }
        None => ExitCode::from(130),
    }
}
