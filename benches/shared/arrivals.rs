//! What a stub notes of the requests that arrive.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::machine;

/// The starts and webhooks that have arrived, one `kind name nanoseconds` per line, and counts.
#[derive(Default)]
pub(super) struct Arrivals {
    lines: String,
    starts: u64,
    webhooks: u64,
    /// All requests but those of the benchmark.
    requests: u64,
}

#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Arrivals>>);

impl Shared {
    /// Counts any request for an agent server or a receiver.
    pub(super) fn requested(&self) {
        self.lock().requests += 1;
    }

    /// Notes the request for a run, and returns the id of the new run.
    pub(super) fn started(&self, body: &[u8]) -> String {
        let mut arrivals = self.lock();
        arrivals.starts += 1;
        arrivals.note("start", cron_name(body).unwrap_or("?"));
        format!("00000000-0000-4000-8000-{:012x}", arrivals.starts)
    }

    pub(super) fn told(&self, cron: &str) {
        let mut arrivals = self.lock();
        arrivals.webhooks += 1;
        arrivals.note("webhook", cron);
    }

    pub(super) fn lines(&self) -> String {
        self.lock().lines.clone()
    }

    pub(super) fn counts(&self) -> String {
        let Arrivals { starts, webhooks, requests, .. } = &*self.lock();
        format!("{starts} {webhooks} {requests}")
    }

    pub(super) fn forget(&self) {
        *self.lock() = Arrivals::default();
    }

    fn lock(&self) -> MutexGuard<'_, Arrivals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrivals {
    fn note(&mut self, kind: &str, cron: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.lines, "{kind} {cron} {}", machine::now().as_nanosecond());
    }
}

fn cron_name(body: &[u8]) -> Option<&str> {
    let key = br#""cron_name":""#;
    let rest = &body[super::request::find(body, key)? + key.len()..];
    std::str::from_utf8(&rest[..super::request::find(rest, b"\"")?]).ok()
}

/// Returns a run as the agent server shows it.
pub(super) fn run_json(run: &str, thread: &str, status: &str) -> String {
    format!(
        r#"{{"run_id":"{run}","thread_id":"{thread}","assistant_id":"fe096781-5601-53d2-b2f6-0d3403f7e9ca","created_at":"2026-01-01T00:00:00+00:00","updated_at":"2026-01-01T00:00:00+00:00","metadata":{{}},"status":"{status}","kwargs":{{}},"multitask_strategy":"reject"}}"#
    )
}

/// What a run leaves in its thread.
pub(super) const VALUES: &str = r#"{"messages":[{"type":"ai","content":"done"}]}"#;
