//! The reference of `[cron.NAME]` and `[defaults]`, which have the same keys.

use super::DefaultValue::{Absent, Required, Toml};
use super::Secrecy::{MayHoldSecret, Public};
use super::{KeyNames, KeyReference, SectionReference};
use crate::config::value_type::ValueType::*;
use crate::domain::bounds::{RETRIES_MAX, RETRY_FACTOR_MAX};
use crate::domain::cron::{Catchup, Mode, MultitaskStrategy, OnRunCompleted, Overlap, RetryOn};

/// The agent server's words for when it writes checkpoints.
pub(in crate::config) const DURABILITIES: &[&str] = &["sync", "async", "exit"];
/// The agent server's words for what a stream carries.
pub(in crate::config) const STREAM_MODES: &[&str] =
    &["values", "messages", "messages-tuple", "updates", "events", "tasks", "checkpoints", "debug", "custom"];

pub(in crate::config) const DEFAULTS: SectionReference = SectionReference {
    name: "defaults",
    meaning: "Fields for every cron that does not set them itself, in the main file and in included files.",
    key_names: KeyNames::Fixed,
    keys: CRON_KEYS,
    tables: &[],
};

pub(in crate::config) const CRON: SectionReference = SectionReference {
    name: "cron.NAME",
    meaning: "One cron. Its name is the word after `cron.`: up to 100 ASCII letters, digits, `-`, `_` and `.`.",
    key_names: KeyNames::Fixed,
    keys: CRON_KEYS,
    tables: &[],
};

