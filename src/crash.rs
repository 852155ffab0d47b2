//! Crash points: named places between two durable steps, where tests kill the daemon.
//!
//! In a debug build, `CRASH_AT=name:n` kills the process with SIGKILL, as a power cut would, when it reaches
//! that place for the `n`th time. `PANIC_AT` makes the task that reaches it panic instead, `HANG_AT` makes it
//! wait for ever, and `BLOCK_AT` its thread. A simulation can stop its world at any place. A release build contains none of this.

/// Marks a place where the daemon may die. `name` says what has just been made durable, or what has yet to be
/// done.
#[cfg(not(debug_assertions))]
pub async fn crash_point(_name: &'static str) {}

#[cfg(debug_assertions)]
pub use debug::{crash_point, simulate_crash_after, simulate_crash_at};

#[cfg(debug_assertions)]
mod debug {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use tokio_util::sync::CancellationToken;

    /// What the environment asks for, read once.
    static CRASH_REQUEST: OnceLock<Option<CrashRequest>> = OnceLock::new();
    /// How often each place has been reached.
    static VISITS: Mutex<Option<HashMap<&'static str, u64>>> = Mutex::new(None);

    struct CrashRequest {
        name: String,
        visit: u64,
        kind: CrashKind,
    }

    #[derive(Clone, Copy)]
    enum CrashKind {
        Kill,
        Panic,
        Hang,
        Block,
    }

    thread_local! {
        static SIMULATED: RefCell<Option<SimulatedCrash>> = const { RefCell::new(None) };
    }

    struct SimulatedCrash {
        /// `None` counts every place.
        name: Option<&'static str>,
        visits_left: u64,
        stopped: CancellationToken,
    }

    /// Marks a place where the daemon may die. `name` says what has just been made durable, or what has yet
    /// to be done.
    pub async fn crash_point(name: &'static str) {
        if simulated_crash(name) {
            std::future::pending::<()>().await;
        }
        let Some(request) = CRASH_REQUEST.get_or_init(read_environment) else { return };
        if request.name == name && visits(name) == request.visit {
            match request.kind {
                CrashKind::Kill => drop(signal_hook::low_level::raise(signal_hook::consts::SIGKILL)),
                CrashKind::Panic => panic!("requested by PANIC_AT at {name}"),
                CrashKind::Hang => std::future::pending().await,
                CrashKind::Block => loop {
                    std::thread::park();
                },
            }
        }
    }

    /// Stops the world of this thread's simulation at the `count`th crash point from now on, and cancels
    /// `stopped` then.
    pub fn simulate_crash_after(count: u64, stopped: CancellationToken) {
        SIMULATED.set(Some(SimulatedCrash { name: None, visits_left: count, stopped }));
    }

    /// Stops the world like [`simulate_crash_after`], at the `count`th visit of this crash point.
    pub fn simulate_crash_at(name: &'static str, count: u64, stopped: CancellationToken) {
        SIMULATED.set(Some(SimulatedCrash { name: Some(name), visits_left: count, stopped }));
    }

    /// Returns whether the simulated world has stopped.
    fn simulated_crash(name: &'static str) -> bool {
        SIMULATED.with(|simulated| match &mut *simulated.borrow_mut() {
            None => false,
            Some(SimulatedCrash { visits_left: 0, .. }) => true,
            Some(SimulatedCrash { name: Some(only), .. }) if *only != name => false,
            Some(SimulatedCrash { visits_left, stopped, .. }) => {
                *visits_left -= 1;
                if *visits_left == 0 {
                    stopped.cancel();
                }
                *visits_left == 0
            }
        })
    }

    /// Counts a visit of this place and returns how many there were.
    fn visits(name: &'static str) -> u64 {
        let mut visits = VISITS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = visits.get_or_insert_default().entry(name).or_insert(0);
        *count += 1;
        *count
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for tests, which must not be in any configuration"
    )]
    fn read_environment() -> Option<CrashRequest> {
        let request_of = |variable: &str, kind: CrashKind| {
            let text = std::env::var(variable).ok()?;
            let (name, visit) = text.split_once(':').unwrap_or((&text, "1"));
            Some(CrashRequest { name: name.to_owned(), visit: visit.parse().ok()?, kind })
        };
        let kinds = [
            ("CRASH_AT", CrashKind::Kill),
            ("PANIC_AT", CrashKind::Panic),
            ("HANG_AT", CrashKind::Hang),
            ("BLOCK_AT", CrashKind::Block),
        ];
        kinds.into_iter().find_map(|(variable, kind)| request_of(variable, kind))
    }
}
