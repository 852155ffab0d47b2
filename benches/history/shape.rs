//! What the history looks like: a pure function from the number of a run to what became of it. Most runs succeed; some
//! things are rare, and some never happen.

/// The size of the history.
pub(super) struct Shape {
    pub(super) crons: u32,
    pub(super) runs: u32,
    pub(super) deliveries: u32,
}

/// What became of a run.
pub(super) struct Fate {
    pub(super) phase: &'static str,
    pub(super) status: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) trigger: &'static str,
}

/// So many of the newest runs have not ended.
const IN_PROGRESS: u32 = 50;

/// What is not a success, with how many of a million end so. Nothing is `rejected` or triggered by `api`.
const ENDS: [(u64, &str, &str); 7] = [
    (10_000, "error", "graph_error"),
    (3_000, "timeout", "timeout"),
    (5_000, "skipped", "overlap"),
    (2_000, "missed", "catchup_latest"),
    (100, "cancelled", "cancel_request"),
    (50, "interrupted", "human_input"),
    (10, "error", "lost"),
];

/// What is not triggered by the schedule, with how many of a million.
const TRIGGERS: [(u64, &str); 3] = [(1_000, "catchup"), (500, "backfill"), (100, "manual")];

impl Shape {
    pub(super) fn fate(&self, run: u32) -> Fate {
        let of_million = |salt: u64| mix(u64::from(run) ^ salt) % 1_000_000;
        let trigger = pick(of_million(1 << 40), TRIGGERS.map(|(share, word)| (share, word)));
        let trigger = trigger.unwrap_or("schedule");
        if run + IN_PROGRESS >= self.runs {
            return Fate { phase: "running", status: None, reason: None, trigger };
        }
        let end = pick(of_million(1 << 41), ENDS.map(|(share, status, reason)| (share, (status, reason))));
        let (status, reason) = end.map_or(("success", None), |(status, reason)| (status, Some(reason)));
        Fate { phase: "ended", status: Some(status), reason, trigger }
    }

    /// Returns whether the runs of this cron send webhooks.
    pub(super) fn has_webhook(&self, cron: u32) -> bool {
        cron.is_multiple_of((self.runs / self.deliveries.max(1)).max(1))
    }
}

impl Fate {
    pub(super) fn took_place(&self) -> bool {
        !matches!(self.status, Some("skipped" | "missed"))
    }
}

/// Returns the status of the webhook of this run.
pub(super) fn delivery_status(run: u32) -> &'static str {
    match mix(u64::from(run) ^ (1 << 42)) % 100_000 {
        0..300 => "failed",
        300..310 => "aborted",
        310..311 => "suppressed",
        _ => "delivered",
    }
}

/// Scatters numbers, the same way each time (splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn pick<T, const N: usize>(mut number: u64, shares: [(u64, T); N]) -> Option<T> {
    for (share, what) in shares {
        if number < share {
            return Some(what);
        }
        number -= share;
    }
    None
}