const CRON_KEYS: &[KeyReference] = keys! {
    schedule: Text, Required, Public, "\"0 9 * * mon-fri\"";
        "When the cron fires: minute, hour, day of month, month, day of week, and optionally second and year; or `@daily` and the like."
    timezone: Text, Toml("\"UTC\""), Public, "\"Europe/Berlin\"";
        "The IANA time zone of the schedule."
    assistant_id: Text, Required, Public, "\"agent\"";
        "The id of an assistant, or the name of a graph."
    thread_id: Text, Absent("every run gets a new thread"), Public,
        "\"3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11\"";
        "The UUID of the thread on which every run takes place; not together with `thread`."
    thread: Text, Absent("every run gets a new thread"), Public, "\"inbox\"";
        "A name of your own for the thread on which every run takes place; its UUID is derived from the name."
    input: Any, Absent("no input is sent"), MayHoldSecret,
        "{ messages = [{ role = \"user\", content = \"It is ${{ run.scheduled_for }}.\" }] }";
        "The input of each run."
    config: Table, Absent("no config is sent"), MayHoldSecret,
        "{ recursion_limit = 50, tags = [\"nightly\"] }";
        "The agent server's `config`: `tags`, `recursion_limit` and `configurable`."
    context: Table, Absent("no context is sent"), MayHoldSecret, "{ customer = \"${{ env.CUSTOMER }}\" }";
        "The static context of the graph."
    metadata: Table, Absent("only agentcron's own metadata is sent"), MayHoldSecret, "{ team = \"ops\" }";
        "Metadata of each run; agentcron adds its own."
    webhook: Url, Absent("no webhook is sent"), MayHoldSecret,
        "\"https://ops.example.com/hooks/agent?token=${{ env.HOOK_TOKEN }}\"";
        "The URL that receives one webhook at the end of each run."
    ping: Url, Absent("nothing is pinged"), MayHoldSecret, "\"https://hc-ping.com/${{ env.DIGEST_PING }}\"";
        "The URL of a dead man's switch, which is pinged when an occurrence starts, works and fails ([how](notifications.md#who-watches-agentcron))."
    start_time: Time, Absent("the cron fires from now on"), Public, "2027-01-01T00:00:00Z";
        "The cron fires at this instant at the earliest."
    end_time: Time, Absent("the cron fires as long as its schedule lasts"), Public,
        "\"2027-12-31T23:00:00+01:00\"";
        "The cron fires before this instant only."
    enabled: Boolean, Toml("true"), Public, "false";
        "Whether the cron fires at all."
    interrupt_before: TextOrList, Absent("the agent server's default applies"), Public, "[\"review\"]";
        "Nodes before which the run is interrupted, or `\"*\"` for all of them."
    interrupt_after: TextOrList, Absent("the agent server's default applies"), Public, "\"*\"";
        "Nodes after which the run is interrupted, or `\"*\"` for all of them."
    multitask_strategy: Word(MultitaskStrategy::WORDS), Absent("the agent server's default applies; a stateless cron has `reject`"), Public,
        "\"enqueue\"";
        "What the agent server does if the thread is busy; for crons with a thread."
    on_run_completed: Word(OnRunCompleted::WORDS), Toml("\"delete\""), Public, "\"keep\"";
        "What happens to the thread of a run once its outcome is recorded; for crons without a thread."
    durability: Word(DURABILITIES), Absent("the agent server's default applies"), Public, "\"async\"";
        "When the agent server writes checkpoints."
    stream_mode: WordOrList(STREAM_MODES), Absent("the agent server's default applies"), Public,
        "[\"values\", \"updates\"]";
        "What the stream of a run carries."
    stream_subgraphs: Boolean, Absent("the agent server's default applies"), Public, "true";
        "Whether the stream of a run includes subgraphs."
    stream_resumable: Boolean, Absent("the agent server's default applies"), Public, "true";
        "Whether the stream of a run can be resumed."
    checkpoint_during: Boolean, Absent("the agent server's default applies"), Public, "false";
        "The agent server's older name for `durability`."
    feedback_keys: TextList, Absent("no feedback keys are sent"), Public, "[\"helpful\"]";
        "The feedback keys of each run."
    mode: Word(Mode::WORDS), Toml("\"background\""), Public, "\"wait\"";
        "Which of the agent server's ways to run is used; the outcome is the same."
    overlap: Word(Overlap::WORDS), Toml("\"skip\""), Public, "\"queue\"";
        "What happens to an occurrence while an earlier run of the cron is in progress: skip it, run both, queue it, or cancel the earlier run."
    catchup: Word(Catchup::WORDS), Toml("\"latest\""), Public, "\"all\"";
        "Which of the occurrences that were missed while the daemon was down are fired: none, the latest, or all."
    catchup_window: Duration, Toml("\"24h\""), Public, "\"7d\"";
        "How far back catch-up looks."
    start_deadline: Duration, Absent("a run may start until the next occurrence, and at most an hour late"), Public,
        "\"10s\"";
        "How late a run may start; a run that the agent server has not accepted by then ends as `error`."
    timeout: Duration, Absent("a run may take as long as it needs"), Public, "\"10m\"";
        "How long a run may take before it is cancelled on the agent server."
    jitter: Duration, Toml("\"0s\""), Public, "\"5m\"";
        "Delays each occurrence by a stable amount up to this long, so that crons with the same schedule do not start at once."
    exclude: DayList, Absent("no day is excluded"), Public, "[\"2026-12-25\", \"2026-12-24..2027-01-02\"]";
        "Days on which nothing fires, in the cron's time zone."
    pause_after_failures: Integer { min: 1, max: u32::MAX as u64 }, Absent("the cron is never paused automatically"), Public,
        "3";
        "Pauses the cron after this many failed runs in a row; an occurrence that is retried counts once."
    retry: Table, Absent("a failed run is not retried"), Public,
        "{ max = 2, backoff = \"1m\", factor = 2, on = [\"error\", \"timeout\"] }";
        "Gives an occurrence that failed further runs; [Retries](#retries) describes its keys."
    keep: Period, Absent("`store.keep` applies"), Public, "\"30d\"";
        "How long ended runs of this cron are kept, and records of its skipped occurrences."
    keep_failures: Period, Absent("`store.keep_failures` applies"), Public, "\"forever\"";
        "How long those of this cron are kept that `history --failed` shows."
    keep_values: Period, Absent("`store.keep_values` applies"), Public, "\"0\"";
        "How long values, interrupts and bodies of webhooks of this cron are kept; `\"0\"` writes no values."
    keep_runs_max: Integer { min: 1, max: u32::MAX as u64 }, Absent("`store.keep_runs_max` applies"), Public, "100";
        "How many ended records this cron has at most, whatever their age."
    redact: TextList, Absent("only `store.redact` applies"), Public, "[\"/answer\"]";
        "Parts of this cron's values that are never written, besides those of `store.redact`."
    was: Text, Absent("the cron has had no other name"), Public, "\"morning-digest\"";
        "The first name of a cron that was renamed: its history, pause, `H` and jitter go on. Keep it as long as the cron."
};

/// The keys of `retry`, which is a value and no table of its own: what is wrong with it is wrong with the cron.
pub const RETRY: SectionReference = SectionReference {
    name: "retry",
    meaning: "Gives an occurrence that failed further runs.",
    key_names: KeyNames::Fixed,
    keys: keys! {
        max: Integer { min: 0, max: RETRIES_MAX as u64 }, Required, Public, "2";
            "How many further runs an occurrence gets at most. 0 turns off the retries of `[defaults]`."
        backoff: Duration, Toml("\"1m\""), Public, "\"5m\"";
            "The wait between the end of the first run and the second run, at most 1 h."
        factor: Number { min: 1, max: RETRY_FACTOR_MAX }, Toml("2"), Public, "1.5";
            "Each further wait is so many times as long."
        on: WordOrList(RetryOn::WORDS), Toml("[\"error\", \"timeout\"]"), Public, "\"error\"";
            "The statuses that are retried."
        timeout_each: Duration, Absent("only `timeout` counts"), Public, "\"10m\"";
            "How long each run may take; one that takes longer ends as `timeout`."
        webhook_each: Boolean, Toml("false"), Public, "true";
            "Whether each run sends a webhook, and not only the last one."
    },
    tables: &[],
};
