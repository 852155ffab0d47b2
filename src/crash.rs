//! Crash points: named places between two durable steps, where tests kill the daemon.
//!
//! In a debug build `CRASH_AT=name:n` kills the process (SIGKILL, as a power cut would) when it comes to that place
//! for the `n`th time, `PANIC_AT` lets whatever comes there panic, and a simulation can stop its world at any of them.
//! A release build has nothing of it.

/// A place where the daemon may die. `name` says what has just been made durable, or what is still owed.
#[cfg(not(debug_assertions))]
pub async fn crash_point(_name: &'static str) {}

#[cfg(debug_assertions)]
pub use armed::{crash_point, simulate_crash_after, simulate_crash_at};

#[cfg(debug_assertions)]
mod armed {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use tokio_util::sync::CancellationToken;

    /// `CRASH_AT` or `PANIC_AT`, read once.
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    /// How often each place was come to.
    static VISITS: Mutex<Option<HashMap<&'static str, u64>>> = Mutex::new(None);

    struct Armed {
        name: String,
        visit: u64,
        panics: bool,
    }

    thread_local! {
        static SIMULATED: RefCell<Option<Simulated>> = const { RefCell::new(None) };
    }

    struct Simulated {
        /// Any place, if there is none.
        name: Option<&'static str>,
        left: u64,
        stopped: CancellationToken,
    }

    /// A place where the daemon may die. `name` says what has just been made durable, or what is still owed.
    pub async fn crash_point(name: &'static str) {
        if simulated_crash(name) {
            std::future::pending::<()>().await;
        }
        let Some(armed) = ARMED.get_or_init(read_environment) else { return };
        if armed.name == name && visits(name) == armed.visit {
            assert!(!armed.panics, "asked for at {name}");
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
        }
    }

    /// In this thread's simulation, the world stops at the `count`th crash point from now on; `stopped` is told.
    pub fn simulate_crash_after(count: u64, stopped: CancellationToken) {
        SIMULATED.set(Some(Simulated { name: None, left: count, stopped }));
    }

    /// The same, when it comes to this crash point for the `count`th time.
    pub fn simulate_crash_at(name: &'static str, count: u64, stopped: CancellationToken) {
        SIMULATED.set(Some(Simulated { name: Some(name), left: count, stopped }));
    }

    fn simulated_crash(name: &'static str) -> bool {
        SIMULATED.with(|simulated| match &mut *simulated.borrow_mut() {
            None => false,
            Some(Simulated { left: 0, .. }) => true,
            Some(Simulated { name: Some(only), .. }) if *only != name => false,
            Some(Simulated { left, stopped, .. }) => {
                *left -= 1;
                if *left == 0 {
                    stopped.cancel();
                }
                *left == 0
            }
        })
    }

    fn visits(name: &'static str) -> u64 {
        let mut visits = VISITS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = visits.get_or_insert_default().entry(name).or_insert(0);
        *count += 1;
        *count
    }

    #[expect(clippy::disallowed_methods, reason = "a switch for tests that no configuration should have")]
    fn read_environment() -> Option<Armed> {
        let of = |variable: &str, panics: bool| {
            let armed = std::env::var(variable).ok()?;
            let (name, visit) = armed.split_once(':').unwrap_or((&armed, "1"));
            Some(Armed { name: name.to_owned(), visit: visit.parse().ok()?, panics })
        };
        of("CRASH_AT", false).or_else(|| of("PANIC_AT", true))
    }
}
