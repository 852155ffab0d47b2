//! The trace of a run (W3C Trace Context, <https://www.w3.org/TR/trace-context/>): the request that starts it at the agent server
//! and its webhooks belong together, and with what these do in turn.

use std::fmt;

use uuid::Uuid;

use super::ids::{DeliveryId, RunId, ThreadId};

/// The header.
pub const TRACEPARENT: &str = "traceparent";

/// The value of the header: which trace a request belongs to, and under which span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The run's id, so that a trace is found by it.
    trace_id: Uuid,
    span_id: u64,
}

impl TraceParent {
    /// Returns that of the start of a run on a thread.
    pub fn of_start(run_id: RunId, thread_id: ThreadId) -> Self {
        Self::new(run_id, &format!("start\0{thread_id}"))
    }

    /// Returns that of a webhook of a run, whichever attempt it is.
    pub fn of_webhook(run_id: RunId, delivery_id: DeliveryId) -> Self {
        Self::new(run_id, &format!("webhook\0{delivery_id}"))
    }

    fn new(run_id: RunId, span: &str) -> Self {
        let (span_id, _) = Uuid::new_v5(&run_id.0, format!("span\0{span}").as_bytes()).as_u64_pair();
        // The half of a UUID with its version is never zero, which would not be valid; nor is the id of a run.
        Self { trace_id: run_id.0, span_id }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sampled: crons are few, and whoever looks for one wants to find it.
        write!(f, "00-{}-{:016x}-01", self.trace_id.simple(), self.span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_and_a_webhook_are_spans_of_the_trace_of_their_run() {
        let run_id: RunId = "77c4a1c2-9d1c-5d0b-8a51-52b8b1b7a1f0".parse().unwrap();
        let delivery_id = DeliveryId::of_run(run_id, "https://hooks.example");
        let start = |number| TraceParent::of_start(run_id, run_id.thread_of_start(number)).to_string();
        let webhook = TraceParent::of_webhook(run_id, delivery_id).to_string();
        for text in [start(1), start(2), webhook.clone()] {
            let parts: Vec<&str> = text.split('-').collect();
            assert_eq!((parts[0], parts[1], parts[3]), ("00", "77c4a1c29d1c5d0b8a5152b8b1b7a1f0", "01"));
            assert_eq!(parts[2].len(), 16);
            assert!(parts[2].bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
            assert_ne!(parts[2], "0000000000000000");
        }
        assert!(start(1) != start(2) && start(1) != webhook);
        assert_eq!(start(1), start(1), "it is the same after a crash");
    }
}
